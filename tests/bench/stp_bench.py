#!/usr/bin/env python3
"""Instructions for each forwarded MSU: siglane-stp and osmo-stp under the same traffic.

    stp_bench.py BINARIES [SECONDS] [WINDOW]

To be run where a nanosecond of CPU time is one instruction (scripts/with-kernel-sctp -i).
siglane-load's ASPs send DATA to each other in a closed loop, WINDOW at a time for each ASP. What
the gateway's process ran, in user code and in the kernel, is divided by the messages that arrived.
Prints one JSON object.
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import network
import siglane
from osmo_stp import M3UA_PORT, OsmoStp
from processes import Failed, Processes, main, patience

ADDRESS, OSMO_ADDRESS = "127.0.0.1", "127.0.0.3"
FIRST_PORT, FIRST_CONTEXT, FIRST_POINT_CODE = 2911, 101, 1001
ASPS, PAYLOAD_BYTES = 4, 100
TRANSPORT = "kernel-sctp"


def names():
    return [f"asp{n + 1}" for n in range(ASPS)]


def stp_config():
    config = siglane.endpoint(siglane.example("stp"), TRANSPORT, addresses=[ADDRESS],
                              port=M3UA_PORT)
    asps = [
        {"name": name, "asp_identifier": n + 1, "remote_addresses": [ADDRESS]}
        for n, name in enumerate(names())
    ]
    servers = [
        {"name": f"as-{name}", "routing_context": FIRST_CONTEXT + n, "traffic_mode": "override",
         "asps": [name]}
        for n, name in enumerate(names())
    ]
    routes = [{"dpc": FIRST_POINT_CODE + n, "as": f"as-{name}"} for n, name in enumerate(names())]
    config["m3ua"] = {**config["m3ua"], "asps": asps, "application_servers": servers,
                      "routes": routes}
    return config


def load_config(target, seconds, window):
    config = siglane.endpoint(siglane.example("load-m3ua"), TRANSPORT, addresses=[ADDRESS],
                              port=FIRST_PORT)
    config["load"].update(
        duration_ms=seconds * 1000,
        warm_up_ms=0,
        connect_timeout_ms=20000 * patience(),
        drain_max_ms=10000 * patience(),
        progress_interval_ms=0,
        target={"name": "stp", "remote_addresses": [target], "port": M3UA_PORT,
                "connect": {"endpoint": config["endpoints"][0]["name"]}},
        groups=[{"name": "asps", "count": ASPS, "asp": "asp%u", "asp_identifier_first": 1,
                 "routing_context_first": FIRST_CONTEXT, "point_code_first": FIRST_POINT_CODE,
                 "mode": "closed_loop", "window": window, "payload_bytes_min": PAYLOAD_BYTES,
                 "payload_bytes_max": PAYLOAD_BYTES}],
    )
    return config


def forward(programs, name, gateway, target, seconds, window):
    before = gateway.run_nanoseconds()
    load = programs.start_load("m3ua", name, load_config(target, seconds, window))
    status = load.wait((seconds + 60) * patience())
    spent = gateway.run_nanoseconds() - before
    report = programs.report_of(name)
    if status != 0 or not report["ok"]:
        raise Failed(f"siglane-load ended with {status}: {report['reasons']}\n{load.tail()}")
    arrived = report["total"]["answered"]
    return {"messages": arrived, "instructions_per_message": spent / arrived,
            "rate": report["total"]["answered_per_second"]}


def measure(directory):
    binaries = sys.argv[1]
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    window = int(sys.argv[3]) if len(sys.argv) > 3 else 8
    with Processes(directory) as processes:
        programs = siglane.Siglane(binaries, processes)
        stp = programs.start_node("siglane-stp", "stp", stp_config())
        ours = forward(programs, "load-siglane", stp, ADDRESS, seconds, window)
        stp.stop(10 * patience())
        asps = [(name, ADDRESS, FIRST_PORT + n) for n, name in enumerate(names())]
        servers = [
            (f"as-{name}", FIRST_CONTEXT + n, FIRST_POINT_CODE + n, name)
            for n, name in enumerate(names())
        ]
        osmo = OsmoStp(processes, OSMO_ADDRESS, asps, servers)
        theirs = forward(programs, "load-osmo", osmo.process, OSMO_ADDRESS, seconds,
                         window)
    print(json.dumps({"siglane-stp": ours, "osmo-stp": theirs}))


network.enter()
main(measure, announce=False)
