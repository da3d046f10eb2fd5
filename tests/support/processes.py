"""Programs that a test runs: started, watched by what they say, and stopped by their process id.

    with Processes(directory) as programs:
        relay = programs.start("relay", ["freeDiameterd", "-c", config])
        relay.wait_for("daemon initialized", 20)
        ...
        status = relay.stop(10)

Every wait is bounded and ends early when the program does. What is still running at the end of the
block is stopped, the last started first; if the block raises, the end of every log is printed. A
test that is killed takes its programs with it.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time


class Failed(Exception):
    """What was expected did not happen."""


class Skipped(Exception):
    """The test cannot run here; the reason."""


SKIP_STATUS = 77


def in_guest():
    """Is this the emulated machine of scripts/with-kernel-sctp?"""
    vendor = pathlib.Path("/sys/class/dmi/id/sys_vendor")
    return vendor.exists() and "qemu" in vendor.read_text().lower()


def patience():
    """What to multiply time limits by: code runs about ten times slower in the guest."""
    return 10 if in_guest() else 1


class Process:
    """One program. Its standard output and error go to `log` and, line by line, to wait_for()."""

    def __init__(self, name, arguments, directory, environment=None):
        self.name = name
        self.log = pathlib.Path(directory) / f"{name}.log"
        self._lines = []
        self._ended = False
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            # A test that is itself killed leaves no daemon behind.
            ["setpriv", "--pdeathsig", "KILL", "--", *(str(argument) for argument in arguments)],
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with open(self.log, "w", encoding="utf-8") as log:
            for raw in self._process.stdout:
                line = raw.decode(errors="replace").rstrip("\n")
                log.write(line + "\n")
                log.flush()
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def pid(self):
        return self._process.pid

    @property
    def status(self):
        """The exit status; None while it runs."""
        return self._process.poll()

    def lines(self):
        with self._changed:
            return list(self._lines)

    def count(self, pattern):
        """How many lines so far match the pattern."""
        expression = re.compile(pattern)
        return sum(bool(expression.search(line)) for line in self.lines())

    def tail(self, count=25):
        return "\n".join(self.lines()[-count:])

    def wait_for(self, pattern, seconds, times=1):
        """Waits until `times` lines match the pattern, those said already included."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + seconds
        seen = at = 0
        with self._changed:
            while True:
                while at < len(self._lines):
                    seen += bool(expression.search(self._lines[at]))
                    at += 1
                    if seen >= times:
                        return
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "it ended" if self._ended else f"not within {seconds} s"
                    raise Failed(f"{self.name} did not say /{pattern}/ ({seen} of {times}): {why}")
                self._changed.wait(left)

    def wait(self, seconds):
        """Waits for its end; the exit status."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end within {seconds} s") from None
        self._reader.join(5)
        return status

    def send_signal(self, number):
        self._process.send_signal(number)

    def stop(self, seconds, number=signal.SIGTERM):
        """Asks it to end and waits; the exit status. One that does not is killed, and that fails."""
        if self.status is None:
            self._process.send_signal(number)
        try:
            return self.wait(seconds)
        except Failed:
            self.kill()
            raise

    def kill(self):
        if self.status is None:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)

    def cpu_seconds(self):
        """(in user code, in the kernel) of all its threads so far; it must still be running."""
        text = pathlib.Path(f"/proc/{self.pid}/stat").read_text()
        fields = text[text.rindex(")") + 2 :].split()
        ticks = os.sysconf("SC_CLK_TCK")
        return int(fields[11]) / ticks, int(fields[12]) / ticks

    def run_nanoseconds(self):
        """CPU time of all its threads so far, exactly; it must still be running."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())


class Processes:
    """The programs of one test, in one directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self._started = []

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and not issubclass(kind, Skipped):
            for process in self._started:
                status = "running" if process.status is None else f"status {process.status}"
                print(f"--- {process.name} ({status}), its last lines:", file=sys.stderr)
                print(process.tail(), file=sys.stderr)
        for process in reversed(self._started):
            if process.status is not None:
                continue
            try:
                process.stop(10 * patience())
            except Failed as late:
                print(late, file=sys.stderr)

    def start(self, name, arguments, environment=None):
        process = Process(name, arguments, self.directory, environment)
        self._started.append(process)
        return process


def wait_until(condition, seconds, what):
    """For what announces itself nowhere: looks again every 50 ms until `condition()` is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.05)
    raise Failed(f"{what}: not within {seconds} s")


def run(arguments, seconds=60):
    """Runs a short command to its end; its output. Failing fails."""
    done = subprocess.run(
        [str(argument) for argument in arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds * patience(),
        check=False,
    )
    if done.returncode != 0:
        raise Failed(f"{arguments[0]} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def main(test, announce=True):
    """Runs a test's function with a directory of its own; ends the process with its verdict."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="siglane-test-"))
    status = 0
    try:
        test(directory)
        if announce:
            print("ok")
    except Skipped as reason:
        print(f"skipped: {reason}")
        status = SKIP_STATUS
    except (Failed, subprocess.TimeoutExpired) as failure:
        print(f"FAILED: {failure}")
        status = 1
    finally:
        if os.environ.get("SIGLANE_KEEP"):
            print(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    sys.exit(status)
