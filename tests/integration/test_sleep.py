"""Devices out of coverage, and what the kernel is asked to do about them.

The second part puts a network between the client and Postern (two network namespaces and a pair of
veth devices) and takes it down for a while; that needs root and iproute2.
"""

import os
import socket
import subprocess
import time
import unittest

from brokers import echo
from clients import SLOW, TlsClient, tls_context
from harness import PROGRAM, Case, main, pki
from namespaces import can_have_networks, ip, within

KEEPALIVE = "02"  # proc(5): which timer is pending


class Options(Case):
    def timer(self, client):
        """The timer that is pending for Postern's end of the connection, and its seconds."""
        local = "%04X" % client.sock.getpeername()[1], "%04X" % client.sock.getsockname()[1]
        with open("/proc/net/tcp", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                fields = line.split()
                if (fields[1][-4:], fields[2][-4:]) == local:
                    kind, when = fields[5].split(":")
                    return kind, int(when, 16) / os.sysconf("SC_CLK_TCK")
        raise AssertionError("Postern has no such connection")

    def idle_client(self, postern):
        client = self.client(postern)
        client.send(b"x")
        client.recv_exactly(1)
        self.wait_until(lambda: self.timer(client)[0] in (KEEPALIVE, "00"), "nothing under way")
        return client

    def test_by_default_a_device_may_be_silent_for_five_minutes(self):
        postern = self.postern(self.fake_broker(echo))
        kind, seconds = self.timer(self.idle_client(postern))
        self.assertEqual(kind, KEEPALIVE)
        self.assertGreater(seconds, 240)
        self.assertLessEqual(seconds, 301)

    def test_the_silence_before_a_probe_is_a_key_that_reloads(self):
        postern = self.postern(self.fake_broker(echo), listener={"tcp_keepalive": "40s"})
        _, seconds = self.timer(self.idle_client(postern))
        self.assertLessEqual(seconds, 41)
        with open(postern.config_file, encoding="utf-8") as file:
            text = file.read()
        with open(postern.config_file, "w", encoding="utf-8") as file:
            file.write(text.replace("tcp_keepalive = 40s", "tcp_keepalive = off"))
        self.assertEqual(postern.reload().name, "reload done")
        self.assertEqual(self.timer(self.idle_client(postern))[0], "00")


class Network:
    """Two namespaces, `inside` for Postern and `outside` for the client, and a link that can fail."""

    def __init__(self):
        self.inside, self.outside = (f"postern-{os.getpid()}-{side}" for side in ("in", "out"))
        for name in (self.inside, self.outside):
            ip("netns", "add", name)
        ip("-n", self.inside, "link", "add", "up0", "type", "veth",
           "peer", "name", "up0", "netns", self.outside)
        for name, address in ((self.inside, "10.77.0.1/24"), (self.outside, "10.77.0.2/24")):
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "address", "add", address, "dev", "up0")
            ip("-n", name, "link", "set", "up0", "up")

    def set_link(self, state):
        ip("-n", self.outside, "link", "set", "up0", state)

    def remove(self):
        for name in (self.inside, self.outside):
            subprocess.run(["ip", "netns", "delete", name], check=False)


@unittest.skipUnless(can_have_networks(), "needs root, iproute2 and network namespaces")
class Coverage(Case):
    def setUp(self):
        super().setUp()
        self.network = Network()
        self.addCleanup(self.network.remove)

    def device(self, **listener):
        """A connected client, Postern, and the broker's end of the session."""
        broker = within(self.network.inside, lambda: self.fake_broker(echo))
        postern = self.postern(broker, listen="10.77.0.1:0", listener=listener,
                               wrapper=("ip", "netns", "exec", self.network.inside, PROGRAM))
        context = tls_context(pki.authority().pem)
        client = within(
            self.network.outside,
            lambda: TlsClient(("10.77.0.1", postern.port), context, handshake=False))
        self.addCleanup(client.cut)
        client.handshake()
        client.send(b"x")
        client.recv_exactly(1)
        return client, postern

    def test_a_device_without_coverage_for_a_while_goes_on(self):
        client, postern = self.device(tcp_keepalive="1s", tcp_user_timeout=f"{60 * SLOW}s")
        self.network.set_link("down")
        time.sleep(5)  # probes go unanswered all the while
        self.network.set_link("up")
        client.send(b"still here")
        self.assertEqual(client.recv_exactly(10), b"still here")
        self.assertEqual(postern.all("session end"), [])

    def test_a_device_that_died_is_found(self):
        _, postern = self.device(tcp_keepalive="1s", tcp_user_timeout="2s")
        self.network.set_link("down")
        event = postern.wait("session end")
        self.assertEqual(event["reason"], "client_reset")
        self.assertGreaterEqual(float(event["seconds"]), 2)


if __name__ == "__main__":
    main()
