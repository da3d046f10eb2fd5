#!/usr/bin/env python3
"""docs/counters.md lists every counter and every drop reason of the sources, once, and no other.

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
for failure in failures:
    print(failure)
print(f"{len(in_sources)} names, {len(reasons)} of them drop reasons, {len(failures)} failures")
sys.exit(1 if failures else 0)
