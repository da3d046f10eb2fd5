#!/usr/bin/env python3
"""Connections that say nothing, kept up: whoever is closed comes again at once.

    idle_strangers.py FROM ADDRESS PORT COUNT

Says "all have come" once COUNT connections from the address FROM were up or have been closed, and
goes on until it is stopped; then it says how often it has come again.
"""
import errno
import resource
import select
import signal
import socket
import sys


class Strangers:
    def __init__(self, own, address, count):
        self._own, self._address, self._count = own, address, count
        self._poll = select.epoll()
        self._sockets = {}
        self.came_again = 0

    def _connect(self):
        one = socket.socket()
        one.setblocking(False)
        one.setsockopt(socket.SOL_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        one.bind((self._own, 0))
        error = one.connect_ex(self._address)
        if error not in (0, errno.EINPROGRESS):
            raise OSError(error, "connect")
        self._sockets[one.fileno()] = one
        self._poll.register(one.fileno(), select.EPOLLOUT | select.EPOLLIN | select.EPOLLRDHUP)

    def _drop(self, number):
        self._poll.unregister(number)
        self._sockets.pop(number).close()
        self.came_again += 1

    def run(self):
        for _ in range(self._count):
            self._connect()
        to_come = set(self._sockets)
        while True:
            for number, events in self._poll.poll():
                if to_come:
                    to_come.discard(number)
                    if not to_come:
                        print("all have come", flush=True)
                if events & (select.EPOLLERR | select.EPOLLHUP | select.EPOLLRDHUP):
                    self._drop(number)
                    self._connect()
                else:
                    self._poll.modify(number, select.EPOLLIN | select.EPOLLRDHUP)


def main():
    own, address, port, count = sys.argv[1:]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    strangers = Strangers(own, (address, int(port)), int(count))

    def stop(*_):
        print(f"came again {strangers.came_again} times", flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    strangers.run()


if __name__ == "__main__":
    main()
