"""Peers over TCP that do what no node of ours would: flood, read slowly or never, vanish.

Just enough of M3UA (RFC 4666) and Diameter (RFC 6733, S6a: TS 29.272) to be taken for peers.
"""
import itertools
import random
import select
import socket
import struct
import threading
import time

CHUNK_BYTES = 200_000
TRICKLE_BYTES_PER_SECOND = 2_000
CONNECT_SECONDS = 20


def _parameter(tag, value):
    return struct.pack("!HH", tag, 4 + len(value)) + value + bytes(-len(value) % 4)


def _m3ua(kind, subtype, parameters):
    return struct.pack("!BBBBI", 1, 0, kind, subtype, 8 + len(parameters)) + parameters


def _avp(code, value, vendor=None, flags=0x40):
    if isinstance(value, int):
        value = struct.pack("!I", value)
    elif isinstance(value, str):
        value = value.encode()
    head = 12 if vendor else 8
    length = head + len(value)
    return (struct.pack("!II", code, (flags | (0x80 if vendor else 0)) << 24 | length)
            + (struct.pack("!I", vendor) if vendor else b"") + value + bytes(-len(value) % 4))


def _diameter(command, application, avps, flags=0xC0, number=1):
    return struct.pack("!IIIII", 1 << 24 | 20 + len(avps), flags << 24 | command, application,
                       number, number) + avps


class Asp:
    """What an ASP says. `destinations`: point codes that its DATA goes to, in turn."""

    def __init__(self, identifier, context, point_code, destinations=()):
        self._identifier, self._context = identifier, context
        self._point_code, self._destinations = point_code, destinations

    def greet(self, connection):
        """ASP Up, ASP Active, each acknowledged."""
        connection.sendall(_m3ua(3, 1, _parameter(0x0011, struct.pack("!I", self._identifier))))
        self._await(connection, (3, 4))
        connection.sendall(_m3ua(4, 1, _parameter(0x0006, struct.pack("!I", self._context))))
        self._await(connection, (4, 3))

    @staticmethod
    def _await(connection, wanted):
        while True:
            head = _exactly(connection, 8)
            _exactly(connection, struct.unpack("!I", head[4:])[0] - 8)
            if (head[2], head[3]) == wanted:
                return

    def chunk(self, random_):
        """Many DATA, as one piece of the stream."""
        chunk, sls = bytearray(), itertools.count()
        for destination in itertools.cycle(self._destinations):
            data = struct.pack("!IIBBBB", self._point_code, destination, 3, 2, 0, next(sls) % 16)
            data += random_.randbytes(random_.randrange(40, 250))
            chunk += _m3ua(1, 1, _parameter(0x0006, struct.pack("!I", self._context))
                           + _parameter(0x0210, data))
            if len(chunk) >= CHUNK_BYTES:
                return bytes(chunk)


class Mme:
    """What an MME says: Authentication-Information-Requests, one after another."""

    S6A, VENDOR = 16777251, 10415

    def __init__(self, host, imsis):
        self._imsis = imsis
        self._realm = host.partition(".")[2]
        self._origin = _avp(264, host) + _avp(296, self._realm)

    def greet(self, connection):
        application = _avp(260, _avp(266, self.VENDOR) + _avp(258, self.S6A))
        address = struct.pack("!H", 1) + socket.inet_aton("127.0.0.1")
        connection.sendall(_diameter(
            257, 0, self._origin + _avp(257, address) + _avp(266, 0) + _avp(269, "raw", flags=0)
            + application, flags=0x80))
        head = _exactly(connection, 20)
        body = _exactly(connection, int.from_bytes(head[1:4], "big") - 20)
        if _avp(268, 2001) not in body:
            raise ConnectionError("the CEA is no success")

    def ask_for_vectors(self, imsi, number=1):
        wanted = _avp(1408, _avp(1410, 1, self.VENDOR), self.VENDOR)
        return _diameter(318, self.S6A, _avp(263, f"raw;{number}") + _avp(277, 1)
                         + self._origin + _avp(283, self._realm) + _avp(1, imsi)
                         + _avp(1407, b"\x00\xf1\x10", self.VENDOR) + wanted, number=number)

    def agree_to_part(self, number):
        """The answer to the Disconnect-Peer-Request of that hop-by-hop identifier."""
        return _diameter(282, 0, _avp(268, 2001) + self._origin, flags=0, number=number)

    def chunk(self, random_):
        chunk = bytearray()
        for number in itertools.count(1):
            chunk += self.ask_for_vectors(random_.choice(self._imsis), number)
            if len(chunk) >= CHUNK_BYTES:
                return bytes(chunk)


class IdleMme(Mme):
    """What an MME says that only asks whether its peer is there: Device-Watchdog-Requests."""

    def chunk(self, random_):
        return b"".join(_diameter(280, 0, self._origin, flags=0x80, number=number)
                        for number in range(1, 1001))


def _exactly(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("the node closed the connection")
        data += more
    return data


class RawPeer(threading.Thread):
    """Connects, greets and behaves as it was told, again and again until stop()."""

    def __init__(self, name, address, peer, *, floods=False, flood_bytes=None,
                 reads_per_second=None, stays_seconds=None, seed=1):
        """`flood_bytes`: of each connection, then it sends a trickle; None: all the time.
        `reads_per_second`: bytes; None: as they come. `stays_seconds`: then it goes, by turns
        politely and not, and comes again; None: stays while it may."""
        super().__init__(name=name, daemon=True)
        self._address, self._peer = address, peer
        self._reads, self._stays, self._flood = reads_per_second, stays_seconds, flood_bytes
        self._random = random.Random(seed)
        self._chunk = peer.chunk(self._random) if floods else b""
        self._stopping = threading.Event()
        self.greeted = self.failed = self.bytes_sent = self.bytes_read = 0
        self.first_greeting = threading.Event()

    def stop(self):
        self._stopping.set()

    def run(self):
        while not self._stopping.is_set():
            try:
                with socket.socket() as connection:
                    connection.settimeout(CONNECT_SECONDS)
                    if self._reads is not None:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
                    connection.connect(self._address)
                    self._peer.greet(connection)
                    self.greeted += 1
                    self.first_greeting.set()
                    self._stay(connection)
                    if self.greeted % 2:
                        linger = struct.pack("ii", 1, 0)
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            except OSError:
                self.failed += 1
                self._stopping.wait(0.2)  # another try, but not a storm of them

    def _stay(self, connection):
        connection.setblocking(False)
        began, at, read, sent = time.monotonic(), 0, 0, 0
        chunk = memoryview(self._chunk)
        while not self._stopping.is_set():
            stayed = time.monotonic() - began
            if self._stays is not None and stayed >= self._stays:
                return
            may_read = self._reads is None or read < self._reads * stayed
            trickled = TRICKLE_BYTES_PER_SECOND * stayed
            may_send = chunk and (self._flood is None or sent < self._flood + trickled)
            readable, writable, _ = select.select(
                [connection] if may_read else [], [connection] if may_send else [], [], 0.1)
            if readable:
                data = connection.recv(65536 if self._reads is None else 4096)
                if not data:
                    return
                read += len(data)
                self.bytes_read += len(data)
            if writable:
                went = connection.send(chunk[at:])
                sent += went
                self.bytes_sent += went
                at = (at + went) % len(chunk)
