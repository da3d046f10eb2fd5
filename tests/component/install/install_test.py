#!/usr/bin/env python3
"""A user's node: Siglane is installed, docs/examples/charging is built against that, and answers.

    install_test.py BUILD_TREE CMAKE COMPILER
"""
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "support"))
import siglane
from processes import Failed, Processes, main, run, wait_until

BUILD_TREE, CMAKE, COMPILER = sys.argv[1:]
EXAMPLE = siglane.ROOT / "docs" / "examples" / "charging"
HOST, REALM = "gateway01.example.org", "example.org"
CAPABILITIES, CREDIT_CONTROL = 257, 272
RESULT_CODE, GRANTED_SERVICE_UNIT, CC_TIME = 268, 431, 420
SUCCESS = 2001


def expect(good, what):
    if not good:
        raise Failed(what)


def check_package(prefix):
    """Nothing of the package may lead back to the tree it came from, or tell users how to compile."""
    for script in [*prefix.rglob("*.cmake"), *prefix.rglob("*.pc")]:
        text = script.read_text()
        for leak in (str(siglane.ROOT), BUILD_TREE, "-Werror", "siglane_flags", "siglane_hardening"):
            expect(leak not in text, f"{script}: {leak}")
    share = prefix / "share" / "doc" / "siglane"
    for file in ("LICENSE", "examples/charging/charging.cpp", "examples/charging/CMakeLists.txt"):
        expect((share / file).exists(), f"{share / file} is not installed")


def check_headers(prefix, directory):
    """Those that a node of one's own needs, and no others; each includes what it needs."""
    include = prefix / "include"
    headers = sorted(str(header.relative_to(include)) for header in include.rglob("*.h"))
    expect(len(headers) > 20, f"only {len(headers)} headers are installed")
    for header in headers:
        expect(header.startswith("siglane/"), f"{header} is not in siglane/")
        expect(not re.search(r"sctp_|usrsctp_|stream_|(asp|peer|client)_session|_parts|admin_|/proto/", header),
               f"{header} is nobody else's business, and installed")
        for included in re.findall(r'#include "([^"]+)"', (include / header).read_text()):
            expect(included in headers, f"{header}: {included} is not installed")
    everything = directory / "everything.cpp"
    everything.write_text("".join(f"#include <{header}>\n" for header in reversed(headers)))
    run([COMPILER, "-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
         *pkg_config(prefix, "--cflags", "siglane-runtime"), everything], seconds=120)


def pkg_config(prefix, *arguments):
    path, = {file.parent for file in prefix.rglob("siglane-core.pc")}
    return run(["env", f"PKG_CONFIG_PATH={path}", "pkg-config", *arguments]).split()


def build_by_pkg_config(prefix, directory):
    program = directory / "charging"
    run([COMPILER, "-std=c++20", "-o", program, EXAMPLE / "charging.cpp",
         *pkg_config(prefix, "--cflags", "--libs", "siglane-runtime", "siglane-diameter")],
        seconds=240)
    run([program, "--config", EXAMPLE / "charging.json", "--check-config"])
    version, = pkg_config(prefix, "--modversion", "siglane-core")
    expect(version == run([prefix / "bin" / "siglanectl", "--version"]).split()[1],
           f"pkg-config calls it version {version}")


PARENT = """
cmake_minimum_required(VERSION 3.25)
project(parent LANGUAGES C CXX)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
enable_testing()
add_test(NAME ours COMMAND true)
add_subdirectory(@ROOT@ siglane)
add_executable(charging charging.cpp)
target_link_libraries(charging PRIVATE siglane::runtime siglane::diameter)
add_executable(bystander bystander.cpp)
install(TARGETS bystander)
"""


def check_as_part_of_another_project(directory):
    """add_subdirectory(siglane): what is the other project's stays as it is."""
    source, build = directory / "parent", directory / "parent-build"
    source.mkdir()
    (source / "CMakeLists.txt").write_text(PARENT.replace("@ROOT@", str(siglane.ROOT)))
    shutil.copy(EXAMPLE / "charging.cpp", source)
    (source / "bystander.cpp").write_text("int main() {}\n")
    run([CMAKE, "-G", "Ninja", "-S", source, "-B", build, f"-DCMAKE_CXX_COMPILER={COMPILER}",
         "-DCMAKE_BUILD_TYPE=Debug"])
    # Compiled, not linked: that would take the whole of Siglane.
    run([CMAKE, "--build", build, "--target", "bystander", "CMakeFiles/charging.dir/charging.cpp.o"],
        seconds=240)
    theirs = [entry for entry in json.loads((build / "compile_commands.json").read_text())
              if pathlib.Path(entry["file"]).parent == source]
    expect(len(theirs) == 2, f"its files are {[entry['file'] for entry in theirs]}")
    for entry in theirs:
        for flag in ("-Wall", "-Werror", "-fstack-protector-strong", f"-I{siglane.ROOT} "):
            expect(flag not in entry["command"], f"{entry['file']} is compiled with {flag}")
    listed = run(["ctest", "--test-dir", build, "--show-only=json-v1"])
    names = [test["name"] for test in json.loads(listed)["tests"]]
    expect(names == ["ours"], f"its tests are {names}")
    expect((build / "bystander").exists(), "its program is not where it belongs")
    installs = (build / "cmake_install.cmake").read_text() + "".join(
        script.read_text() for script in build.rglob("siglane/cmake_install.cmake"))
    expect("siglane-hss" not in installs, "it would install Siglane")


