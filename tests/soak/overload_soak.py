#!/usr/bin/env python3
"""Nodes at clear overload for minutes: their memory stays, and good peers are served.

    overload_soak.py BINARIES

An STP and an HSS, two shards each, are offered more than they can carry: peers that send as fast as
TCP lets them, towards some that read slowly, and many that never do, that come and go, or whose
process stops for seconds. Beside them good peers of siglane-load, over TCP and usrsctp, that must
lose nothing.

SIGLANE_SOAK_SECONDS (default 600, which is for SIGLANE_LONG) says for how long. The resident memory
of each node is sampled every second. What waits for peers that come, go or stop swings by
some MiB within seconds, so peaks are compared: that of the last tenth may be 2 % above that of the
tenth around the end of the first fifth. (Minutes, of ten. Below five there is too little to
compare.) And so those that never read are many: their queues, always full, are most of the memory,
and what is compared is what the limits of a node make of its memory, more than the chance of one
minute.
"""
import itertools
import os
import pathlib
import signal
import statistics
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import network
import siglane
from processes import Failed, Processes, Skipped, main, wait_until
from raw_peers import Asp, IdleMme, Mme, RawPeer

ADDRESS = "127.0.0.1"
GROWTH_MAX = 1.02
JUDGED_SECONDS_MIN = 300
FIRST_CONTEXT, FIRST_POINT_CODE = 101, 1001
IMSIS = [f"0010100000{n:05}" for n in range(1, 1001)]


def seconds():
    asked = os.environ.get("SIGLANE_SOAK_SECONDS")
    if asked:
        return int(asked)
    if not os.environ.get("SIGLANE_LONG"):
        raise Skipped("takes ten minutes: SIGLANE_LONG=1, or SIGLANE_SOAK_SECONDS=60")
    return 600


# --- The nodes and their good peers -------------------------------------------------------------

# Who is who among the ASPs, each alone in its AS: [first, last], by number.
GOOD_TCP, GOOD_UDP, PAUSED_UDP = (1, 4), (5, 8), (9, 10)
FLOODS, SLOW, VISITORS, STUCK = (11, 12), (13, 13), (14, 15), (16, 215)
ASPS = 215
STUCK_MMES = 40


def numbers(who):
    return range(who[0], who[1] + 1)


def loaded(config):
    """Two shards; and as few facts are kept as are there in the first minute: a store that fills
    for ten is no leak, but looks like one. Who never reads may stay: no heartbeat ends it."""
    config["runtime"] = {"shards": 2}
    for endpoint in config["endpoints"]:
        if endpoint["transport"] == "tcp":
            endpoint["tcp"] = {"unacknowledged_timeout_ms": 3_600_000}
    config["log"] = {"level": "warning"}
    config["admin"]["facts_kept_max"] = 100
    return config


def stp_config():
    config = siglane.example("stp")
    common = {"module": "m3ua", "addresses": [ADDRESS], "listen": True}
    config["endpoints"] = [
        {"name": "tcp", "transport": "tcp", "port": 2905, **common},
        {"name": "udp", "transport": "usrsctp", "port": 2906,
         "udp_encapsulation": {"local_port": 9902}, **common},
    ]
    config["m3ua"].update(
        heartbeat_interval_ms=0,
        asps=[{"name": f"asp{n}", "asp_identifier": n, "remote_addresses": [ADDRESS]}
              for n in range(1, ASPS + 1)],
        application_servers=[
            {"name": f"as{n}", "routing_context": FIRST_CONTEXT + n - 1,
             "traffic_mode": "loadshare", "asps": [f"asp{n}"]} for n in range(1, ASPS + 1)],
        routes=[{"dpc": FIRST_POINT_CODE + n - 1, "as": f"as{n}"} for n in range(1, ASPS + 1)],
    )
    return loaded(config)


def m3ua_load(who, transport, local_port, **pace):
    config = siglane.example("load-m3ua")
    config["endpoints"][0]["transport"] = transport
    config["endpoints"][0]["udp_encapsulation"] = {"local_port": local_port}
    udp = transport == "usrsctp"
    config["load"]["target"].update(port=2906 if udp else 2905)
    first = who[0]
    config["load"]["groups"] = [{
        "name": "peers", "first": first, "count": len(numbers(who)), "asp": "asp%u",
        "asp_identifier_first": first, "routing_context_first": FIRST_CONTEXT + first - 1,
        "point_code_first": FIRST_POINT_CODE + first - 1, "payload_bytes_min": 40,
        "payload_bytes_max": 1000, **pace}]
    config["load"].update(warm_up_ms=0, connect_timeout_ms=20000, drain_max_ms=20000)
    return config


