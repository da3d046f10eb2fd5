#!/usr/bin/env python3
"""The completion of siglanectl offers all that siglanectl has, and the peers of the node.

    completion.py BINARIES
"""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import network
import siglane
from processes import Failed, Processes, main, patience, run

BINARIES = pathlib.Path(sys.argv[1]).resolve()
COMPLETION = siglane.ROOT / "apps" / "ctl" / "completion.bash"


def completed(*words):
    """What is offered for the last word."""
    script = (f"PATH={BINARIES}:$PATH; source {COMPLETION}; COMP_WORDS=(siglanectl \"$@\"); "
              "COMP_CWORD=$#; _siglanectl; printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "-c", script, "bash", *(str(word) for word in words)], text=True,
                          capture_output=True, check=True, timeout=60 * patience())
    if done.stderr:
        raise Failed(f"{words}: bash says {done.stderr}")
    return done.stdout.split()


def help_of(*words):
    return run([BINARIES / "siglanectl", *words, "--help"])


def options_of(text):
    return re.findall(r"^ +(?:-\w,)?(--[\w-]+)", text, re.M)


def expect(found, wanted, what):
    if sorted(found) != sorted(wanted):
        raise Failed(f"{what}: {sorted(found)}, expected {sorted(wanted)}")


def test(directory):
    network.enter()
    commands = re.findall(r"^  ([a-z-]+)  ", help_of().split("Subcommands:")[1], re.M)
    expect(completed(""), commands, "subcommands")
    everywhere = options_of(help_of())
    expect(completed("--"), everywhere, "options")
    for command in commands:
        expect(completed(command, "--"), {*everywhere, *options_of(help_of(command))}, command)
    expect(completed("log-level", "w"), ["warning"], "levels")
    with Processes(directory) as programs:
        config = siglane.endpoint(siglane.example("stp"), "tcp", port=12905)
        ours = siglane.Siglane(BINARIES, programs)
        ours.start_node("siglane-stp", "stp", config)
        expect(completed("--socket", directory / "stp.sock", "block", "asp"),
               [f"asp{n}" for n in range(1, 9)], "peers")
        expect(completed("-s", directory / "stp.sock", "stats", "--peer", "asp8"), ["asp8"], "--peer")


if __name__ == "__main__":
    main(test)
