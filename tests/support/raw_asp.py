"""An ASP over TCP that says just what a test wants it to say (RFC 4666)."""
import socket
import struct
import time

from processes import Failed, patience


def message(kind, subtype, parameters=b""):
    return struct.pack("!BBBBI", 1, 0, kind, subtype, 8 + len(parameters)) + parameters


def word(tag, *values):
    return struct.pack("!HH", tag, 4 + 4 * len(values)) + struct.pack(f"!{len(values)}I", *values)


def aspup(identifier):
    return message(3, 1, word(0x11, identifier))


ASPUP_ACK, ASPDN_ACK, BEAT_ACK = (3, 4), (3, 5), (3, 6)
ASPAC_ACK, ASPIA_ACK, ERR, NTFY = (4, 3), (4, 4), (0, 0), (0, 1)


class Asp:
    def __init__(self, address=("127.0.0.1", 2905), send_buffer_bytes=None):
        self.connection = socket.socket()
        if send_buffer_bytes is not None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
        self.connection.settimeout(20)
        self.connection.connect(address)
        self._input, self._at = b"", 0

    def say(self, what):
        self.connection.sendall(what)

    def ask(self, request, answer):
        """Again after T(ack), which RFC 4666 expects: the STP may have had no room for an answer."""
        for _ in range(10):
            self.connection.settimeout(20)
            self.say(request)
            try:
                return self.wait_for(answer, 2)
            except Failed as late:
                why = late
        raise why

    def wait_for(self, wanted, seconds=20):
        """Until that message came."""
        deadline = time.monotonic() + seconds * patience()
        while True:
            while len(self._input) >= self._at + 8:
                kind, subtype, length = struct.unpack_from("!BBI", self._input, self._at + 2)
                if len(self._input) < self._at + length:
                    break
                self._at += length
                if (kind, subtype) == wanted:
                    return
            self.connection.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                more = self.connection.recv(65536)
            except TimeoutError:
                raise Failed(f"no message {wanted} within {seconds} s") from None
            if not more:
                raise Failed(f"the STP closed the connection instead of saying {wanted}")
            self._input, self._at = self._input[self._at:] + more, 0
