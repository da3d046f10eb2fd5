"""A daemon of ours that follows its config file and siglanectl's orders."""
import re
import subprocess

import siglane
from processes import Failed, patience


class Operated:
    def __init__(self, ours, program, name, config):
        self._ours, self._name = ours, name
        self.config = config
        self.node = ours.start_node(program, name, config)

    def ctl(self, *words, status=0):
        """What siglanectl says, on either output; it must end with that status."""
        done = subprocess.run(
            [self._ours.binaries / "siglanectl", "--socket", self._socket, "--timeout",
             str(20 * patience()), *words], text=True, check=False, timeout=60 * patience(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != status:
            raise Failed(f"siglanectl {words}: status {done.returncode}, expected {status}; "
                         f"{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def write(self, config):
        siglane.write(self._ours.directory, self._name,
                      {**config, "admin": {"socket": str(self._socket)}})

    def write_text(self, text):
        (self._ours.directory / f"{self._name}.json").write_text(text)

    def reload(self, config, *expected):
        """Its new revision; what it says of the reload must have these texts."""
        self.write(config)
        said = self.ctl("reload")
        for text in expected:
            if text not in said:
                raise Failed(f"reload said {said!r}, not {text!r}")
        self.config = config
        return int(re.search(r"revision (\d+)", said).group(1))

    def state_of(self, peer):
        return self._ours.ask(self.node, "peers")[peer]["state"]

    @property
    def _socket(self):
        return self._ours.directory / f"{self._name}.sock"
