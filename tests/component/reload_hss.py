#!/usr/bin/env python3
"""An HSS follows a new config while it runs: its peers and its subscribers.

    reload_hss.py BINARIES

An MME that no new config concerns stays connected and is answered all the time.
"""
import copy
import json
import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import network
import siglane
from operated import Operated
from processes import Failed, Processes, main, patience
from raw_peers import Mme

REALM = "epc.mnc001.mcc001.3gppnetwork.org"
FIRST, SECOND = "001010000000001", "001010000000002"
RESULT_CODE, EXPERIMENTAL_RESULT_CODE = 268, 298
SUCCESS, ERROR_USER_UNKNOWN = (RESULT_CODE, 2001), (EXPERIMENTAL_RESULT_CODE, 5001)
DISCONNECT_PEER = 282


def config_of(subscribers, numbers):
    config = siglane.endpoint(siglane.example("hss"), "tcp")
    config["runtime"] = {"shards": 2}
    config["diameter"]["peers"] = [
        {"name": f"mme{n:02}", "origin_host": f"mme{n:02}.{REALM}"} for n in numbers]
    config["hss"]["subscribers"] = str(subscribers)
    return config


def write_subscribers(path, *imsis):
    shipped = siglane.example("subscribers")["subscribers"][0]
    path.touch(mode=0o600)
    path.write_text(json.dumps({"subscribers": [
        {"imsi": imsi, "k": "0" * 31 + "1", "opc": "0" * 31 + "2",
         "subscription": shipped["subscription"]} for imsi in imsis]}))


class Connection:
    """An MME that is connected and identified."""

    def __init__(self, number):
        self._mme = Mme(f"mme{number:02}.{REALM}", [])
        self._socket = socket.socket()
        self._socket.settimeout(20 * patience())
        self._socket.connect(("127.0.0.1", 3868))
        self._mme.greet(self._socket)

    def close(self):
        self._socket.close()

    def _next(self):
        """The next message's command and hop-by-hop identifier, and all of it; none: the end."""
        message = b""
        size = 20
        while len(message) < size:
            more = self._socket.recv(size - len(message))
            if not more:
                return None
            message += more
            if len(message) == 20:
                size = int.from_bytes(message[1:4], "big")
        command, identifier = (int.from_bytes(message[at:end], "big")
                               for at, end in ((5, 8), (12, 16)))
        return command, identifier, message

    def expect(self, imsi, result):
        """Asks for vectors."""
        self._socket.sendall(self._mme.ask_for_vectors(imsi))
        _, _, answer = self._next()
        code, value = (word.to_bytes(4, "big") for word in result)
        at = answer.find(code + b"\x40")
        if at < 0 or answer[at + 8:at + 12] != value:
            raise Failed(f"a request for {imsi} is not answered with {result}: {answer.hex()}")

    def is_served(self):
        self.expect(FIRST, SUCCESS)

    def expect_goodbye(self):
        """RFC 6733 5.4: a Disconnect-Peer-Request, and once it is answered, the end."""
        command, identifier, _ = self._next()
        if command != DISCONNECT_PEER:
            raise Failed(f"command {command} comes instead of a Disconnect-Peer-Request")
        self._socket.sendall(self._mme.agree_to_part(identifier))
        if self._next() is not None:
            raise Failed("something comes after the Disconnect-Peer-Answer")


def expect_stranger(number):
    try:
        Connection(number)
    except ConnectionError:
        return
    raise Failed(f"mme{number:02} is let in, though it is not configured")


def peers_come_and_go(hss, subscribers, steady, second):
    expect_stranger(3)
    hss.reload(config_of(subscribers, [1, 2, 3]), "now revision 2", "/diameter/peers/mme03: added")
    third = Connection(3)
    third.is_served()
    hss.reload(config_of(subscribers, [1, 3]), "now revision 3", "/diameter/peers/mme02: removed")
    second.expect_goodbye()
    expect_stranger(2)
    third.is_served()
    third.close()
    steady.is_served()


def subscribers_are_imported(hss, subscribers, steady):
    steady.expect(SECOND, ERROR_USER_UNKNOWN)
    write_subscribers(subscribers, FIRST, SECOND)
    said = hss.ctl("reload")
    if "2 subscribers imported" not in said:
        raise Failed(f"reload said {said!r} of new subscribers")
    steady.expect(SECOND, SUCCESS)
    subscribers.write_text("{")
    if str(subscribers) not in hss.ctl("reload", status=1):
        raise Failed("a damaged subscribers file is not named")
    steady.expect(SECOND, SUCCESS)
    write_subscribers(subscribers, FIRST, SECOND)


def what_needs_a_restart_is_said_and_left(hss, steady):
    changed = copy.deepcopy(hss.config)
    changed["hss"]["database"] = "other.db"
    # What realm the peers are of by default does not change before that either.
    changed["diameter"]["origin_realm"] = "example.org"
    hss.write(changed)
    said = hss.ctl("reload")
    restart = said.partition("needs a restart")[2]
    for path in ("/hss/database", "/diameter/origin_realm"):
        if path not in restart:
            raise Failed(f"reload said {said!r}, not that {path} needs a restart")
    steady.is_served()


def check(directory):
    network.enter()
    with Processes(directory) as programs:
        subscribers = pathlib.Path(directory) / "subscribers.json"
        write_subscribers(subscribers, FIRST)
        ours = siglane.Siglane(sys.argv[1], programs)
        hss = Operated(ours, "siglane-hss", "hss", config_of(subscribers, [1, 2]))
        steady, second = Connection(1), Connection(2)
        steady.is_served()
        peers_come_and_go(hss, subscribers, steady, second)
        subscribers_are_imported(hss, subscribers, steady)
        what_needs_a_restart_is_said_and_left(hss, steady)
        steady.close()
        status = hss.node.stop(20 * patience())
        if status != 0:
            raise Failed(f"the HSS ended with {status}")


if __name__ == "__main__":
    main(check)
