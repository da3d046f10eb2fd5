#!/usr/bin/env python3
"""Osmocom's STP as the gateway of siglane-load, and as an ASP of siglane-stp.

    osmo_stp_test.py BINARIES SCENARIO

SCENARIO:
  as-stp  osmo-stp is the gateway, siglane-load its ASPs: DATA from ASP to ASP
  as-asp  siglane-load's ASPs are at siglane-stp, and so is osmo-stp, as one more. siglane-stp sends
          what comes from them, known by its network appearance, to osmo-stp, which sends it back
          without one, and then siglane-stp delivers it: every message goes through both

In both, siglane-load judges that nothing is lost, doubled, changed or reordered, and tshark reads
the capture of all that was on the wire.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import network
import siglane
from capture import Capture
from osmo_stp import M3UA_PORT, OsmoStp
from processes import Failed, Processes, main, patience

ADDRESS = "127.0.0.1"
OSMO_ADDRESS = "127.0.0.3"
FIRST_PORT, FIRST_CONTEXT, FIRST_POINT_CODE = 2911, 101, 1001
ASPS = 3
OSMO_CONTEXT, OSMO_PORT = 900, 2906
APPEARANCE = 7
SERVICE_INDICATOR = 15  # spare (ITU-T Q.704 §14.2.1)
TRANSPORT = "kernel-sctp"


def names():
    return [f"asp{n + 1}" for n in range(ASPS)]


def load_config(target, appearance=None):
    config = siglane.endpoint(siglane.example("load-m3ua"), TRANSPORT, addresses=[ADDRESS],
                              port=FIRST_PORT)
    load = config["load"]
    load.update(
        duration_ms=5000,
        warm_up_ms=0,
        connect_timeout_ms=20000 * patience(),
        drain_max_ms=10000 * patience(),
        # Not SCCP, which this traffic only pretends to be: tshark would look into it.
        service_indicator=SERVICE_INDICATOR,
        groups=[
            {
                "name": "asps",
                "count": ASPS,
                "asp": "asp%u",
                "asp_identifier_first": 1,
                "routing_context_first": FIRST_CONTEXT,
                "point_code_first": FIRST_POINT_CODE,
                "mode": "open_loop",
                "messages_per_second": 40,
                "payload_bytes_min": 8,
                "payload_bytes_max": 272,
            }
        ],
    )
    load["target"] = {
        "name": "stp",
        "remote_addresses": [target],
        "port": M3UA_PORT,
        "connect": {"endpoint": config["endpoints"][0]["name"]},
    }
    if appearance is not None:
        load["network_appearance"] = appearance
    return config


def stp_config():
    """Two routes to each point code: by way of osmo-stp with the appearance, directly without."""
    config = siglane.endpoint(siglane.example("stp"), TRANSPORT, addresses=[ADDRESS],
                              port=M3UA_PORT)
    asps = [
        {"name": name, "asp_identifier": n + 1, "remote_addresses": [ADDRESS]}
        for n, name in enumerate(names())
    ]
    asps.append({"name": "osmo", "remote_addresses": [OSMO_ADDRESS]})
    servers = [
        {
            "name": f"as-{name}",
            "routing_context": FIRST_CONTEXT + n,
            "network_appearance": APPEARANCE,
            "traffic_mode": "override",
            "asps": [name],
        }
        for n, name in enumerate(names())
    ]
    servers.append({"name": "as-osmo", "routing_context": OSMO_CONTEXT, "traffic_mode": "override",
                    "asps": ["osmo"]})
    routes = []
    for n, name in enumerate(names()):
        code = FIRST_POINT_CODE + n
        routes.append({"dpc": code, "network_appearance": APPEARANCE, "as": "as-osmo"})
        routes.append({"dpc": code, "as": f"as-{name}"})
    config["m3ua"] = {**config["m3ua"], "asps": asps, "application_servers": servers,
                      "routes": routes}
    return config


def run_traffic(programs, config):
    load = programs.start_load("m3ua", "load", config)
    status = load.wait(90 * patience())
    report = programs.report_of("load")
    if status != 0 or not report["ok"]:
        raise Failed(f"siglane-load ended with {status}: {report['reasons']}\n{load.tail()}")
    total = report["total"]
    if total["answered"] != total["sent"] or total["answered"] < 100:
        raise Failed(f"{total['answered']} of {total['sent']} arrived")
    print(f"traffic: {total['answered']} arrived in order")
    return total["answered"]


def expect_data(capture, count):
    capture.expect_no_problems()
    table = capture.table("m3ua.message_class", "m3ua.message_type", "sctp.data_payload_proto_id")
    protocols = {protocol for _, _, protocols in table for protocol in protocols}
    if protocols != {"3"}:
        raise Failed(f"payload protocol identifiers in the capture: {protocols}")
    # Several messages share a packet: count them, not the packets.
    data = sum(pair == ("1", "1") for row in table for pair in zip(row[0], row[1]))
    if data < count:
        raise Failed(f"{data} DATA messages in the capture, expected at least {count}")


def as_stp(processes, programs):
    asps = [(name, ADDRESS, FIRST_PORT + n) for n, name in enumerate(names())]
    servers = [
        (f"as-{name}", FIRST_CONTEXT + n, FIRST_POINT_CODE + n, name)
        for n, name in enumerate(names())
    ]
    OsmoStp(processes, OSMO_ADDRESS, asps, servers)
    return 2 * run_traffic(programs, load_config(OSMO_ADDRESS))


def as_asp(processes, programs):
    stp = programs.start_node("siglane-stp", "stp", stp_config())
    osmo = OsmoStp(processes, OSMO_ADDRESS, gateway=(ADDRESS, M3UA_PORT, OSMO_PORT),
                   servers=[("as-gateway", OSMO_CONTEXT, 1, "gateway")], default_route="as-gateway")
    osmo.wait_until_active(30)
    count = run_traffic(programs, load_config(ADDRESS, APPEARANCE))
    status = stp.stop(20 * patience())
    if status != 0:
        raise Failed(f"siglane-stp ended with status {status}:\n{stp.tail()}")
    return 4 * count


def test(directory):
    binaries, scenario = sys.argv[1:]
    with Processes(directory) as processes:
        programs = siglane.Siglane(binaries, processes)
        capture = Capture(processes, "m3ua", "sctp")
        count = {"as-stp": as_stp, "as-asp": as_asp}[scenario](processes, programs)
        capture.stop()
        expect_data(capture, count)


network.enter()
main(test)
