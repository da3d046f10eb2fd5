#!/usr/bin/env python3
"""The programs are built as daemons should be (scripts/cmake/hardening.cmake).

    hardening_test.py COMPILER PROGRAM...
"""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
from processes import Failed, main, run

COMPILER, *PROGRAMS = sys.argv[1:]

# What nobody would ship.
SOFT = "-O1 -no-pie -fno-pie -fno-stack-protector -U_FORTIFY_SOURCE -fcf-protection=none " \
       "-Wl,-z,norelro,-z,lazy,-z,execstack"
SOURCE = """
#include <cstdio>
#include <cstring>
int main(int argc, char** argv) {
  char space[64];
  std::strcpy(space, argv[argc - 1]);
  return std::puts(space) < 0;
}
"""


def readelf(what, program):
    return run(["readelf", "--wide", what, program])


def starts_with_endbr64(program):
    """Where indirect branches may go: main is called by one, from libc."""
    symbols = readelf("--symbols", program)
    address = re.search(r"([0-9a-f]+) +\d+ FUNC .* main$", symbols, re.M).group(1)
    code = run(["objdump", "--disassemble", f"--start-address=0x{address}",
                f"--stop-address={int(address, 16) + 4}", program])
    return "endbr64" in code


def is_x86():
    return "x86" in run(["uname", "-m"])


def softness(program):
    """What is missing."""
    headers, dynamic = readelf("--program-headers", program), readelf("--dynamic", program)
    imports = readelf("--dyn-syms", program)
    stack = next(line for line in headers.splitlines() if "GNU_STACK" in line)
    good = {
        "position-independent (PIE)": re.search(r"Elf file type is DYN", headers)
        and re.search(r"FLAGS_1.*\bPIE\b", dynamic),
        "relocations are read-only (RELRO)": "GNU_RELRO" in headers,
        "all of them at start (now)": re.search(r"FLAGS_1.*\bNOW\b|BIND_NOW", dynamic),
        "stack not executable": re.search(r" RW +0x", stack),
        "stack protector": "__stack_chk_fail" in imports,
        "checked copies (_FORTIFY_SOURCE)": re.search(r" __\w+_chk\b", imports),
    }
    if is_x86():
        good["indirect branches (-fcf-protection)"] = starts_with_endbr64(program)
    return [name for name, there in good.items() if not there]


def test(directory):
    for program in PROGRAMS:
        if missing := softness(program):
            raise Failed(f"{program} has not: {', '.join(missing)}")
    # And it would be seen.
    source, soft = directory / "soft.cpp", directory / "soft"
    source.write_text(SOURCE)
    subprocess.run([COMPILER, *SOFT.split(), "-w", "-o", soft, source], check=True)
    seen = softness(soft)
    if len(seen) != (7 if is_x86() else 6):
        raise Failed(f"of a program that has nothing of it, only this is missed: {seen}")


main(test)
