#!/usr/bin/env python3
"""freeDiameter as a relay between siglane-load and siglane-hss.

    freediameter_relay_test.py BINARIES TRANSPORT SCENARIO

TRANSPORT: tcp, kernel-sctp, or tls: then the relay reaches siglane-hss by TLS over TCP, and
siglane-load reaches the relay by TCP. SCENARIO: who watches and who says goodbye:
  relay-watches    the relay sends DWRs to both and leaves with a DPR to both
  siglane-watches  siglane-hss and siglane-load send DWRs to the relay and leave with a DPR each

In both, first two MMEs send AIR, ULR and PUR through the relay, and the HSS sends CLR back through
it; then one idle MME stays. The relay logs every message as it understood it, and tshark reads the
capture of all that was on the wire.
"""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import network
import siglane
from capture import Capture
from certificates import Authority
from freediameter import FreeDiameter
from processes import Failed, Processes, main, patience

HOME = "epc.mnc001.mcc001.3gppnetwork.org"
VISITED = "epc.mnc002.mcc001.3gppnetwork.org"
HSS = f"hss.{HOME}"
HSS_PORT, HSS_TLS_PORT, RELAY_PORT = 3868, 5658, 3869
CAPABILITIES, WATCHDOG, DISCONNECT = 257, 280, 282
UPDATE_LOCATION, CANCEL_LOCATION, AUTHENTICATION_INFORMATION, PURGE = 316, 317, 318, 321
TO, FROM = "SND to", "RCV from"
SHORT_WATCHDOG_S, LONG_WATCHDOG_S = 6, 300


def hss_config(transport, watchdog_s, authority):
    changes = {"addresses": ["127.0.0.1"], "port": HSS_PORT}
    if authority is not None:
        certificate, key = authority.issue("hss", HSS)
        changes["port"] = HSS_TLS_PORT
        changes["tls"] = {"certificate": str(certificate), "key": str(key),
                          "ca": str(authority.file)}
    config = siglane.endpoint(siglane.hss_example(), transport, **changes)
    config["diameter"].update(
        origin_host=HSS,
        origin_realm=HOME,
        watchdog_ms=watchdog_s * 1000,
        peers=[
            {
                "name": "relay",
                "origin_host": FreeDiameter.IDENTITY,
                "remote_addresses": ["127.0.0.1", network.ADDRESS],
                "routed_realms": [VISITED],
            }
        ],
    )
    return config


def load_config(transport, watchdog_s, groups, duration_s):
    config = siglane.endpoint(siglane.example("load-s6a"), transport)
    config["diameter"].update(
        origin_host=f"mme.{VISITED}",
        origin_realm=VISITED,
        watchdog_ms=watchdog_s * 1000,
        peers=[
            {
                "name": "relay",
                "origin_host": FreeDiameter.IDENTITY,
                "realm": FreeDiameter.REALM,
                # The HSS answers through it, and sends CLR.
                "routed_realms": [HOME],
                "remote_addresses": ["127.0.0.1"],
                "port": RELAY_PORT,
                "connect": {"endpoint": config["endpoints"][0]["name"]},
            }
        ],
    )
    config["load"].update(
        duration_ms=duration_s * 1000,
        warm_up_ms=0,
        connect_timeout_ms=20000 * patience(),
        drain_max_ms=10000 * patience(),
        # Few subscribers, so that they often move from one MME to the other: that is a CLR.
        imsi_count=10,
        destination_realm=HOME,
        groups=groups,
    )
    return config


def group(name, first, count, per_second):
    return {
        "name": name,
        "count": count,
        "first": first,
        "origin_host": f"mme%02u.{VISITED}",
        "mode": "open_loop",
        "requests_per_second": per_second,
    }


def mme(number):
    return f"mme{number:02}.{VISITED}"


def traffic(programs, relay, transport):
    """AIR, ULR and PUR through the relay: all answered with success, and the MMEs leave politely."""
    config = load_config(transport, LONG_WATCHDOG_S, [group("roaming", 1, 2, 25)], 4)
    load = programs.start_load("s6a", "load", config)
    status = load.wait(60 * patience())
    report = programs.report_of("load")
    if status != 0 or not report["ok"]:
        raise Failed(f"siglane-load ended with {status}: {report['reasons']}\n{load.tail()}")
    total = report["total"]
    if total["answered"] != total["sent"] or total["answered"] < 50:
        raise Failed(f"{total['answered']} of {total['sent']} answered")
    for number in (1, 2):
        for command in (UPDATE_LOCATION, AUTHENTICATION_INFORMATION, PURGE):
            asked = relay.count(FROM, mme(number), command, True)
            told = relay.count(TO, mme(number), command, False)
            if asked == 0 or asked != told:
                raise Failed(f"MME {number}, command {command}: {asked} asked, {told} answered")
        relay.wait_for_message(FROM, mme(number), DISCONNECT, True, 5)
        relay.wait_for_message(TO, mme(number), DISCONNECT, False, 5)
    cancelled = relay.count(FROM, HSS, CANCEL_LOCATION, True)
    answered = relay.count(TO, HSS, CANCEL_LOCATION, False)
    if cancelled == 0 or answered == 0:
        raise Failed(f"{cancelled} CLRs came from the HSS, {answered} CLAs went back")
    print(f"traffic: {total['answered']} answered, {cancelled} CLRs")


