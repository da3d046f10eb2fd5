#!/usr/bin/env python3
"""siglanectl says of a wrong command line what is wrong and what was expected, and ends with 2.

    wrong_commands.py BINARIES
"""
import os
import pathlib
import subprocess
import sys

SIGLANECTL = pathlib.Path(sys.argv[1]) / "siglanectl"
ALL = ("peers, associations, stats, drops, facts, as, routes, route-lookup, explain, reload, disconnect, "
       "connect, block, unblock, peel, log-level")
CASES = [
    (["peer"], f'"peer" is no subcommand; expected one of {ALL}'),
    (["--socket", "/tmp/none.sock", "peer"], f'"peer" is no subcommand; expected one of {ALL}'),
    (["--socket", "/tmp/none.sock"], f"missing subcommand; expected one of {ALL}"),
    (["--url", "ftp://x", "peers"], "ftp://x does not begin with http:// or https://"),
    (["--url", "http://node.example:80/", "--token-file", "/t", "peers"],
     "the token would go to http://node.example:80 in the clear; expected https://"),
    (["peers"], "which node? Expected --socket PATH or SIGLANE_ADMIN_SOCKET"),
    (["--socket", "/tmp/none.sock", "peers", "now"], '"now" was not expected with peers'),
    (["--socket", "/tmp/none.sock", "peers", "--all"], '"--all" was not expected with peers'),
    (["--socket", "/tmp/none.sock", "stats", "--peer", ""], "is empty; expected a peer's name"),
    (["--socket", "/tmp/none.sock", "--watch", "x", "peers"], "x is not a number from 0.05 to 86400"),
    (["--socket", "/tmp/none.sock", "route-lookup"],
     "expected --realm REALM --application NAME, or --dpc N"),
    (["--socket", "/tmp/none.sock", "route-lookup", "--realm", "a.example"],
     "--realm requires --application"),
    (["--socket", "/tmp/none.sock", "route-lookup", "--realm", "a", "--application", "S6a", "--dpc", "1"],
     "--realm excludes --dpc"),
    (["--socket", "/tmp/none.sock", "route-lookup", "--opc", "1"], "--opc requires --dpc"),
    (["--socket", "/tmp/none.sock", "block"], "peer is required"),
    (["--socket", "/tmp/none.sock", "--watch", "1", "reload"], "reload is done once"),
    (["\x1b[2J"], '"\\u001b[2J" is no subcommand'),
]

failures = 0
environment = {key: value for key, value in os.environ.items() if key != "SIGLANE_ADMIN_SOCKET"}
for words, expected in CASES:
    done = subprocess.run([SIGLANECTL, *words], env=environment, text=True, timeout=30, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 2 or expected not in done.stderr:
        failures += 1
        print(f"siglanectl {words}: status {done.returncode}, said {done.stderr!r}; "
              f"expected 2 and {expected!r}")
print(f"{len(CASES)} wrong command lines, {failures} failures")
sys.exit(1 if failures else 0)