def mme_host(n):
    return f"mme{n:02}.epc.mnc001.mcc001.3gppnetwork.org"


def hss_config():
    config = loaded(siglane.endpoint(siglane.hss_example(), "tcp", addresses=[ADDRESS]))
    known = {peer["name"] for peer in config["diameter"]["peers"]}
    config["diameter"]["peers"] += [
        {"name": f"mme{n:02}", "origin_host": mme_host(n)}
        for n in range(20, 23 + STUCK_MMES) if f"mme{n:02}" not in known]
    return config


def s6a_load():
    config = siglane.endpoint(siglane.example("load-s6a"), "tcp", addresses=[ADDRESS])
    config["diameter"]["peers"][0].pop("remote_udp_port")
    config["load"]["groups"] = [{**config["load"]["groups"][0], "count": 10,
                                 "requests_per_second": 5}]
    config["load"].update(warm_up_ms=0, connect_timeout_ms=20000, drain_max_ms=20000)
    return config


# --- Those that are not good --------------------------------------------------------------------

def raw_peers():
    stp, hss = (ADDRESS, 2905), (ADDRESS, 3868)

    def asp(n, destinations=()):
        return Asp(n, FIRST_CONTEXT + n - 1, FIRST_POINT_CODE + n - 1,
                   [FIRST_POINT_CODE + to - 1 for to in destinations])

    def mme(n):
        return Mme(mme_host(n), IMSIS)

    # Most of it is for the few that take some of it.
    taking = [n for who in (SLOW, VISITORS, PAUSED_UDP, FLOODS) for n in numbers(who)]
    targets = [to for n in numbers(STUCK)
               for to in (n, taking[n % len(taking)], taking[-n % len(taking)])]
    peers = [RawPeer(f"flood {n}", stp, asp(n, targets), floods=True, seed=n)
             for n in numbers(FLOODS)]
    peers += [RawPeer(f"slow {n}", stp, asp(n), reads_per_second=100_000) for n in numbers(SLOW)]
    peers += [RawPeer(f"stuck {n}", stp, asp(n), reads_per_second=0) for n in numbers(STUCK)]
    peers += [RawPeer(f"visitor {n}", stp, asp(n), stays_seconds=n - VISITORS[0] + 1.5)
              for n in numbers(VISITORS)]
    peers += [
        RawPeer("flooding MME", hss, mme(20), floods=True),
        RawPeer("flooding MME that never reads", hss, mme(21), floods=True, reads_per_second=0),
        RawPeer("flooding MME that comes and goes", hss, mme(22), floods=True, stays_seconds=2),
    ]
    peers += [RawPeer(f"stuck MME {n}", hss, IdleMme(mme_host(n), ()), floods=True,
                      flood_bytes=4 << 20, reads_per_second=0) for n in range(23, 23 + STUCK_MMES)]
    return peers


class Pauses(threading.Thread):
    """Stops a process for some seconds, again and again: its peers do not know why. Each minute has
    the same of them, or no two could be compared."""

    SECONDS = [(3, 15), (2, 5), (4, 1)]  # running, stopped

    def __init__(self, process):
        super().__init__(daemon=True)
        self._process, self._over = process, threading.Event()

    def run(self):
        for running, stopped in itertools.cycle(self.SECONDS):
            if self._over.wait(running):
                return
            self._process.send_signal(signal.SIGSTOP)
            self._over.wait(stopped)
            self._process.send_signal(signal.SIGCONT)

    def stop(self):
        self._over.set()
        self.join()


# --- Memory and counters ------------------------------------------------------------------------

