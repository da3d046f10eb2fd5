#!/usr/bin/env python3
"""An STP follows a new config while it runs, and an operator's orders.

    reload.py BINARIES

ASPs that no new config concerns stay connected and are served all the time.
"""
import copy
import pathlib
import re
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import network
import siglane
from operated import Operated
from processes import Failed, Processes, main, patience
from raw_asp import ASPAC_ACK, ASPIA_ACK, ASPUP_ACK, BEAT_ACK, ERR, NTFY, Asp, aspup, message, word

ASPAC = message(4, 1)
BEAT = message(3, 3, word(0x09, 4711))


def server(n, **more):
    return {"name": f"as{n}", "routing_context": 100 + n, "traffic_mode": "override",
            "asps": [f"asp{n}"], **more}


def config_of(numbers):
    config = siglane.endpoint(siglane.example("stp"), "tcp")
    config["runtime"] = {"shards": 2}
    config["m3ua"] = {
        "asps": [{"name": f"asp{n}", "asp_identifier": n, "remote_addresses": ["127.0.0.1"]}
                 for n in numbers],
        "application_servers": [server(n) for n in numbers],
        "routes": [{"dpc": 1000 + n, "as": f"as{n}"} for n in numbers],
    }
    return config


def up(identifier, context=None):
    asp = Asp()
    asp.say(aspup(identifier))
    asp.wait_for(ASPUP_ACK)
    asp.say(ASPAC if context is None else message(4, 1, word(0x06, context)))
    asp.wait_for(ASPAC_ACK)
    return asp


def is_served(asp):
    asp.say(BEAT)
    asp.wait_for(BEAT_ACK)


def expect_end(asp):
    """The STP closes its connection."""
    asp.connection.settimeout(20 * patience())
    while asp.connection.recv(65536):
        pass


# --- What is reloaded ---------------------------------------------------------------------------

def what_is_wrong_changes_nothing(stp, steady):
    wrong = copy.deepcopy(stp.config)
    wrong["m3ua"]["routes"][0]["as"] = "nobody"
    stp.write(wrong)
    said = stp.ctl("reload", status=1)
    if not re.search(r"stp\.json:\d+: /m3ua/routes/0/as: ", said):
        raise Failed(f"reload said {said!r} of a wrong config")
    stp.write_text("{")
    stp.ctl("reload", status=1)
    stp.write(stp.config)
    if "still revision 1, no changes" not in stp.ctl("reload"):
        raise Failed("a config that is as it was makes a change")
    is_served(steady)


def a_dry_run_only_says_what_would_change(stp, steady):
    stp.write(config_of([1, 3]))
    said = stp.ctl("reload", "--dry-run")
    for line in ("would be revision 2", "/m3ua/asps/asp3: added", "/m3ua/asps/asp2: removed",
                 "/m3ua/application_servers/as3: added", '/m3ua/routes: {"dpc":1003'):
        if line not in said:
            raise Failed(f"a dry run said {said!r}, not {line!r}")
    stp.write(stp.config)
    if "still revision 1" not in stp.ctl("reload"):
        raise Failed("a dry run has changed something")
    if stp.state_of("asp2") != "ASP-ACTIVE":
        raise Failed("a dry run has disconnected asp2")
    is_served(steady)


def asps_servers_and_routes_come_and_go(stp, steady, second):
    stp.reload(config_of([1, 2, 3]), "now revision 2", "/m3ua/asps/asp3: added")
    third = up(3)
    stp.reload(config_of([1, 3]), "now revision 3", "/m3ua/asps/asp2: removed")
    expect_end(second)
    refused = Asp()
    refused.say(aspup(2))
    expect_end(refused)
    is_served(third)
    is_served(steady)
    return third


def a_hangup_reloads(stp, steady):
    stp.write(config_of([1, 2, 3]))
    stp.node.send_signal(signal.SIGHUP)
    stp.node.wait_for("now revision 4", 20 * patience())
    stp.config = config_of([1, 2, 3])
    up(2).connection.close()
    is_served(steady)


def what_needs_a_restart_is_said_and_left(stp, steady):
    changed = copy.deepcopy(stp.config)
    changed["runtime"]["shards"] = 1
    changed["log"] = {"level": "warning"}
    stp.write(changed)
    for _ in range(2):  # it is said again, as long as it is so
        said = stp.ctl("reload")
        if "/runtime/shards: 2 is now 1" not in said or "restart" not in said:
            raise Failed(f"reload said {said!r} of a change that needs a restart")
    stp.reload(stp.config | {"log": {"level": "info"}})
    is_served(steady)


def an_asp_with_another_identifier_reconnects(stp, steady, third):
    changed = copy.deepcopy(stp.config)
    changed["m3ua"]["asps"][-1]["asp_identifier"] = 33
    stp.reload(changed, "these associations reconnect:", "/m3ua/asps/asp3/asp_identifier: 3 is now 33")
    expect_end(third)
    is_served(steady)
    return up(33)


# --- Orders -------------------------------------------------------------------------------------

def orders(stp, steady, third):
    stp.ctl("block", "asp3")
    third.wait_for(ASPIA_ACK)
    third.say(ASPAC)
    third.wait_for(ERR)
    is_served(third)
    stp.ctl("unblock", "asp3")
    third.say(ASPAC)
    third.wait_for(ASPAC_ACK)
    stp.ctl("disconnect", "asp3")
    expect_end(third)
    if "nobody" not in stp.ctl("block", "nobody", status=1):
        raise Failed("a peer that there is not is not named")
    stp.ctl("log-level", "warning")
    is_served(steady)


def check(directory):
    network.enter()
    with Processes(directory) as programs:
        ours = siglane.Siglane(sys.argv[1], programs)
        stp = Operated(ours, "siglane-stp", "stp", config_of([1, 2]))
        steady, second = up(1), up(2)
        steady.wait_for(NTFY)
        what_is_wrong_changes_nothing(stp, steady)
        a_dry_run_only_says_what_would_change(stp, steady)
        third = asps_servers_and_routes_come_and_go(stp, steady, second)
        a_hangup_reloads(stp, steady)
        what_needs_a_restart_is_said_and_left(stp, steady)
        third = an_asp_with_another_identifier_reconnects(stp, steady, third)
        orders(stp, steady, third)
        status = stp.node.stop(20 * patience())
        if status != 0:
            raise Failed(f"the STP ended with {status}")


if __name__ == "__main__":
    main(check)
