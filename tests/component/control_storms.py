#!/usr/bin/env python3
"""One ASP storms an STP of two shards with requests; the other ASPs must not notice.

    control_storms.py BINARIES

Each storm sends one kind of request as fast as the STP reads it, and reads the answers. Meanwhile
the memory of the STP grows by at most 16 MiB, and it acknowledges every ASPUP of the others within
200 ms. After the storm, the STP still answers the ASP that made it.
"""
import multiprocessing
import pathlib
import select
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import network
import siglane
from processes import Failed, Processes, main, patience
from raw_asp import ASPAC_ACK, ASPDN_ACK, ASPUP_ACK, BEAT_ACK, NTFY, Asp, aspup, message, word

GROWTH_MIB_MAX = 16
ACK_SECONDS_MAX = 0.2
TRIES = 20
STORM_SECONDS = 2
ASPS = 6
SERVERS = (1, 2)  # one on each shard; every ASP belongs to both

ASPDN = message(3, 2)
ASPAC, ASPIA = message(4, 1), message(4, 2)
WRONG_MODE = message(4, 1, word(0x0B, 3))
BOTH_CONTEXTS = message(4, 1, word(0x06, 101, 102))
DAUD = message(2, 3, word(0x12, *range(1000, 1100)))
NO_ROUTE = message(1, 1, word(0x06, 101) + struct.pack(
    "!HHIIBBBB", 0x210, 16, 1001, 4711, 3, 2, 0, 1))

# What is sent again and again, and whether the STP reads the sender no further for a while.
STORMS = {
    "ASPAC": (ASPAC, False),
    "ASPUP, ASPAC, ASPDN": (aspup(1) + ASPAC + ASPDN, True),
    "ASPAC, ASPIA": (ASPAC + ASPIA, True),
    "ASPAC in another way each time": (ASPAC + BOTH_CONTEXTS + aspup(1), True),
    "ASPAC with the wrong mode": (WRONG_MODE, False),
    "DAUD": (DAUD, False),
    "DATA to nowhere": (NO_ROUTE, False),
}


def config():
    config = siglane.endpoint(siglane.example("stp"), "tcp")
    config["runtime"] = {"shards": 2}
    config["log"] = {"level": "warning"}
    m3ua = config["m3ua"]
    m3ua["asps"] = m3ua["asps"][:ASPS]
    m3ua["application_servers"] = [
        {"name": f"as{n}", "routing_context": 100 + n, "traffic_mode": "loadshare",
         "asps": [asp["name"] for asp in m3ua["asps"]]} for n in SERVERS]
    m3ua["routes"] = [{"dpc": 1000 + n, "as": f"as{n}"} for n in SERVERS]
    return config


def storm(what, begun, ended, bytes_sent):
    """In a process of its own, that the time it takes is not the measurer's."""
    asp = Asp(send_buffer_bytes=65536)  # little is on its way when it ends
    asp.say(aspup(1))
    asp.wait_for(ASPUP_ACK)
    asp.say(ASPAC)
    asp.wait_for(ASPAC_ACK)
    whole = len(what) * (65536 // len(what))
    blob, at = memoryview(what * (whole // len(what))), 0
    asp.connection.setblocking(False)
    begun.set()
    last = time.monotonic() + STORM_SECONDS
    while time.monotonic() < last or at % len(what):
        readable, writable, _ = select.select([asp.connection], [asp.connection], [], 1)
        if readable and not asp.connection.recv(1 << 20):
            raise Failed("the STP closed the storming connection")
        if writable:
            sent = asp.connection.send(blob[at:])
            bytes_sent.value += sent
            at = (at + sent) % whole
    asp.connection.settimeout(20)
    # What the storm has left behind is dealt with. An answer of the storm's is not taken for one of
    # these: the BEAT ACK is behind them all.
    asp.ask(message(3, 3, word(0x09, 4711)), BEAT_ACK)
    for request, answer in ((ASPDN, ASPDN_ACK), (aspup(1), ASPUP_ACK), (ASPAC, ASPAC_ACK)):
        asp.ask(request, answer)
    ended.set()


def peak_mib(node, what):
    for line in pathlib.Path(f"/proc/{node.pid}/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1]) / 1024
    raise Failed(f"no {what}")


def seconds_without_cpu(pid):
    """By thread of a process: how long it was ready to run while the machine ran others."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return {task.name: int((task / "schedstat").read_text().split()[1]) / 1e9 for task in tasks}


def time_of_an_aspup(node, identifier):
    """In seconds, without what the machine alone is to blame for."""
    def without_cpu_since(before, pid):
        return max(until - before.get(name, 0) for name, until in seconds_without_cpu(pid).items())

    asp = Asp()
    node_before, own_before = seconds_without_cpu(node.pid), seconds_without_cpu("self")
    began = time.monotonic()
    asp.say(aspup(identifier))
    asp.wait_for(ASPUP_ACK)
    took = time.monotonic() - began
    took -= without_cpu_since(node_before, node.pid) + without_cpu_since(own_before, "self")
    for _ in SERVERS:  # which have its ASPUP by then, so that its ASPDN need not wait
        asp.wait_for(NTFY)
    asp.say(ASPDN)
    asp.wait_for(ASPDN_ACK)
    asp.connection.close()
    return max(0, took)


def weather(ours, node, name, what, pauses):
    begun, ended = multiprocessing.Event(), multiprocessing.Event()
    bytes_sent = multiprocessing.Value("Q", 0)
    paused_before = ours.ask(node, "stats")["inputs.paused"]
    memory_before = peak_mib(node, "VmRSS")
    stormer = multiprocessing.Process(target=storm, args=(what, begun, ended, bytes_sent))
    stormer.start()
    try:
        if not begun.wait(20 * patience()):
            raise Failed(f"{name}: it did not begin")
        times = []
        for n in range(TRIES):
            times.append(time_of_an_aspup(node, 2 + n % (ASPS - 1)))
            time.sleep(0.9 * STORM_SECONDS / TRIES)  # spread over the storm
        if not ended.wait(30 * patience()):
            raise Failed(f"{name}: the ASP that made it got no answer after it")
    finally:
        stormer.terminate()
        stormer.join()
    growth = peak_mib(node, "VmHWM") - memory_before
    paused = ours.ask(node, "stats")["inputs.paused"] - paused_before
    print(f"{name}: {bytes_sent.value / len(what):.0f} sent, paused {paused} times; others' ASPUP "
          f"acknowledged after at most {1000 * max(times):.0f} ms; memory +{growth:.1f} MiB",
          flush=True)
    if growth > GROWTH_MIB_MAX:
        raise Failed(f"{name}: memory grew by {growth:.1f} MiB")
    if max(times) > ACK_SECONDS_MAX * patience():
        raise Failed(f"{name}: another ASP's ASPUP was acknowledged after {max(times):.3f} s")
    if pauses != (paused > TRIES / 2):  # of the others, hardly one has to wait
        raise Failed(f"{name}: inputs were paused {paused} times")


def storms(directory):
    network.enter()
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    with Processes(directory) as programs:
        ours = siglane.Siglane(sys.argv[1], programs)
        for n, (name, (what, pauses)) in enumerate(STORMS.items()):
            if only not in name:
                continue
            node = ours.start_node("siglane-stp", f"stp-{n}", config())
            weather(ours, node, name, what, pauses)
            if node.stop(30 * patience()) != 0:
                raise Failed(f"{name}: the STP did not end well")


if __name__ == "__main__":
    main(storms)
