#!/usr/bin/env python3
"""A supervisor hears from a daemon what sd_notify(3) is for: systemd's part is played by a socket.

    supervised.py BINARIES
"""
import pathlib
import signal
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import network
import siglane
from processes import Failed, Processes, main, patience


class Supervisor:
    def __init__(self, path):
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._path)
        self._socket.settimeout(20 * patience())

    @property
    def environment(self):
        return {"NOTIFY_SOCKET": self._path, "WATCHDOG_USEC": "200000"}

    def hear(self, wanted):
        """The next message that begins so; the watchdog's may stand before it, and no other."""
        while True:
            text = self._socket.recv(4096).decode()
            if text.startswith(wanted):
                return text
            if text != "WATCHDOG=1":
                raise Failed(f"heard {text!r}, expected {wanted!r}")


def expect(part, text):
    if part not in text:
        raise Failed(f"heard {text!r}, without {part!r}")


def test(directory):
    network.enter()
    supervisor = Supervisor(directory / "notify")
    with Processes(directory) as programs:
        config = siglane.endpoint(siglane.example("stp"), "tcp", port=12905)
        config["runtime"] = {"shards": 3}
        config["admin"] = {"socket": ""}
        path = siglane.write(directory, "stp", config)
        program = pathlib.Path(sys.argv[1]).resolve() / "siglane-stp"
        stp = programs.start("stp", [program, "--config", path], supervisor.environment)
        expect("STATUS=siglane-stp ", supervisor.hear("READY=1"))
        for _ in range(3):
            supervisor.hear("WATCHDOG=1")
        config["m3ua"]["heartbeat_interval_ms"] = 20000
        siglane.write(directory, "stp", config)
        stp.send_signal(signal.SIGHUP)
        expect("\nMONOTONIC_USEC=", supervisor.hear("RELOADING=1"))
        expect("revision 2", supervisor.hear("READY=1"))
        (directory / "stp.json").write_text("{")
        stp.send_signal(signal.SIGHUP)
        supervisor.hear("RELOADING=1")
        expect("revision 2", supervisor.hear("READY=1"))
        stp.send_signal(signal.SIGTERM)
        expect("SIGTERM", supervisor.hear("STOPPING=1"))
        if stp.wait(20 * patience()) != 0:
            raise Failed(f"it ended with {stp.status}")


if __name__ == "__main__":
    main(test)
