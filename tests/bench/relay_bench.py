#!/usr/bin/env python3
"""What a hop costs: siglane-load to siglane-hss over TCP, directly and by way of freeDiameter.

    relay_bench.py BINARIES [SECONDS] [ROUNDS]

The same HSS, subscribers and traffic in both; closed loop, so the rate is the most that passes. The
two alternate within one run. Prints one JSON object: medians over the rounds.
"""
import json
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import network
import siglane
from freediameter import FreeDiameter
from processes import Failed, Processes, main

HOME = "epc.mnc001.mcc001.3gppnetwork.org"
VISITED = "epc.mnc002.mcc001.3gppnetwork.org"
HSS = f"hss.{HOME}"
HSS_PORT, RELAY_PORT = 3868, 3869
MMES, WINDOW = 4, 16


def hss_config():
    config = siglane.endpoint(siglane.hss_example(), "tcp", addresses=["127.0.0.1"], port=HSS_PORT)
    peers = [
        {"name": f"mme{n:02}", "origin_host": f"mme{n:02}.{VISITED}", "realm": VISITED}
        for n in range(1, MMES + 1)
    ]
    peers.append({"name": "relay", "origin_host": FreeDiameter.IDENTITY,
                  "routed_realms": [VISITED]})
    config["diameter"].update(origin_host=HSS, origin_realm=HOME, peers=peers)
    return config


def load_config(host, port, seconds, **agent):
    config = siglane.endpoint(siglane.example("load-s6a"), "tcp")
    peer = {"name": "target", "origin_host": host, "realm": HOME, "port": port,
            "remote_addresses": ["127.0.0.1"],
            "connect": {"endpoint": config["endpoints"][0]["name"]}, **agent}
    config["diameter"].update(origin_host=f"mme.{VISITED}", origin_realm=VISITED, peers=[peer])
    config["load"].update(
        duration_ms=seconds * 1000,
        warm_up_ms=500,
        destination_realm=HOME,
        groups=[{"name": "all", "count": MMES, "origin_host": f"mme%02u.{VISITED}",
                 "mode": "closed_loop", "window": WINDOW}],
    )
    return config


def one_run(programs, name, config, watched):
    """Requests per second, and CPU per request of each watched program, in user code and kernel."""
    before = [sum(process.cpu_seconds()) for process in watched]
    load = programs.start_load("s6a", name, config)
    status = load.wait(config["load"]["duration_ms"] / 1000 + 60)
    spent = [sum(p.cpu_seconds()) - b for p, b in zip(watched, before)]
    report = programs.report_of(name)
    if status != 0 or not report["ok"]:
        raise Failed(f"siglane-load ended with {status}: {report['reasons']}\n{load.tail()}")
    total = report["total"]
    return {
        "rate": total["answered_per_second"],
        "p50_us": total["latency_us"]["p50"],
        "p99_us": total["latency_us"]["p99"],
        "cpu_us": [seconds * 1e6 / total["answered"] for seconds in spent],
    }


def medians(runs):
    columns = zip(*(run["cpu_us"] for run in runs))
    result = {key: statistics.median(run[key] for run in runs) for key in ("rate", "p50_us", "p99_us")}
    result["cpu_us"] = [statistics.median(column) for column in columns]
    return result


def measure(directory):
    binaries = sys.argv[1]
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    with Processes(directory) as processes:
        programs = siglane.Siglane(binaries, processes)
        hss = programs.start_node("siglane-hss", "hss", hss_config(), "--database",
                                  directory / "hss.db")
        relay = FreeDiameter(processes, HSS, HSS_PORT, RELAY_PORT, [HOME, VISITED],
                             log_messages=False)
        relay.wait_for_peer(HSS, 20)
        direct, relayed = [], []
        for n in range(rounds):
            direct.append(one_run(programs, f"direct-{n}", load_config(HSS, HSS_PORT, seconds),
                                  [hss]))
            relayed.append(one_run(programs, f"relayed-{n}",
                                   load_config(FreeDiameter.IDENTITY, RELAY_PORT, seconds,
                                               routed_realms=[HOME]),
                                   [hss, relay.process]))
    print(json.dumps({"direct": medians(direct), "relayed": medians(relayed)}))


network.enter()
main(measure, announce=False)
