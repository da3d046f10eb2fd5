#!/usr/bin/env python3
"""A node keeps what it has for itself: a second one on its port, admin socket or database is refused.

    second_node.py BINARIES tcp|usrsctp|sctp

`sctp`: the kernel's. The ports are taken on all addresses, and differ from run to run.
"""
import os
import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import siglane
from processes import Failed, Processes, Skipped, main, patience, wait_until

BINARIES, TRANSPORT = sys.argv[1:]
# Below those that the kernel gives to who asks for any.
PORT = 10000 + os.getpid() % 5000 * 4
OTHER_PORT, UDP_PORT, OTHER_UDP_PORT = PORT + 1, PORT + 2, PORT + 3
SOCK_KIND = {"tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
             "usrsctp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
             "sctp": (socket.SOCK_STREAM, 132)}[TRANSPORT]


def stp(address="127.0.0.1", port=PORT, udp_port=UDP_PORT, shards=2, sockets=0):
    config = siglane.example("stp")
    config["runtime"]["shards"] = shards
    config["endpoints"] = config["endpoints"][:1]
    config["endpoints"][0].update(
        transport="kernel-sctp" if TRANSPORT == "sctp" else TRANSPORT, port=port,
        addresses=[address] if address else [], sockets=sockets)
    if ":" in address:
        for asp in config["m3ua"]["asps"]:
            asp["remote_addresses"] = [address]
    if TRANSPORT != "usrsctp":
        del config["endpoints"][0]["udp_encapsulation"]
    else:
        config["endpoints"][0]["udp_encapsulation"]["local_port"] = udp_port
    return config


def hss(directory, port):
    config = siglane.endpoint(siglane.hss_example(), "tcp", port=port)
    config["hss"]["database"] = str(directory / "hss.db")
    return config


class Test:
    def __init__(self, directory, programs):
        self.directory, self.programs = directory, programs
        self.siglane = siglane.Siglane(BINARIES, programs)

    def start(self, program, name, config):
        """A node, whether or not it comes to be up."""
        path = siglane.write(self.directory, name, config)
        return self.programs.start(name, [self.siglane.binaries / program, "--config", path])

    def refused(self, program, name, config, *expected):
        node = self.start(program, name, {**config, "admin": config.get("admin", {"socket": ""})})
        status = node.wait(20 * patience())
        said = node.tail()
        if status != 1:
            raise Failed(f"{name} ended with {status}:\n{said}")
        for text in expected:
            if text not in said:
                raise Failed(f"{name} did not say \"{text}\":\n{said}")


def bound_elsewhere(reuse_port):
    """A program that is none of ours and has the port."""
    holder = socket.socket(socket.AF_INET, *SOCK_KIND)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind(("127.0.0.1", UDP_PORT if TRANSPORT == "usrsctp" else PORT))
    if TRANSPORT != "usrsctp":
        holder.listen(8)
    return holder


def ports(test):
    first = test.siglane.start_node("siglane-stp", "first", stp())
    # usrsctp's SCTP ports are its process's own; what others see is the UDP port.
    shown = UDP_PORT if TRANSPORT == "usrsctp" else PORT
    holder = f"(siglane-stp, process {first.pid}, has it)"
    test.refused("siglane-stp", "same", stp(), f"127.0.0.1:{shown}" if TRANSPORT != "sctp" else
                 f"127.0.0.1 port {shown}", holder)
    test.refused("siglane-stp", "one-shard", stp(shards=1), holder)
    test.refused("siglane-stp", "many-sockets", stp(shards=1, sockets=3), holder)
    test.refused("siglane-stp", "everywhere", stp(address=""), holder)
    if TRANSPORT != "sctp":  # which has no sockets that are for IPv6 alone
        test.refused("siglane-stp", "mapped", stp(address="0.0.0.0"), holder)
    beside = test.siglane.start_node("siglane-stp", "beside", stp(address="127.0.0.2"))
    test.refused("siglane-stp", "admin", {
        **stp(port=OTHER_PORT, udp_port=OTHER_UDP_PORT),
        "admin": {"socket": str(test.directory / "first.sock")}},
        f"another node answers there (siglane-stp, process {first.pid})")
    if first.status is not None or beside.status is not None:
        raise Failed("a node that was there first has ended")

    # What a killed one leaves behind hinders nobody.
    first.kill()
    everywhere = stp(address="")
    test.refused("siglane-stp", "still-not", everywhere, f"process {beside.pid}, has it")
    beside.stop(20 * patience())
    wild = test.siglane.start_node("siglane-stp", "wild", everywhere)
    test.refused("siglane-stp", "specific", stp(), f"process {wild.pid}, has it")
    test.refused("siglane-stp", "ipv6", stp(address="::1"), f"process {wild.pid}, has it")
    wild.stop(20 * patience())


def at_once(test):
    """Of several that start at the same moment one comes up."""
    nodes = [test.start("siglane-stp", f"racer{i}", {**stp(), "admin": {"socket": ""}})
             for i in range(5)]
    running = lambda: [node for node in nodes if node.status is None]
    wait_until(lambda: len(running()) <= 1, 30 * patience(), "all but one have ended")
    winner, = running() or [None]
    if winner is None:
        raise Failed("none of the nodes that started at once came up")
    for node in nodes:
        if node is not winner and (node.wait(5) != 1 or "Address already in use" not in node.tail()):
            raise Failed(f"{node.name} ended otherwise:\n{node.tail()}")
    winner.wait_for("endpoint_opened", 20 * patience())
    winner.stop(20 * patience())


def foreign_program(test):
    """Also one that would share the port."""
    for reuse_port in (False, True):
        with bound_elsewhere(reuse_port):
            test.refused("siglane-stp", f"foreign-{reuse_port}", stp(), ", process ", ", has it)")
    if TRANSPORT == "tcp":
        # No falling back to IPv4 because IPv6 alone is taken.
        with socket.socket(socket.AF_INET6) as only_v6:
            only_v6.bind(("::1", PORT))
            only_v6.listen(8)
            test.refused("siglane-stp", "ipv6-taken", stp(address=""), f"[::]:{PORT}")


def database(test):
    first = test.siglane.start_node("siglane-hss", "hss1", hss(test.directory, PORT))
    test.refused("siglane-hss", "hss2", hss(test.directory, OTHER_PORT),
                 "hss.db: siglane-hss, process " + str(first.pid) + ", uses it")
    path = siglane.write(test.directory, "import", hss(test.directory, PORT))
    subscribers = siglane.ROOT / "config" / "subscribers.json"
    beside = test.programs.start("import", [
        test.siglane.binaries / "siglane-hss", "--config", path, "--import", subscribers])
    if beside.wait(20) != 0:
        raise Failed(f"an import beside the node failed:\n{beside.tail()}")
    first.kill()
    second = test.siglane.start_node("siglane-hss", "hss3", hss(test.directory, OTHER_PORT))
    second.stop(20)


def test(directory):
    if TRANSPORT == "sctp":
        try:
            socket.socket(socket.AF_INET, *SOCK_KIND).close()
        except OSError as error:
            raise Skipped("this kernel has no SCTP") from error
    with Processes(directory) as programs:
        scene = Test(directory, programs)
        ports(scene)
        at_once(scene)
        foreign_program(scene)
        if TRANSPORT == "tcp":
            database(scene)


main(test)
