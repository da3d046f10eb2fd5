#!/usr/bin/env python3
"""docs/counters.md has a row for every counter and every drop reason of the sources, once, and no
other, and a counter's row says what its definition says; docs/facts.md lists every FactKind with its
severity and meaning, and fields that the sources tell.

    counters_test.py [ROOT]
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
COUNTER = re.compile(r'inline const (?:Labelled)?Counter \w+\{\s*("[^"]+"),\s*((?:"(?:[^"\\]|\\.)*"\s*)+)')
REASON = re.compile(r'DropReason(?:\s+\w+)?\{\s*"([^"]+)"')


def text_of(literals):
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals)).replace('\\"', '"')


failures = []
counters, reasons = {}, set()
for room in ["core", "transport", "protocols", "apps"]:
    for path in [*(ROOT / room).rglob("*.h"), *(ROOT / room).rglob("*.cpp")]:
        # A comment may hold an example.
        source = re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.M)
        counters |= {text_of(name): text_of(help) for name, help in COUNTER.findall(source)}
        reasons |= set(REASON.findall(source))
if len(counters) < 20:
    failures.append(f"only {len(counters)} counters found")

rows = re.findall(r"^\| ([^|]*) \| (.*) \|$", (ROOT / "docs" / "counters.md").read_text(), re.M)
listed = [name for cell, _ in rows for name in re.findall(r"`([^`]+)`", cell)]
in_sources = reasons | set(counters)
for name in sorted(reasons - set(listed)):
    failures.append(f"docs/counters.md does not list {name}")
for name, help in sorted(counters.items()):
    if (f"`{name}`", help) not in rows:
        failures.append(f"docs/counters.md has no such row:\n| `{name}` | {help} |")
for name in sorted(set(listed) - in_sources):
    failures.append(f"docs/counters.md lists {name}, which no source counts")
for name in sorted({name for name in listed if listed.count(name) > 1}):
    failures.append(f"docs/counters.md lists {name} twice")

# FactKind kAsStateChanged{"as_state_changed", Severity::info, "the application " "server ..."}
KIND = re.compile(r'FactKind\s+\w+\{\s*"([^"]+)",\s*Severity::(\w+),\s*((?:"[^"]*"\s*)+)\}')
kinds, keys, definitions = {}, set(), 0
for room in ["core", "transport", "protocols", "apps"]:
    for path in [*(ROOT / room).rglob("*.h"), *(ROOT / room).rglob("*.cpp")]:
        text = re.sub(r"^ *//.*", "", path.read_text(), flags=re.M)
        keys |= set(re.findall(r'\{"(\w+)",', text))
        definitions += len(re.findall(r"\bFactKind\s+\w+\{", text))
        for name, severity, what in KIND.findall(text):
            if name in kinds:
                failures.append(f"{path} defines the fact {name} a second time")
            kinds[name] = (severity, "".join(re.findall(r'"([^"]*)"', what)))
if definitions != len(kinds):
    failures.append(f"{definitions} definitions of a FactKind, of which {len(kinds)} can be read")
rows = re.findall(r"^\| `([^`]+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$",
                  (ROOT / "docs" / "facts.md").read_text(), re.M)
for name, severity, fields, what in rows:
    if kinds.get(name) != (severity, what):
        failures.append(f"docs/facts.md says {name}, {severity}: {what}\n"
                        f"the sources say {kinds.get(name)}")
    for key in re.findall(r"`([^`]+)`", fields):
        if key not in keys:
            failures.append(f"docs/facts.md lists the field {key} of {name}, which no source tells")
for name in sorted(kinds.keys() ^ {row[0] for row in rows}):
    failures.append(f"{name} is only in the sources, or only in docs/facts.md")
for name in sorted({row[0] for row in rows if [r[0] for r in rows].count(row[0]) > 1}):
    failures.append(f"docs/facts.md lists {name} twice")
for failure in failures:
    print(failure)
print(f"{len(in_sources)} names, {len(reasons)} of them drop reasons, {len(kinds)} facts, "
      f"{len(failures)} failures")
sys.exit(1 if failures else 0)
