#!/usr/bin/env python3
"""Runs a program as a machine with other things to do would: stopped at random, up to 600 ms at a time.

    paused.py SEED PROGRAM [ARGUMENT...]
"""
import random
import signal
import subprocess
import sys
import time

RUNNING = [0.1, 0.3, 1.0]  # seconds
STOPPED = [0.05, 0.2, 0.6]


def main():
    chance = random.Random(int(sys.argv[1]))
    with subprocess.Popen(sys.argv[2:]) as program:
        while True:
            try:
                return program.wait(chance.choice(RUNNING))
            except subprocess.TimeoutExpired:
                program.send_signal(signal.SIGSTOP)
                time.sleep(chance.choice(STOPPED))
                program.send_signal(signal.SIGCONT)


if __name__ == "__main__":
    status = main()
    sys.exit(status if status >= 0 else 128 - status)