def watchdog(relay, direction, peer):
    """A DWR in that direction, seen by the relay, and its DWA the other way."""
    back = FROM if direction == TO else TO
    relay.wait_for_message(direction, peer, WATCHDOG, True, 20)
    relay.wait_for_message(back, peer, WATCHDOG, False, 20)


def goodbye(relay, direction, peer):
    back = FROM if direction == TO else TO
    relay.wait_for_message(direction, peer, DISCONNECT, True, 15)
    relay.wait_for_message(back, peer, DISCONNECT, False, 15)


def expect_status(process, status):
    if status != 0:
        raise Failed(f"{process.name} ended with status {status}:\n{process.tail()}")


def expect_refusal_of_strangers(authority):
    """siglane-hss lets nobody in who shows no certificate, and openssl agrees with its own."""
    stranger = ["openssl", "s_client", "-connect", f"127.0.0.1:{HSS_TLS_PORT}", "-CAfile",
                authority.file, "-verify_hostname", HSS, "-verify_return_error", "-tls1_2"]
    certificate, key = authority.issue("visitor", FreeDiameter.IDENTITY)
    for arguments, status in ([], 1), (["-cert", certificate, "-key", key], 0):
        command = [str(argument) for argument in (*stranger, *arguments)]
        got = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                             timeout=30 * patience()).returncode
        if got != status:
            raise Failed(f"openssl s_client {arguments} ended with {got}, not {status}")


def expect_diameter(capture, transport):
    """Diameter all over the capture, over SCTP under its payload protocol identifier.

    With TLS the part between relay and HSS is not in clear, and so not counted.
    """
    table = capture.table("diameter.cmd.code", "diameter.Result-Code", "sctp.data_payload_proto_id")
    opened = sum(codes == [str(CAPABILITIES)] and "2001" in results for codes, results, _ in table)
    expected = 3 if transport == "tls" else 4
    if opened != expected:
        raise Failed(f"{opened} successful CEAs in the capture, expected {expected}")
    messages = sum(len(codes) for codes, _, _ in table)
    if messages < (100 if transport == "tls" else 200):
        raise Failed(f"only {messages} Diameter messages in the capture")
    protocols = {protocol for _, _, protocols in table for protocol in protocols}
    # RFC 6733 §2.1.1 assigns 46. freeDiameter 1.2.1 sends 0, so there are both.
    if protocols != ({"0", "46"} if transport == "kernel-sctp" else set()):
        raise Failed(f"payload protocol identifiers in the capture: {protocols}")


def scenario(directory, binaries, transport, relay_watches):
    relay_s, siglane_s = SHORT_WATCHDOG_S, LONG_WATCHDOG_S
    if not relay_watches:
        relay_s, siglane_s = siglane_s, relay_s
    idle = mme(9)
    with Processes(directory) as processes:
        programs = siglane.Siglane(binaries, processes)
        capture = Capture(processes, "diameter", "tcp or sctp",
                          [f"tcp.port=={RELAY_PORT},diameter", f"sctp.port=={RELAY_PORT},diameter"])
        authority = Authority(directory) if transport == "tls" else None
        hss = programs.start_node("siglane-hss", "hss", hss_config(transport, siglane_s, authority),
                                  "--database", directory / "hss.db")
        hss_port, credentials = HSS_PORT, None
        # How the load tool reaches the relay, and the relay is asked to serve.
        served = "tcp" if transport == "tls" else transport
        if authority is not None:
            hss_port = HSS_TLS_PORT
            credentials = (*authority.issue("relay", FreeDiameter.IDENTITY), authority.file)
            expect_refusal_of_strangers(authority)
        relay = FreeDiameter(processes, HSS, hss_port, RELAY_PORT, [HOME, VISITED], served,
                             relay_s, credentials=credentials)
        relay.wait_for_peer(HSS, 20)
        traffic(programs, relay, served)

        config = load_config(served, siglane_s, [group("idle", 9, 1, 0.001)], 3600)
        load = programs.start_load("s6a", "idle", config)
        relay.wait_for_peer(idle, 20)
        for peer in (HSS, idle):
            watchdog(relay, TO if relay_watches else FROM, peer)
        if relay_watches:
            relay.process.send_signal(15)
            for peer in (HSS, idle):
                goodbye(relay, TO, peer)
            expect_status(relay.process, relay.process.stop(30 * patience()))
            load.stop(20 * patience())
            expect_status(hss, hss.stop(20 * patience()))
        else:
            load.stop(20 * patience())
            goodbye(relay, FROM, idle)
            expect_status(hss, hss.stop(20 * patience()))
            goodbye(relay, FROM, HSS)
            expect_status(relay.process, relay.process.stop(30 * patience()))

        capture.stop()
        capture.expect_no_problems()
        expect_diameter(capture, transport)


def test(directory):
    binaries, transport, name = sys.argv[1:]
    scenario(directory, binaries, transport, {"relay-watches": True, "siglane-watches": False}[name])


network.enter()
main(test)
