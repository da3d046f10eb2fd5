#!/usr/bin/env python3
"""docs/counters.md lists every counter and every drop reason of the sources, once, and no other;
docs/facts.md lists every FactKind with its severity and meaning, and fields that the sources tell.

    counters_test.py [ROOT]
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
failures = []

in_sources = set(re.findall(r'X\(\w+, "([^"]+)"\)', (ROOT / "core" / "counters.h").read_text()))
if len(in_sources) < 20:
    failures.append(f"only {len(in_sources)} counters found in core/counters.h")
reasons = set()
for room in ["core", "transport", "protocols", "apps"]:
    for path in [*(ROOT / room).rglob("*.h"), *(ROOT / room).rglob("*.cpp")]:
        reasons |= set(re.findall(r'DropReason(?:\s+\w+)?\{\s*"([^"]+)"', path.read_text()))
in_sources |= reasons

listed = []
for cell in re.findall(r"^\| ([^|]*) \|", (ROOT / "docs" / "counters.md").read_text(), re.M):
    listed += re.findall(r"`([^`]+)`", cell)
for name in sorted(in_sources - set(listed)):
    failures.append(f"docs/counters.md does not list {name}")
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
