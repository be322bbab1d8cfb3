"""Ports for programs that must be given one."""

import random
import socket


def free_port():
    """Below those that the kernel gives to connections, one of which could take it meanwhile."""
    while True:
        port = random.randrange(10000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
