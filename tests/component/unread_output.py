#!/usr/bin/env python3
"""Nobody reads what a program says, and it goes on working, and ends in time when it is asked to.

    unread_output.py BINARIES
"""
import contextlib
import fcntl
import os
import pathlib
import pty
import select
import signal
import socket
import subprocess
import sys
import termios

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import siglane
from processes import Failed, main, patience, wait_until

BINARIES = pathlib.Path(sys.argv[1]).resolve()
ADDRESS = "127.78.{}.{}".format(*divmod(os.getpid() % 65536, 256))
PORT = 2905
# The grace for goodbyes is not needed here: there are no peers. The rest is for the log.
ENDS_WITHIN = 5 * patience()


def stp(directory):
    config = siglane.endpoint(siglane.example("stp"), "tcp", addresses=[ADDRESS], port=PORT)
    config["log"] = {"level": "debug"}
    config["admin"] = {"socket": str(directory / "stp.sock")}
    return siglane.write(directory, "stp", config)


@contextlib.contextmanager
def started(arguments, **descriptors):
    process = subprocess.Popen([str(argument) for argument in arguments],
                               stdin=subprocess.DEVNULL, **descriptors)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def ends(process, expected, what):
    try:
        status = process.wait(ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        raise Failed(f"{what}: not within {ENDS_WITHIN} s") from None
    if status != expected:
        raise Failed(f"{what}: status {status}, not {expected}")


def listens():
    """A stranger is let in, and is then a line in the log."""
    try:
        socket.create_connection((ADDRESS, PORT), timeout=10).close()
        return True
    except ConnectionRefusedError:
        return False


def is_full(descriptor):
    return not select.select([], [descriptor], [], 0)[1]


def full_pipe():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    return reader, writer


def node_with_a_full_pipe(directory):
    reader, writer = full_pipe()
    with started([BINARIES / "siglane-stp", "--config", stp(directory)], stderr=writer) as node:
        wait_until(listens, 20 * patience(), "the node listens")
        wait_until(lambda: listens() and is_full(writer), 60 * patience(), "the pipe is full")
        node.send_signal(signal.SIGHUP)  # one more line, and no end
        if not listens() or node.poll() is not None:
            raise Failed("a node whose log nobody reads does not work")
        node.send_signal(signal.SIGTERM)
        ends(node, 0, "the node ends, its log unread")
    if fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK:
        raise Failed("the node has left O_NONBLOCK in what it shares with others")
    os.close(reader)
    os.close(writer)


def node_at_a_stopped_terminal(directory):
    controller, terminal = pty.openpty()
    termios.tcflow(terminal, termios.TCOOFF)  # Ctrl-S
    with started([BINARIES / "siglane-stp", "--config", stp(directory)], stderr=terminal) as node:
        wait_until(listens, 20 * patience(), "the node listens")
        node.send_signal(signal.SIGTERM)
        ends(node, 0, "the node ends at a stopped terminal")
    os.close(controller)
    os.close(terminal)


def node_whose_reader_is_gone(directory):
    reader, writer = os.pipe()
    with started([BINARIES / "siglane-stp", "--config", stp(directory)], stderr=writer) as node:
        os.close(writer)
        os.close(reader)
        wait_until(listens, 20 * patience(), "the node listens")
        wait_until(listens, 20, "the node goes on")
        node.send_signal(signal.SIGTERM)
        ends(node, 0, "the node ends, its log closed")


def load(directory, target):
    config = siglane.endpoint(siglane.example("load-m3ua"), "tcp")
    config["load"]["target"]["remote_addresses"] = [target]
    config["load"]["target"].pop("remote_udp_port")
    config["admin"]["socket"] = str(directory / "load.sock")
    return siglane.write(directory, "load", config)


def catches_sigterm(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    caught, = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))


def load_tool(directory):
    """Its report goes into a pipe that is full: a signal ends it, whenever it comes."""
    config = load(directory, ADDRESS)  # where nobody is
    command = [BINARIES / "siglane-load", "m3ua", "--config", config, "--connect-timeout", "1"]
    reader, writer = full_pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    with started(command, stdout=writer, stderr=subprocess.DEVNULL) as tool:
        wait_until(lambda: catches_sigterm(tool), 20 * patience(), "the tool runs")
        wait_until(lambda: not catches_sigterm(tool), 20 * patience(), "the tool reports")
        tool.send_signal(signal.SIGTERM)
        ends(tool, -signal.SIGTERM, "the load tool ends, its report unread")
    os.close(reader)
    with started(command, stdout=writer, stderr=writer) as tool:
        ends(tool, 1, "the load tool ends, its report's reader gone")
    os.close(writer)
    with started(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]) as tool:
        ends(tool, 1, "the load tool ends, its standard output closed")


def early_errors(directory):
    for program in ("siglane-stp", "siglane-hss"):
        command = [BINARIES / program, "--config", directory / "none.json"]
        with started(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]) as node:
            ends(node, 1, f"{program} says what is wrong to nobody")


def test(directory):
    node_with_a_full_pipe(directory)
    node_at_a_stopped_terminal(directory)
    node_whose_reader_is_gone(directory)
    load_tool(directory)
    early_errors(directory)


main(test)
