"""Very many clients and one broker: all come back at once after its restart, and more of them than
one address has ports.

With POSTERN_TEST_ALL=1 at full size. The second part runs in a network namespace whose range of
ports is small, with three times as many sessions; that needs root and iproute2. With
POSTERN_TEST_PORTS=10000 these are 30,000, for which each process needs 60,000 descriptors.
"""

import collections
import contextlib
import os
import platform
import re
import resource
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest

from clients import SLOW, Mqtt, TlsClient, Truncated, tls_context
from harness import ALL, PROGRAM, Case, main, pki
from namespaces import can_have_networks, within

GONE = (Truncated, OSError, AssertionError, ssl.SSLError)


def allow_descriptors(count):
    """For this program, and as the limit up to which Postern raises its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))  # as root, where that is allowed


def at_once(count, call):
    """call(i) on a thread each; returns the results in order."""
    results = [None] * count

    def run(i):
        results[i] = call(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Restart(Case):
    SESSIONS = 2000 if ALL else 200

    def device(self, postern, context):
        """A connected MQTT client; it sees to its own retries."""
        client = TlsClient(postern.address(), context)
        self.addCleanup(client.cut)
        mqtt = Mqtt(client)
        self.assertEqual(mqtt.connect(), 0)
        return mqtt

    def come_back(self, postern, context, until):
        """Tries until it is served: (how often it was refused, when it was served)."""
        refusals = 0
        while time.monotonic() < until:
            try:
                self.device(postern, context).ping()
                return refusals, time.monotonic()
            except GONE:
                refusals += 1
                time.sleep(1)
        return refusals, None

    def test_clients_of_a_restarted_broker_are_all_served_within_its_bounds(self):
        count, rate = self.SESSIONS, self.SESSIONS * 3 // 10
        allow_descriptors(3 * count + 100)
        broker = self.mosquitto()
        postern = self.postern(broker, listener={"max_dials": f"64, {rate}/s",
                                                 "connect_timeout": "10s"})
        context = tls_context(pki.authority().pem)
        before = []
        for _ in range(0, count, 50):
            before += at_once(50, lambda i: self.device(postern, context))
        broker.kill()
        self.wait_until(lambda: len(postern.all("session end")) >= count, "all sessions to end")
        up_at = []

        def restart():
            time.sleep(1)
            self.assertTrue(broker.start())
            up_at.append(time.monotonic())

        restarting = threading.Thread(target=restart)
        restarting.start()
        until = time.monotonic() + 60 * SLOW
        results = at_once(count, lambda i: self.come_back(postern, context, until))
        restarting.join()
        late = max(at or until for _, at in results) - up_at[0]
        refusals = max(refusals for refusals, _ in results)
        seconds = collections.Counter(re.findall(r"^(\d+): New connection", broker.log(), re.M))
        print(f"{count} sessions: the last one {late:.1f} s after the broker, refusals at most "
              f"{refusals}, connections a second at most {max(seconds.values())} of {rate}")
        self.assertLess(late, 10 * SLOW)
        self.assertLessEqual(refusals, 1)
        # The broker's own clock and pauses are in its log, too.
        self.assertLessEqual(max(seconds.values()), rate * 3 // 2)


class Namespace:
    """A network of its own, with nothing but a loopback device and few ports. It has an address
    that is not one of loopback's."""

    REMOTE = "192.0.2.1"

    def __init__(self):
        self.name = f"postern-{os.getpid()}-ports"
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", self.REMOTE, "dev", "lo")

    def set_ports(self, first, count):
        self.run("sysctl", "-qw", f"net.ipv4.ip_local_port_range={first} {first + count - 1}")

    def run(self, *command):
        subprocess.run(["ip", "netns", "exec", self.name, *command], check=True)

    def remove(self):
        subprocess.run(["ip", "netns", "delete", self.name], check=False)


