#!/usr/bin/env python3
"""What a hundred new configs do to peers that they do not concern: an STP under siglane-load.

    reload_bench.py BINARIES [SECONDS] [ROUNDS]

Twenty ASPs exchange DATA over TCP through an STP of two shards. Each round runs for SECONDS without
a new config, and then for as long with a hundred, each of which adds or removes five other ASPs,
five Application Servers and five routes. Prints one JSON object: the medians of their p99, how much
was lost, and how many configs were followed.
"""
import json
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import network
import siglane
from processes import Failed, Processes, main, patience

ASPS, RATE, RELOADS, MORE = 20, 200, 100, 5


def stp_config(more):
    numbers = [*range(1, ASPS + 1), *range(901, 901 + more)]
    config = siglane.endpoint(siglane.example("stp"), "tcp")
    config["runtime"] = {"shards": 2}
    config["log"] = {"level": "warning"}
    config["m3ua"] = {
        "asps": [{"name": f"asp{n}", "asp_identifier": n, "remote_addresses": ["127.0.0.1"]}
                 for n in numbers],
        "application_servers": [
            {"name": f"as{n}", "routing_context": 100 + n, "traffic_mode": "loadshare",
             "asps": [f"asp{n}"]} for n in numbers],
        "routes": [{"dpc": 1000 + n, "as": f"as{n}"} for n in numbers],
    }
    return config


def load_config(seconds):
    config = siglane.endpoint(siglane.example("load-m3ua"), "tcp")
    config["load"].update(
        duration_ms=seconds * 1000,
        warm_up_ms=1000,
        connect_timeout_ms=20000 * patience(),
        drain_max_ms=10000 * patience(),
        progress_interval_ms=0,
        target={"name": "stp", "remote_addresses": ["127.0.0.1"], "port": 2905,
                "connect": {"endpoint": config["endpoints"][0]["name"]}},
        groups=[{"name": "asps", "count": ASPS, "within_group": True, "asp": "asp%u",
                 "asp_identifier_first": 1, "routing_context_first": 101,
                 "point_code_first": 1001, "mode": "open_loop", "messages_per_second": RATE,
                 "payload_bytes_min": 100, "payload_bytes_max": 100}],
    )
    return config


def reload(ours, more):
    config = {**stp_config(more), "admin": {"socket": str(ours.directory / "stp.sock")}}
    siglane.write(ours.directory, "stp", config)
    done = subprocess.run(
        [ours.binaries / "siglanectl", "--socket", ours.directory / "stp.sock", "reload"],
        check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0 or "now revision" not in done.stdout:
        raise Failed(f"reload said {done.stdout!r}")


def run(ours, name, seconds, reloads):
    load = ours.start_load("m3ua", name, load_config(seconds))
    began = time.monotonic()
    for n in range(reloads):
        reload(ours, 0 if n % 2 else MORE)
        # Spread over the run, whatever each takes.
        time.sleep(max(0, began + (n + 1) * seconds / (reloads + 1) - time.monotonic()))
    status = load.wait((seconds + 60) * patience())
    report = ours.report_of(name)
    if status != 0:
        raise Failed(f"siglane-load ended with {status}: {report['reasons']}\n{load.tail()}")
    return report["total"]


def measure(directory):
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    p99 = {"undisturbed": [], "reloaded": []}
    lost = followed = 0
    with Processes(directory) as processes:
        ours = siglane.Siglane(sys.argv[1], processes)
        ours.start_node("siglane-stp", "stp", stp_config(0))
        for number in range(rounds):
            for kind, reloads in (("undisturbed", 0), ("reloaded", RELOADS)):
                total = run(ours, f"{kind}-{number}", seconds, reloads)
                p99[kind].append(total["latency_us"]["p99"])
                lost += total["sent"] - total["answered"]
                followed += reloads
    medians = {f"{kind}_p99_us": statistics.median(values) for kind, values in p99.items()}
    print(json.dumps({**medians, "lost": lost, "configs": followed}))


network.enter()
main(measure, announce=False)
