#!/usr/bin/env python3
"""The architecture test must fail on each thing it forbids: feeds it trees that break one rule."""
import pathlib
import subprocess
import sys
import tempfile

TOOL = pathlib.Path(__file__).with_name("architecture_test.py")

BROKEN = {
    "an arrow upwards": ("core/a.cpp", '#include "transport/loop/loop.h"\n'),
    "an arrow between siblings": ("protocols/diameter/a.cpp", '#include "protocols/m3ua/asp.h"\n'),
    "one SCTP stack in the other": (
        "transport/sctp/kernel/a.cpp", '#include "transport/sctp/usrsctp/socket.h"\n'),
    "a stack in what both share": ("transport/sctp/a.cpp", '#include "transport/sctp/kernel/socket.h"\n'),
    "SCTP in streams": ("transport/stream/a.cpp", '#include "transport/sctp/reassembly.h"\n'),
    "a stack in an application": ("apps/runtime/a.cpp", '#include "transport/sctp/kernel/socket.h"\n'),
    "the whole transport in a part of it": ("transport/stream/a.cpp", '#include "transport/transport_set.h"\n'),
    "a library outside its wrapper": ("transport/stream/a.cpp", "#include <usrsctp.h>\n"),
    "a socket in a secure channel": ("transport/secure/a.cpp", "#include <sys/socket.h>\n"),
    "a socket in a protocol": ("protocols/m3ua/a.cpp", "#include <sys/socket.h>\n"),
    "libuv in an application": ("apps/hss/a.cpp", "#include <uv.h>\n"),
    "a clock in core": ("core/a.cpp", "auto t = std::chrono::steady_clock::now();\n"),
    "a thread in a protocol": ("protocols/diameter/a.cpp", "#include <thread>\n"),
    "a random source in core": ("core/a.cpp", "std::random_device chance;\n"),
    "logging in a protocol": ("protocols/m3ua/a.cpp", 'std::cerr << "hello";\n'),
    "a protocol's name in core": ("core/a.h", "int diameter_requests;\n"),
    "an application's name in a comment of core": ("core/a.h", "// An HSS has one.\n"),
    "an include of tests": ("apps/stp/a.cpp", '#include "tests/support/sim_world.h"\n'),
}


def run(files):
    with tempfile.TemporaryDirectory() as root:
        for i in range(10):
            files.setdefault(f"core/fine{i}.cpp", "// std::cerr in a comment is fine\n")
        for name, text in files.items():
            path = pathlib.Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return subprocess.run([sys.executable, TOOL, root], stdout=subprocess.DEVNULL).returncode


bad = [what for what, (name, text) in BROKEN.items() if run({name: text}) == 0]
if run({}) != 0:
    bad.append("a clean tree is refused")
for what in bad:
    print("not noticed:", what)
sys.exit(1 if bad else 0)
