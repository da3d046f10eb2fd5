"""What was on the wire, written by tcpdump and read by tshark: the independent decoder."""
import signal

from processes import Failed, patience, run

# Malformed, or an expert error (PI_ERROR and worse).
PROBLEMS = "_ws.malformed || _ws.expert.severity >= 8388608"


class Capture:
    """Everything on loopback that matches the filter, from now until stop()."""

    def __init__(self, programs, name, packet_filter, decode_as=()):
        self.file = programs.directory / f"{name}.pcap"
        # Loopback computes no SCTP checksum, so a good one is not to be expected.
        self._options = ["-n", "-o", "sctp.checksum:NONE"]
        for rule in decode_as:
            self._options += ["-d", rule]
        command = ["tcpdump", "-i", "lo", "-n", "-s", "0", "-B", "32768", "-U", "--immediate-mode"]
        command += ["-Z", "root", "-w", self.file, packet_filter]
        self._tcpdump = programs.start(f"tcpdump-{name}", command)
        self._tcpdump.wait_for("listening on", 10 * patience())

    def stop(self):
        self._tcpdump.stop(10 * patience(), signal.SIGINT)
        if not any(line.startswith("0 packets dropped") for line in self._tcpdump.lines()):
            raise Failed(f"the capture is not complete:\n{self._tcpdump.tail()}")

    def tshark(self, *arguments):
        return run(["tshark", "-r", self.file, *self._options, *arguments], 120)

    def table(self, *fields):
        """For every frame, the values of each field in it, in order."""
        columns = [argument for field in fields for argument in ("-e", field)]
        lines = self.tshark("-T", "fields", "-E", "occurrence=a", *columns).splitlines()
        return [[column.split(",") if column else [] for column in line.split("\t")]
                for line in lines]

    def expect_no_problems(self):
        problems = self.tshark("-Y", PROBLEMS).splitlines()
        if problems:
            detail = self.tshark("-Y", PROBLEMS, "-V", "-c", "100000")
            experts = [line.strip() for line in detail.splitlines() if "Expert Info" in line]
            raise Failed("\n".join([f"{len(problems)} frames with problems:", *problems[:10],
                                    *sorted(set(experts))[:20]]))