class Greeter:
    """A broker that sends each client one byte and keeps the connection."""

    def __init__(self, host="127.0.0.1"):
        self.listener = socket.socket()
        self.listener.bind((host, 0))
        self.listener.listen(4096)
        self.address = "%s:%d" % self.listener.getsockname()
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                sock.send(b"!")
            self.open.append((sock, peer))

    def sources(self):
        """{address: how many connections came from it}."""
        return collections.Counter(host for _, (host, _) in self.open)

    def ports(self):
        return [port for _, (_, port) in self.open]

    def reset(self, wanted):
        """Ends the connections from these ports, which are free again at once."""
        for sock, (_, port) in self.open:
            if wanted(port):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()

    def close_ended(self):
        """Closes those whose client has gone."""
        for sock, _ in self.open:
            with contextlib.suppress(OSError):
                if sock.recv(1, socket.MSG_DONTWAIT) == b"":
                    sock.close()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock, _ in self.open:
            sock.close()


@unittest.skipUnless(can_have_networks("sysctl", link="dummy"), "needs root, iproute2 and network namespaces")
class Ports(Case):
    RANGE = int(os.environ.get("POSTERN_TEST_PORTS", 1000 if ALL else 100))

    def setUp(self):
        super().setUp()
        allow_descriptors(6 * self.RANGE + 200)
        self.namespace = Namespace()
        self.addCleanup(self.namespace.remove)
        self.namespace.set_ports(20000, self.RANGE)
        self.broker = self.start_broker()
        self.context = tls_context(pki.authority().pem)
        self.tried = 0

    def start_broker(self, *host):
        broker = within(self.namespace.name, lambda: Greeter(*host))
        self.addCleanup(broker.stop)
        return broker

    def take_ports(self, count):
        """Another program's connections to the broker, so many or as many as there are ports."""
        host, port = self.broker.address.split(":")

        def connect():
            for taken in range(count):
                try:
                    sock = socket.create_connection((host, int(port)))
                except OSError:
                    return taken
                self.addCleanup(sock.close)
            return count

        taken = within(self.namespace.name, connect)
        self.wait_until(lambda: len(self.broker.open) == taken, "the broker to accept them")

    def gateway(self, **listener):
        listener = {"dial": "handshake", "first_data_timeout": "off", **listener}
        return self.postern(self.broker, listener=listener, listen="0.0.0.0:0",
                            wrapper=("ip", "netns", "exec", self.namespace.name, PROGRAM))

    def clients(self, postern, count):
        """So many, of which those that reach the broker are returned. Clients need ports, too: each
        address of Postern's takes half of what there are."""
        def connect():
            served = []
            for _ in range(count):
                address = f"127.0.9.{1 + self.tried * 2 // self.RANGE}"
                self.tried += 1
                client = TlsClient((address, postern.port), self.context)
                self.addCleanup(client.cut)
                with contextlib.suppress(*GONE):
                    if client.recv_exactly(1) == b"!":
                        served.append(client)
            return served

        return within(self.namespace.name, connect)

    def test_more_sessions_than_one_address_has_ports(self):
        postern = self.gateway()
        served = self.clients(postern, 3 * self.RANGE)
        sources = self.broker.sources()
        print(f"{len(served)} sessions over {self.RANGE} ports: {dict(sources)}")
        self.assertEqual(len(served), 3 * self.RANGE)
        # The next address at half of the ports: the others are found slowly. Not each port is looked at.
        self.assertLess(max(sources.values()), self.RANGE // 2 + 40)
        self.assertLessEqual(set(sources), {f"127.0.0.{i}" for i in range(1, 8)})
        self.assertEqual(postern.all("backend ports used up"), [])

    def test_ports_in_odd_places_are_found_as_quickly(self):
        self.namespace.set_ports(20001, self.RANGE)
        postern = self.gateway()
        count = self.RANGE // 2 - 5  # a listener may have one of these ports
        self.assertEqual(len(self.clients(postern, count)), count)
        self.assertEqual(set(self.broker.sources()), {"127.0.0.1"})
        self.assertEqual({port % 2 for port in self.broker.ports()}, {1})

    def test_where_others_hold_the_ports_that_are_found_quickly_the_next_address_is_taken(self):
        self.take_ports(self.RANGE // 2)
        postern = self.gateway()
        self.assertEqual(len(self.clients(postern, self.RANGE // 2)), self.RANGE // 2)
        sources = self.broker.sources()
        self.assertLessEqual(sources["127.0.0.1"], self.RANGE // 2 + 16)  # one in 16 is looked at
        self.assertGreaterEqual(sources["127.0.0.2"], self.RANGE // 2 - 16)

    def test_a_remote_brokers_ports_are_all_searched_once_half_of_them_are_in_use(self):
        version = tuple(int(n) for n in re.findall(r"\d+", platform.release())[:2])
        if version < (6, 8):
            self.skipTest("Linux before 6.8 always looks at every second port first")
        self.broker = self.start_broker(Namespace.REMOTE)
        postern = self.gateway()
        many = self.RANGE // 2 + 20
        self.assertEqual(len(self.clients(postern, many)), many)
        self.broker.reset(lambda port: port % 2 == 0)
        self.wait_until(lambda: len(postern.all("session end")) >= self.RANGE // 2,
                        "those sessions to end")
        # Half of the ports are free, more of the even ones; without a search of all, these came first.
        self.assertEqual(len(self.clients(postern, 20)), 20)
        self.assertEqual({port % 2 for port in self.broker.ports()[-20:]}, {0, 1})
        self.assertEqual(postern.all("backend ports used up"), [])

    def test_without_a_port_left_the_log_says_what_to_do(self):
        postern = self.gateway(backend_source="127.0.0.5, 127.0.0.6")
        served = self.clients(postern, 2 * self.RANGE + 20)
        self.assertLessEqual(len(served), 2 * self.RANGE)
        self.assertGreaterEqual(len(served), 2 * self.RANGE - 10)
        self.assertEqual(set(self.broker.sources()), {"127.0.0.5", "127.0.0.6"})
        line = postern.wait("backend ports used up", backend=self.broker.address)
        self.assertIn("backend_source", line["message"])
        self.assertEqual(len(postern.all("backend ports used up")), 1)
        self.assertEqual(postern.all("backend down"), [])
        event = postern.wait("session end", reason="broker_unreachable")
        self.assertIn("no local port", event["error"])
        for client in served[:20]:
            client.close()

        def served_again():
            self.broker.close_ended()
            time.sleep(0.5)  # Postern looks for a port once a second
            return self.clients(postern, 1)

        self.wait_until(served_again, "a port that is free again")

    def test_a_machine_without_ipv6_lacks_no_port(self):
        self.namespace.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
        self.broker.address = "[2001:db8::9]:1883"
        postern = self.gateway(connect_timeout="1s")
        self.assertEqual(self.clients(postern, 1), [])
        self.assertEqual(postern.wait("backend down")["error"], "network is unreachable")
        self.assertEqual(postern.all("backend ports used up"), [])

    def test_a_source_that_is_not_ours_is_reported_and_left_out(self):
        postern = self.gateway(backend_source="192.0.2.8, 192.0.2.9, 127.0.0.7")
        self.assertEqual(len(self.clients(postern, 5)), 5)
        for source in ("192.0.2.8", "192.0.2.9"):
            postern.wait("backend source unusable", source=source)
        self.assertEqual(set(self.broker.sources()), {"127.0.0.7"})
        self.assertEqual(postern.all("backend ports used up"), [])

    def test_a_source_that_is_not_ours_does_not_hide_that_ports_are_used_up(self):
        postern = self.gateway(backend_source="192.0.2.8, 127.0.0.1")
        self.take_ports(self.RANGE)  # of 127.0.0.1
        self.assertEqual(self.clients(postern, 1), [])
        postern.wait("backend source unusable", source="192.0.2.8")
        postern.wait("backend ports used up", backend=self.broker.address)

    def test_without_a_source_of_ours_no_port_is_said_to_be_missing(self):
        postern = self.gateway(backend_source="192.0.2.8")
        self.assertEqual(self.clients(postern, 1), [])
        postern.wait("session end", reason="broker_unreachable")
        self.assertEqual(len(postern.all("backend source unusable")), 1)
        self.assertEqual(postern.all("backend ports used up"), [])


if __name__ == "__main__":
    main()
