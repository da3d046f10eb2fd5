#!/usr/bin/env python3
"""Architecture as a test: reads every #include and fails on an arrow the design does not draw.

    architecture_test.py [ROOT]

Who may include whom, which rooms may touch sockets, libuv, threads and clocks, and that every
switch over an enumeration of ours does without a default. And that core/ names no protocol and no
application, in code or comments.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()

# Room -> rooms it may include, besides itself. The longest matching prefix names a file's room.
ARROWS = {
    "core": set(),
    # What the folders of transport/ share, and TransportSet, which sees them all.
    "transport": {"core", "transport/loop", "transport/peeling", "transport/sctp/kernel",
                  "transport/sctp/usrsctp", "transport/stream", "transport/secure"},
    "transport/loop": {"core"},
    "transport/peeling": {"core"},
    "transport/secure": {"core", "transport"},
    "transport/sctp": {"core", "transport", "transport/loop", "transport/peeling", "transport/secure"},
    "transport/sctp/kernel": {"core", "transport", "transport/loop", "transport/peeling", "transport/sctp"},
    "transport/sctp/usrsctp": {"core", "transport", "transport/loop", "transport/peeling", "transport/sctp"},
    "transport/stream": {"core", "transport", "transport/loop", "transport/secure"},
    "protocols/diameter": {"core"},
    "protocols/m3ua": {"core"},
    "proto": {"core"},
    "apps/runtime": {"core", "transport", "transport/loop", "transport/peeling", "transport/secure",
                     "protocols/diameter", "protocols/m3ua", "proto"},
    "apps/ctl": {"core", "proto", "apps/runtime"},
    "apps/hss": {"core", "protocols/diameter", "apps/runtime"},
    "apps/stp": {"core", "protocols/m3ua", "apps/runtime"},
    "apps/load": {"core", "transport", "transport/loop", "protocols/diameter", "protocols/m3ua", "apps/runtime"},
}

SOCKETS = re.compile(r"^(sys/socket\.h|netinet/.*|arpa/.*|netdb\.h|uv\.h|usrsctp\.h|linux/sctp\.h|poll\.h|sys/epoll\.h|sys/un\.h)$")
THREADS = re.compile(r"^(thread|pthread\.h|condition_variable|future|semaphore|barrier|latch)$")
CLOCKS = re.compile(r"\b(system_clock|steady_clock|high_resolution_clock)\b|\b(clock_gettime|gettimeofday|uv_hrtime|uv_now|time)\s*\(\s*(nullptr|NULL|0|CLOCK_|&)")
CHANCE = re.compile(r"\b(std::random_device|std::rand|mt19937)\b|\brand\(\)")
LOGGING = re.compile(r"\bspdlog\b|\bstd::c(out|err|log)\b|\b(f?printf)\s*\(")

MAY_USE_SOCKETS = {"transport", "transport/loop", "transport/sctp/kernel", "transport/sctp/usrsctp",
                   "transport/stream", "apps/runtime", "apps/ctl"}
# Libraries whose headers stay where they are wrapped.
WRAPPED = (
    (re.compile(r"^uv\.h$"), {"transport/loop", "apps/runtime", "apps/ctl"}),
    (re.compile(r"^(netinet|linux)/sctp\.h$"), {"transport/sctp/kernel"}),
    (re.compile(r"^usrsctp\.h$"), {"transport/sctp/usrsctp"}),
)
# Sees all folders of transport/, and none of them sees it.
WHOLE_TRANSPORT = "transport/transport_set.h"
PURE = {"core", "protocols/diameter", "protocols/m3ua"}
# Threads in core: buffers go home across threads, so the pool asks which thread it is on.
MAY_NAME_THREADS = {"core/buffer.cpp"}
# Before main(), with nobody to log: a counter that is defined wrongly says so and ends the program.
MAY_SAY_WHY_IT_ENDS = {"core/counter.cpp"}

# What core/ must not name, nor in names of code: hss_requests.
STRANGERS_TO_CORE = re.compile(r"(?<![a-z])(diameter|m3ua|hss|stp|s6a)(?![a-z])", re.I)
# The registry of payload protocols (enum PayloadProtocol), until protocols bring their own.
MAY_NAME_PROTOCOLS = {"core/association.h": re.compile(r"^\s*(m3ua = 3|diameter = 46|diameter_dtls = 47),?\s*$")}

failures = []


def fail(path, line, what):
    failures.append(f"{path.relative_to(ROOT)}:{line}: {what}")


def room_of(relative):
    matches = [room for room in ARROWS if relative == room or relative.startswith(room + "/")]
    return max(matches, key=len) if matches else None


def strip_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    return re.sub(r"//[^\n]*", "", text)


def check_core(path, relative):
    allowed = MAY_NAME_PROTOCOLS.get(relative)
    for number, line in enumerate(path.read_text().split("\n"), 1):
        match = STRANGERS_TO_CORE.search(line)
        if match and not (allowed and allowed.match(line)):
            fail(path, number, f"core names no protocol and no application: {match.group()}")


def check_file(path):
    relative = str(path.relative_to(ROOT))
    room = room_of(relative)
    if room is None:
        return
    if room == "core":
        check_core(path, relative)
    code = strip_comments(path.read_text())
    for number, line in enumerate(code.split("\n"), 1):
        include = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if include:
            quoted, target = include.group(1) == '"', include.group(2)
            target_room = room_of(target)
            if quoted and target.startswith("tests/"):
                fail(path, number, "nothing outside tests/ may include from tests/")
            if quoted and target_room and target_room != room and target_room not in ARROWS[room]:
                fail(path, number, f"{room} may not include {target_room} ({target})")
            if quoted and target == WHOLE_TRANSPORT and room.startswith("transport/"):
                fail(path, number, f"a folder of transport/ may not include {target}")
            for library, rooms in WRAPPED:
                if library.match(target) and room not in rooms:
                    fail(path, number, f"{target} stays in {', '.join(sorted(rooms))}")
            if SOCKETS.match(target) and room not in MAY_USE_SOCKETS:
                fail(path, number, f"sockets and libuv stay in transport/: {target}")
            if room in PURE and THREADS.match(target) and relative not in MAY_NAME_THREADS:
                fail(path, number, f"no threads in {room}: {target}")
            continue
        if room in PURE:
            for pattern, word in ((CLOCKS, "clock"), (CHANCE, "random source"), (LOGGING, "logging")):
                # snprintf into a buffer is not logging
                match = pattern.search(line.replace("snprintf", ""))
                excused = word == "logging" and relative in MAY_SAY_WHY_IT_ENDS
                if match and not excused:
                    fail(path, number, f"no {word} in {room}: {match.group().strip()}")


def main():
    checked = 0
    for top in ("core", "transport", "protocols", "proto", "apps"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".h", ".cpp") and path.is_file():
                check_file(path)
                checked += 1
    if checked < 10:
        failures.append(f"only {checked} files found below {ROOT}")
    for failure in failures:
        print(failure)
    print(f"{checked} files, {len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