class Memory(threading.Thread):
    """The resident memory of processes, in KiB, every second."""

    def __init__(self, processes):
        super().__init__(daemon=True)
        self._over = threading.Event()
        self.samples = {process: [] for process in processes}

    def run(self):
        while not self._over.wait(1):
            for process, samples in self.samples.items():
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                samples.append(int(status.partition("VmRSS:")[2].split()[0]))

    def stop(self):
        self._over.set()
        self.join()

    def judge(self, process):
        """Prints the curve; what is wrong with it, or nothing."""
        samples = self.samples[process]
        tenth = max(1, len(samples) // 10)
        part = max(1, tenth // 2)
        curve = [round(statistics.median(samples[at:at + part]) / 1024, 1)
                 for at in range(0, len(samples) - part + 1, part)]
        early = max(samples[tenth * 3 // 2:tenth * 5 // 2 + 1])
        late = max(samples[-tenth:])
        print(f"{process.name}: resident MiB, medians of twentieths: {curve}; peaks: early "
              f"{early / 1024:.1f}, late {late / 1024:.1f}, ratio {late / early:.4f}", flush=True)
        if len(samples) >= JUDGED_SECONDS_MIN * 0.9 and late > early * GROWTH_MAX:
            return [f"{process.name} grew from {early} KiB to {late} KiB"]
        return []


def judge_counters(ours, node, into, out_of, ours_alone):
    """All that came in went out or was counted, once all has come to rest. What came back from a
    connection is counted with `into`: it had gone out before. So is what the node sent that answers
    or passes on nothing, if that came back."""

    def balance():
        count = ours.ask(node, "stats")
        missing = sum(count[name] for name in into) - sum(count[name] for name in out_of)
        return missing, ours_alone(count), count

    def adds_up():
        missing, allowed, _ = balance()
        return 0 <= missing <= allowed

    wrong = []
    try:
        wait_until(adds_up, 20, "all is accounted for")
    except Failed:
        wrong = [f"{node.name}'s counters do not add up: {balance()[0]} messages are missing"]
    count = balance()[2]
    for name in (*into, *out_of, "mailbox.full", "inputs.paused", "shard.moves", "hss.too_busy",
                 "associations.opened"):
        if name in count:
            print(f"{node.name}: {name} {count[name]}", flush=True)
    return wrong


def judge_stp(ours, stp):
    return judge_counters(
        ours, stp, ("m3ua.data.received", "messages.refused", "messages.unsent"),
        ("m3ua.data.sent", "m3ua.data.discarded", "m3ua.data.unroutable", "parcels.lost"),
        lambda count: count["messages.sent"] + count["messages.refused"] - count["m3ua.data.sent"])


def judge_hss(ours, hss):
    return judge_counters(
        ours, hss, ("diameter.requests.received", "messages.refused", "messages.unsent"),
        ("diameter.answers.sent", "diameter.answers.orphaned", "store.abandoned"),
        lambda count: count["diameter.requests.sent"])


# --- The soak -----------------------------------------------------------------------------------

def soak(directory):
    duration = seconds()
    network.enter()
    # What a connection may hold in the kernel, or filling that takes minutes.
    pathlib.Path("/proc/sys/net/ipv4/tcp_wmem").write_text("4096 16384 262144")
    wrong = []
    with Processes(directory) as programs:
        ours = siglane.Siglane(sys.argv[1], programs)
        stp = ours.start_node("siglane-stp", "stp", stp_config())
        hss = ours.start_node("siglane-hss", "hss", hss_config())
        run_for = ["--duration", str(duration), "--quiet"]
        pace = {"mode": "open_loop", "messages_per_second": 50}
        good = {
            "good-tcp": ours.start_load("m3ua", "good-tcp",
                                        m3ua_load(GOOD_TCP, "tcp", 9904, **pace), *run_for),
            "good-udp": ours.start_load("m3ua", "good-udp",
                                        m3ua_load(GOOD_UDP, "usrsctp", 9905, **pace), *run_for),
            "good-s6a": ours.start_load("s6a", "good-s6a", s6a_load(), *run_for),
        }
        paused = ours.start_load(
            "m3ua", "paused", m3ua_load(PAUSED_UDP, "usrsctp", 9906, mode="closed_loop", window=64),
            "--duration", str(duration + 600), "--quiet", "--tolerate-reconnect")
        peers = raw_peers()
        for peer in peers:
            peer.start()
        for peer in peers:
            if not peer.first_greeting.wait(60):
                raise Failed(f"the {peer.name} was never let in")
        pauses, memory = Pauses(paused), Memory([stp, hss])
        pauses.start()
        memory.start()
        for name, load in good.items():
            status = load.wait(duration + 60)
            report = ours.report_of(name)
            total = report["total"]
            print(f"{name}: status {status}, sent {total['sent']}, answered {total['answered']}, "
                  f"{report['reasons']}", flush=True)
            if status != 0:
                wrong.append(f"{name} was not served: {report['reasons']}")
        memory.stop()
        pauses.stop()
        for peer in peers:
            peer.stop()
        for peer in peers:
            peer.join(30)
            if not peer.name.startswith("stuck") or peer.greeted != 1:
                print(f"{peer.name}: came {peer.greeted} times, sent {peer.bytes_sent >> 20} MiB, "
                      f"read {peer.bytes_read >> 20} MiB", flush=True)
        wrong += memory.judge(stp) + memory.judge(hss) + judge_stp(ours, stp) + judge_hss(ours, hss)
        paused.stop(60, signal.SIGINT)
        for node in (stp, hss):
            status = node.stop(30)
            if status != 0:
                wrong.append(f"{node.name} ended with {status}")
    if wrong:
        raise Failed("; ".join(wrong))


if __name__ == "__main__":
    main(soak)
