#!/usr/bin/env python3
"""docs/dependencies.md explains every package of scripts/install-dependencies, once, and no other.

    dependencies_test.py [ROOT]
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
failures = []

installed = {}  # package -> purposes
script = (ROOT / "scripts" / "install-dependencies").read_text()
for purpose, packages in re.findall(r'^  \[(\w+)\]="([^"]*)"', script, re.M):
    for package in packages.split():
        installed.setdefault(package, set()).add(purpose)

explained = {}
table = (ROOT / "docs" / "dependencies.md").read_text()
for packages, purposes in re.findall(r"^\| ([^|]*) \| ([^|]*) \| [^|]+ \|$", table, re.M)[1:]:
    for package in packages.split(", "):
        if package in explained:
            failures.append(f"{package} is explained twice")
        explained[package] = set(purposes.split(", "))

for package in sorted(installed.keys() | explained.keys()):
    is_for, said = installed.get(package), explained.get(package)
    if is_for != said:
        failures.append(f"{package}: installed for {is_for}, explained for {said}")
if len(installed) < 10:
    failures.append(f"only {len(installed)} packages found")
for failure in failures:
    print(failure)
print(f"{len(installed)} packages, {len(failures)} failures")
sys.exit(1 if failures else 0)
