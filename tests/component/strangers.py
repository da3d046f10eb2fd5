#!/usr/bin/env python3
"""A thousand strangers keep idle connections up, and every peer gets in all the same, at once.

    strangers.py BINARIES

An HSS that may open 1,024 files, over TCP and over TLS. The strangers connect, say nothing, and
come again as soon as they are closed. Meanwhile twenty MMEs, one after another, connect and send
their CER: each must have its CEA within a second (on a machine that is so busy that it takes more
than a tenth of one without strangers, within ten times as long as that). Once where no peer has an address in the config,
so that strangers and MMEs come from the same one; once where all have. The node tells of all those
strangers in one line a minute.
"""
import pathlib
import socket
import ssl
import sys
import time

SUPPORT = pathlib.Path(__file__).resolve().parent.parent / "support"
sys.path.insert(0, str(SUPPORT))
import certificates
import network
import siglane
from processes import Failed, Processes, main, patience
from raw_peers import Mme

STRANGERS = 1000
MMES = 20
DESCRIPTORS = 1024
WITHIN_SECONDS = 1.0
ADDRESS, ELSEWHERE = "127.0.0.1", "127.0.0.2"
PORT = 3868
REALM = "epc.mnc001.mcc001.3gppnetwork.org"


def host(number):
    return f"mme{number:02}.{REALM}"


def hss_config(transport, files, addresses):
    config = siglane.hss_example()
    config["endpoints"][0].update(transport=transport, addresses=[ADDRESS], port=PORT)
    config["endpoints"][0].pop("udp_encapsulation")
    if files is not None:
        certificate, key = files.issue("hss", f"hss01.{REALM}")
        config["endpoints"][0]["tls"] = {"certificate": str(certificate), "key": str(key),
                                         "ca": str(files.file)}
    config["log"] = {"level": "info"}
    config["admission"].pop("unidentified_associations_max", None)
    config["diameter"]["peers"] = [
        {"name": f"mme{n:02}", "origin_host": host(n), **addresses} for n in range(1, MMES + 1)]
    return config


def greet(number, security, within=30):
    """Connects one MME; how long it took until it had its CEA."""
    began = time.monotonic()
    with socket.create_connection((ADDRESS, PORT), within) as connection:
        if security is not None:
            connection = security.wrap_socket(connection, server_hostname=f"hss01.{REALM}")
        Mme(host(number), []).greet(connection)
        took = time.monotonic() - began
        connection.close()
    return took


def crowd(programs, name, transport, addresses, strangers_from):
    files = security = None
    if transport == "tls":
        files = certificates.Authority(programs.directory)
    config = hss_config(transport, files, addresses)
    if files is not None:
        security = [ssl.create_default_context(cafile=files.file) for _ in range(MMES)]
        for number, context in enumerate(security, 1):
            context.load_cert_chain(*files.issue(f"mme{number:02}", host(number)))
    ours = siglane.Siglane(sys.argv[1], programs)
    limit = f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"
    hss = ours.start_node("siglane-hss", name, config, by=["prlimit", limit])
    mmes = range(1, MMES + 1)
    calm = max(greet(n, security[n - 1] if security else None) for n in mmes)
    within = max(WITHIN_SECONDS * patience(), 10 * calm)
    strangers = programs.start(f"{name}-strangers", [
        sys.executable, SUPPORT / "idle_strangers.py", strangers_from, ADDRESS, PORT, STRANGERS])
    strangers.wait_for("all have come", 20 * patience())
    began = time.monotonic()
    took = []
    for number in mmes:
        try:
            took.append(greet(number, security[number - 1] if security else None, within))
        except OSError as error:
            raise Failed(f"{name}: {host(number)} did not get in: {error}") from None
    lasted = time.monotonic() - began
    print(f"{name}: {len(took)} MMEs were in after {min(took):.3f} to {max(took):.3f} s each",
          flush=True)
    if max(took) > within:
        raise Failed(f"{name}: one took {max(took):.3f} s")
    seen = ours.ask(hss, "stats")
    told = hss.count("strangers_seen")
    if not 1 <= told <= 1 + lasted // 60:
        raise Failed(f"{name}: {told} lines about the strangers in {lasted:.0f} s")
    others = [line for line in hss.lines() if "peer_refused" in line or "facts_suppressed" in line
              or ("association_closed" in line and "peer=mme" not in line)]
    if others:
        raise Failed(f"{name}: the log has more of them: {others[:5]}")
    if seen["transport.accepts_failed"]:
        raise Failed(f"{name}: descriptors ran out")
    turned_away = seen["associations.gave_way"] + seen["associations.refused.address"]
    print(f"{name}: strangers were turned away {turned_away} times", flush=True)
    if turned_away < STRANGERS / 4:
        raise Failed(f"{name}: this was no crowd")
    strangers.stop(10 * patience())
    if hss.stop(30 * patience()) != 0:
        raise Failed(f"{name}: the HSS did not end well")


def strangers(directory):
    network.enter()
    with Processes(directory) as programs:
        for transport in ("tcp", "tls"):
            crowd(programs, f"{transport}-anywhere", transport, {}, ADDRESS)
            crowd(programs, f"{transport}-addresses", transport, {"remote_addresses": [ADDRESS]},
                  ELSEWHERE)


if __name__ == "__main__":
    main(strangers)
