"""Siglane's programs as a test runs them: configs derived from the example configs."""
import copy
import json
import pathlib
import socket

from processes import Failed, patience, run, wait_until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def example(name):
    return json.loads((ROOT / "config" / f"{name}.json").read_text())


def hss_example():
    """config/hss.json; a copy of it elsewhere still finds its subscribers."""
    config = example("hss")
    config["hss"]["subscribers"] = str(ROOT / "config" / config["hss"]["subscribers"])
    return config


def endpoint(config, transport, **changes):
    """The config with its endpoints on that transport: "tcp" or "kernel-sctp"."""
    config = copy.deepcopy(config)
    for entry in config["endpoints"]:
        entry["transport"] = transport
        entry.pop("udp_encapsulation", None)
        entry.update(changes)
    return config


def write(directory, name, config):
    path = pathlib.Path(directory) / f"{name}.json"
    path.write_text(json.dumps(config, indent=2))
    return path


def _answers(path):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


class Siglane:
    """The programs of one build tree."""

    def __init__(self, binaries, programs):
        self.binaries = pathlib.Path(binaries).resolve()
        self._programs = programs
        self.directory = programs.directory

    def start_node(self, program, name, config, *arguments, by=()):
        """Starts a daemon, by way of a command that runs it, and waits until its admin socket
        answers."""
        admin = self.directory / f"{name}.sock"
        config = {**config, "admin": {**config.get("admin", {}), "socket": str(admin)}}
        path = write(self.directory, name, config)
        node = self._programs.start(
            name, [*by, self.binaries / program, "--config", path, *arguments]
        )

        def ready():
            if node.status is not None:
                raise Failed(f"{name} ended at its start:\n{node.tail()}")
            return _answers(admin)

        wait_until(ready, 20 * patience(), f"{name} is up")
        return node

    def start_load(self, kind, name, config, *arguments):
        """Starts the load tool; its report will be at report_of(name)."""
        config = {**config, "admin": {"socket": str(self.directory / f"{name}.sock")}}
        path = write(self.directory, name, config)
        return self._programs.start(
            name,
            [self.binaries / "siglane-load", kind, "--config", path,
             "--json", self.report_path(name), *arguments],
        )

    def ask(self, node, what):
        """What siglanectl says of a node, "peers" or "stats": name to object, or value."""
        said = run([self.binaries / "siglanectl", "--socket", self.directory / f"{node.name}.sock",
                    "--output", "json", "--timeout", 30 * patience(), what])
        found = json.loads(said)[what]
        if what == "stats":
            return {one["name"]: int(one["value"]) for one in found["counter"]}
        return {one["name"]: one for one in found["peer"]}

    def report_path(self, name):
        return self.directory / f"{name}-report.json"

    def report_of(self, name):
        path = self.report_path(name)
        if not path.exists():
            raise Failed(f"{name} left no report")
        return json.loads(path.read_text())
