#!/usr/bin/env python3
"""A thousand peers lose their node, or the node that connects to them, and all come back at once.

    thousand_peers.py BINARIES TRANSPORT

An HSS has a thousand MMEs, all of siglane-load, which send little. Then the HSS is killed and
started again; then siglane-load is. Each time all must be up again in time, and none may fall out:
no connection is refused, given up or broken once it is there.
"""
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import network
import siglane
from processes import Failed, Processes, main, patience, wait_until

PEERS = 1000
ADDRESS = "127.0.0.1"
REALM = "epc.mnc001.mcc001.3gppnetwork.org"
UP_WITHIN_SECONDS = 30


def hss_config(transport):
    config = siglane.hss_example()
    config["endpoints"][0].update(transport=transport, addresses=[ADDRESS])
    if transport != "usrsctp":
        config["endpoints"][0].pop("udp_encapsulation")
    config["log"] = {"level": "warning"}
    config["admission"].pop("unidentified_associations_max")
    config["diameter"]["peers"] = [
        {"name": f"mme{n:04}", "origin_host": f"mme{n:04}.{REALM}"} for n in range(1, PEERS + 1)]
    return config


def load_config(transport):
    config = siglane.example("load-s6a")
    config["endpoints"][0].update(transport=transport, addresses=[ADDRESS])
    if transport != "usrsctp":
        config["endpoints"][0].pop("udp_encapsulation")
        config["diameter"]["peers"][0].pop("remote_udp_port")
    config["load"].update(
        duration_ms=600_000, warm_up_ms=0, connect_timeout_ms=60_000 * patience(),
        groups=[{"name": "mmes", "count": PEERS, "origin_host": f"mme%04u.{REALM}",
                 "mode": "open_loop", "requests_per_second": 0.2}])
    return config


class Thousand:
    def __init__(self, programs, transport):
        self._transport = transport
        self._ours = siglane.Siglane(sys.argv[1], programs)
        self._starts = 0

    def start_hss(self):
        self._starts += 1
        self._hss = self._ours.start_node("siglane-hss", f"hss-{self._starts}",
                                          hss_config(self._transport))
        return self._hss

    def start_load(self):
        self._starts += 1
        return self._ours.start_load("s6a", f"load-{self._starts}", load_config(self._transport),
                                     "--tolerate-reconnect", "--quiet")

    def wait_for_all(self, what, associations_ended=0):
        """Until all are up, and as many associations as should be of before have ended."""
        began = time.monotonic()

        def count():
            return self._ours.ask(self._hss, "stats")

        def all_up():
            if count()["associations.opened"] < associations_ended + PEERS:
                return False
            states = [peer["state"] for peer in self._ours.ask(self._hss, "peers").values()]
            return sum(state.endswith("Open") for state in states) == PEERS

        wait_until(all_up, UP_WITHIN_SECONDS * patience(), f"{what}: a thousand peers")
        print(f"{self._transport}: {what}: all up after {time.monotonic() - began:.1f} s", flush=True)
        seen = count()
        wrong = {name: n for name, n in seen.items() if n and name.startswith(
            ("associations.refused", "associations.unidentified", "transport.accepts_failed"))}
        for name, wanted in (("associations.opened", associations_ended + PEERS),
                             ("associations.closed", associations_ended)):
            if seen[name] != wanted:
                wrong[name] = seen[name]
        if wrong:
            raise Failed(f"{what}: not all were let in, and stayed: {wrong}")


def thousand(directory):
    network.enter()
    transport = sys.argv[2]
    with Processes(directory) as programs:
        world = Thousand(programs, transport)
        hss = world.start_hss()
        load = world.start_load()
        world.wait_for_all("the first time")
        hss.kill()
        hss = world.start_hss()
        world.wait_for_all("the node has been restarted")
        load.kill()
        load = world.start_load()
        world.wait_for_all("the one that connects has been restarted", PEERS)
        load.stop(60 * patience(), signal.SIGINT)
        if hss.stop(30 * patience()) != 0:
            raise Failed("the HSS did not end well")


if __name__ == "__main__":
    main(thousand)
