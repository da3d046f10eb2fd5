#!/usr/bin/env python3
"""docs/counters.md has a row for every counter and every drop reason of the sources, once, and no
other; and a counter's row says what its definition says.

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
for failure in failures:
    print(failure)
print(f"{len(in_sources)} names, {len(reasons)} of them drop reasons, {len(failures)} failures")
sys.exit(1 if failures else 0)
