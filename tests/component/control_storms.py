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
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import network
import siglane
from processes import Failed, Processes, main, patience

ADDRESS = ("127.0.0.1", 2905)
GROWTH_MIB_MAX = 16
ACK_SECONDS_MAX = 0.2
TRIES = 20
STORM_SECONDS = 3
ASPS = 6


def message(kind, subtype, parameters=b""):
    return struct.pack("!BBBBI", 1, 0, kind, subtype, 8 + len(parameters)) + parameters


def word(tag, *values):
    return struct.pack("!HH", tag, 4 + 4 * len(values)) + struct.pack(f"!{len(values)}I", *values)


def aspup(identifier):
    return message(3, 1, word(0x11, identifier))


ASPUP_ACK, ASPDN_ACK, ASPAC_ACK = (3, 4), (3, 5), (4, 3)
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
         "asps": [asp["name"] for asp in m3ua["asps"]]} for n in (1, 2)]  # one on each shard
    m3ua["routes"] = [{"dpc": 1000 + n, "as": f"as{n}"} for n in (1, 2)]
    return config


class Asp:
    def __init__(self):
        self.connection = socket.create_connection(ADDRESS, 20)
        self._input = b""

    def say(self, what):
        self.connection.sendall(what)

    def wait_for(self, wanted, seconds=20):
        """Until that message came."""
        deadline = time.monotonic() + seconds * patience()
        while True:
            while len(self._input) >= 8:
                kind, subtype, length = struct.unpack("!BBI", self._input[2:8])
                if len(self._input) < length:
                    break
                self._input = self._input[length:]
                if (kind, subtype) == wanted:
                    return
            self.connection.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                more = self.connection.recv(65536)
            except TimeoutError:
                raise Failed(f"no message {wanted} within {seconds} s") from None
            if not more:
                raise Failed(f"the STP closed the connection instead of saying {wanted}")
            self._input += more


def storm(what, begun, ended, bytes_sent):
    """In a process of its own, that the time it takes is not the measurer's."""
    asp = Asp()
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
    # What the storm has left behind is dealt with, in order: this ends ASP-ACTIVE.
    for request, answer in ((ASPDN, ASPDN_ACK), (aspup(1), ASPUP_ACK), (ASPAC, ASPAC_ACK)):
        asp.connection.sendall(request)
        asp.wait_for(answer)
    # An answer of the storm's may have been taken for it, but not for these.
    asp.say(message(3, 3, word(0x09, 4711)))
    asp.wait_for((3, 6))
    ended.set()


def peak_mib(node, what):
    for line in pathlib.Path(f"/proc/{node.pid}/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1]) / 1024
    raise Failed(f"no {what}")


def time_of_an_aspup(identifier):
    asp = Asp()
    began = time.monotonic()
    asp.say(aspup(identifier))
    asp.wait_for(ASPUP_ACK)
    took = time.monotonic() - began
    asp.say(ASPDN)
    asp.wait_for(ASPDN_ACK)
    asp.connection.close()
    return took


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
            times.append(time_of_an_aspup(2 + n % (ASPS - 1)))
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
    if pauses != (paused > 0):
        raise Failed(f"{name}: its sender was paused {paused} times")


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