def check_readme():
    source = (EXAMPLE / "charging.cpp").read_text()
    excerpts = re.findall(r"```cpp\n(.*?)```", (siglane.ROOT / "README.md").read_text(), re.S)
    expect(excerpts, "README.md shows no C++")
    for excerpt in excerpts:
        expect(excerpt in source, f"README.md shows what charging.cpp does not say:\n{excerpt}")


# Diameter as RFC 6733 §3 and §4.1 draw it, from scratch: nothing of ours is trusted here.
def avp(code, value):
    data = struct.pack("!I", value) if isinstance(value, int) else value
    data = data.encode() if isinstance(data, str) else data
    return struct.pack("!II", code, 0x40 << 24 | 8 + len(data)) + data + bytes(-len(data) % 4)


def request(command, application, *avps):
    body = b"".join(avps)
    return struct.pack("!IIIII", 1 << 24 | 20 + len(body), 0x80 << 24 | command, application, 7, 9) + body


def members(data):
    found = {}
    while data:
        code, length = struct.unpack("!II", data[:8])
        length &= 0xFFFFFF
        found[code] = data[8:length]
        data = data[length + -length % 4 :]
    return found


def ask(node, message):
    node.sendall(message)
    stream = node.makefile("rb")
    header = stream.read(20)
    return members(stream.read(int.from_bytes(header[1:4], "big") - 20))


def number(data):
    return int.from_bytes(data, "big")


def connect(address):
    try:
        return socket.create_connection((address, 3868), timeout=20)
    except ConnectionRefusedError:
        return None


def check_counters(siglanectl, admin_socket):
    """What the example counts stands beside what Siglane counts."""
    table = run([siglanectl, "--socket", admin_socket, "stats"])
    for name, value in ("charging.calls_granted", 1), ("charging.seconds_granted", 60):
        expect(re.search(rf"^{re.escape(name)} +{value}$", table, re.M), f"no {name} in\n{table}")
    table = run([siglanectl, "--socket", admin_socket, "stats", "--labels"])
    expect(re.search(r"^diameter\.answers\.sent +application=Credit-Control command=Credit-Control "
                     r"result=DIAMETER_SUCCESS +1$", table, re.M), f"no answer in\n{table}")
    table = run([siglanectl, "--socket", admin_socket, "stats", "--peer", "gateway01"])
    expect(re.search(r"^gateway01 +messages\.received +1$", table, re.M), f"no request in\n{table}")


def test(directory):
    prefix, build = directory / "prefix", directory / "build"
    run([CMAKE, "--install", BUILD_TREE, "--prefix", prefix])
    check_package(prefix)
    check_headers(prefix, directory)
    check_readme()
    check_as_part_of_another_project(directory)
    run([prefix / "bin" / "siglane-hss", "--check-config", "--config",
         prefix / "share" / "siglane" / "hss.json"])

    run([CMAKE, "-G", "Ninja", "-S", EXAMPLE, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}",
         f"-DCMAKE_CXX_COMPILER={COMPILER}"])
    run([CMAKE, "--build", build], seconds=240)
    build_by_pkg_config(prefix, directory)

    # The example's port, on a loopback address that no other run of this test has.
    address = "127.77.{}.{}".format(*divmod(os.getpid() % 65536, 256))
    text = (EXAMPLE / "charging.json").read_text().replace("127.0.0.1", address)
    config = directory / "charging.json"
    config.write_text(text)
    with Processes(directory) as programs:
        charging = programs.start("charging", [build / "charging", "--config", config,
                                               "--admin-socket", directory / "charging.sock"])
        with wait_until(lambda: connect(address), 20, "the node listens") as node:
            identity = avp(264, HOST) + avp(296, REALM)
            capabilities = ask(node, request(
                CAPABILITIES, 0, identity, avp(257, b"\0\1\x7f\0\0\1"), avp(266, 0),
                avp(269, "gateway"), avp(258, 4)))
            expect(number(capabilities[RESULT_CODE]) == SUCCESS, "capabilities are refused")
            answer = ask(node, request(
                CREDIT_CONTROL, 4, avp(263, "gateway01;1"), identity, avp(283, REALM), avp(258, 4),
                avp(461, "voice@example.org"), avp(416, 1), avp(415, 0)))
            expect(number(answer[RESULT_CODE]) == SUCCESS, f"an answer like {answer}")
            granted = members(answer[GRANTED_SERVICE_UNIT])
            expect(number(granted[CC_TIME]) == 60, f"granted {granted}")
            check_counters(prefix / "bin" / "siglanectl", directory / "charging.sock")
        expect(charging.stop(20) == 0, "the node does not stop gracefully")


main(test)
