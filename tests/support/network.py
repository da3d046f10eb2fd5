"""A network of a test's own: a namespace with loopback and one more interface, gone with the test.

    network.enter()        # starts this script again inside the namespace, the first time

The second interface is there because freeDiameter refuses to start on a machine that has only
loopback addresses. All traffic is between local addresses and therefore on `lo`.
"""
import os
import subprocess
import sys

from processes import Skipped, run

ADDRESS = "10.255.255.1"
_MARK = "SIGLANE_TEST_NAMESPACE"


def _unshare():
    """How a namespace can be had: as root, or with a user namespace of our own."""
    commands = [["unshare", "--net"], ["unshare", "--map-root-user", "--net"]]
    refusal = ""
    for command in commands:
        attempt = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
        if attempt.returncode == 0:
            return command
        refusal = attempt.stderr.strip()
    raise Skipped(f"no network namespace can be made here: {refusal}")


def enter():
    if _MARK not in os.environ:
        command = [*_unshare(), sys.executable, *sys.argv]
        os.execvpe(command[0], command, {**os.environ, _MARK: "1"})
    run(["ip", "link", "set", "lo", "up"])
    attempts = [
        ["dummy0", "type", "dummy"],
        ["dummy0", "type", "veth", "peer", "name", "dummy1"],
        ["dummy0", "type", "bridge"],
    ]
    for attempt in attempts:
        command = ["ip", "link", "add", *attempt]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            break
    else:
        raise Skipped("no network interface can be made here: neither dummy nor veth nor bridge")
    run(["ip", "address", "add", f"{ADDRESS}/30", "dev", "dummy0"])
    run(["ip", "link", "set", "dummy0", "up"])
