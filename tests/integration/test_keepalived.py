"""docs/fleet.md: its two machines with one address by keepalived, with its configuration file.

Each machine is a network namespace with a Postern and a keepalived, and a third one holds the switch
between them and the clients. The broker's unix socket is the same file for both.
"""

import os
import re
import signal
import subprocess
import time
import unittest

import test_fleet
from admin import Admin, is_available
from clients import SLOW, TlsClient, tls_context
from harness import PATIENCE, PROGRAM, Case, Mqtt, main, pki, wait_until
from kept_log import KeptLog
from namespaces import can_have_networks, enter, ip, within
from test_fleet import block, find, lines_after, replaced

PORT = 8883
ADDRESS = "10.77.8.10"  # the one that both have in turns


class Network:
    """A switch in a namespace, which is also the clients' machine, and machines at it."""

    def __init__(self):
        self.lan = f"postern-{os.getpid()}-lan"
        self.names = []
        try:
            self._add(self.lan)
            ip("-n", self.lan, "link", "add", "switch", "type", "bridge", "forward_delay", "0",
               "mcast_snooping", "0")
            ip("-n", self.lan, "address", "add", "10.77.8.1/24", "dev", "switch")
            ip("-n", self.lan, "link", "set", "switch", "up")
            for number, side in enumerate("ab", 2):
                self._add_machine(side, f"10.77.8.{number}/24")
        except BaseException:
            self.remove()
            raise

    def _add(self, name):
        ip("netns", "add", name)
        self.names.append(name)
        ip("-n", name, "link", "set", "lo", "up")

    def _add_machine(self, side, address):
        name = self.name(side)
        self._add(name)
        ip("-n", self.lan, "link", "add", f"port-{side}", "type", "veth",
           "peer", "name", "eth0", "netns", name)
        ip("-n", self.lan, "link", "set", f"port-{side}", "master", "switch", "up")
        ip("-n", name, "address", "add", address, "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        settings = re.findall(r"^    (\S+) = (\d+)$", lines_after("reads it):"), re.M)
        assert settings
        subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw",
                        *(f"{key}={value}" for key, value in settings)], check=True)

    @staticmethod
    def name(side):
        return f"postern-{os.getpid()}-{side}"

    def unplug(self, side):
        ip("-n", self.lan, "link", "set", f"port-{side}", "down")

    def has_address(self, side):
        listed = subprocess.run(["ip", "-n", self.name(side), "address", "show", "dev", "eth0"],
                                check=True, capture_output=True, text=True).stdout
        return f" {ADDRESS}/" in listed

    def remove(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False)


class Keepalived:
    def __init__(self, folder, side, namespace):
        self._log = KeptLog()
        files = {"-p": "pid", "-r": "vrrp.pid"}
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, find("keepalived"), "--dont-fork", "--log-console",
             "--log-detail", "--vrrp", "-f", os.path.join(folder, f"keepalived-{side}.conf"),
             *(word for option, name in files.items()
               for word in (option, os.path.join(folder, f"keepalived-{side}.{name}")))],
            stdin=subprocess.DEVNULL, stdout=self._log.file, stderr=subprocess.STDOUT)

    def log(self):
        """Also after stop()."""
        return self._log.text()

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self._log.close()


class Load(test_fleet.Load):
    """From the clients' machine, to the address that moves."""

    def __init__(self, network):
        self.lan = network.lan
        super().__init__((ADDRESS, PORT), source=None)

    def _come_and_go(self, number):
        enter(self.lan)
        super()._come_and_go(number)

    def _stay(self, number):
        enter(self.lan)
        super()._stay(number)


@unittest.skipUnless(is_available() and can_have_networks("sysctl", link="bridge") and find("keepalived"),
                     "needs the admin socket, root, namespaces with bridges, and keepalived")
class Pair(Case):
    def setUp(self):
        super().setUp()
        self.network = Network()
        self.addCleanup(self.network.remove)
        self.write("ticket.keys", os.urandom(32).hex() + "\n")
        os.chmod(self.path("ticket.keys"), 0o640)
        self.broker = self.mosquitto(path=self.path("broker.sock"))
        self.posterns = {side: self.start_postern(side) for side in "ab"}
        self.addCleanup(self.end_drains)
        self.keepalived = {}
        for side in "ab":
            self.start_keepalived(side)
            wait_until(lambda: any(map(self.network.has_address, "ab")), "the address", 2 * PATIENCE)
        self.assertTrue(self.network.has_address("a"), "the first one has it")

    def start_postern(self, side):
        keys = dict(re.findall(r"^ +(\w+) = (.*)", lines_after("of both `postern.conf`:"), re.M))
        keys["admin"] = replaced(keys["admin"], ("/run/postern/admin.sock", self.path(f"{side}.sock")))
        keys["ticket_keys"] = replaced(keys["ticket_keys"], ("ticket.keys", self.path("ticket.keys")))
        keys["drain_delay"] = replaced(keys["drain_delay"], ("10s", f"{10 * SLOW}s"))
        text = self.config(self.broker, main={"drain_timeout": "1s", **keys}, listen=f"[::]:{PORT}")
        return self.start(self.write(f"postern-{side}.conf", text),
                          wrapper=("ip", "netns", "exec", self.network.name(side), PROGRAM))

    def start_keepalived(self, side):
        asks = f"{PROGRAM} ctl -c {self.path(f'postern-{side}.conf')}"
        text = replaced(block("keepalived.conf"), ("/usr/local/sbin/postern ctl", asks),
                        ("192.0.2.10", ADDRESS), ("script_user postern", "script_user root"),
                        # This folder may be in one that others can write.
                        ("    enable_script_security\n", ""),
                        ("interval 1\n", f"interval {SLOW}\n"))
        self.write(f"keepalived-{side}.conf", text)
        self.keepalived[side] = Keepalived(self.folder, side, self.network.name(side))
        self._started.append(self.keepalived[side])
        self.addCleanup(self.keepalived[side].stop)

    def end_drains(self):
        """A second signal ends at once."""
        for postern in self.posterns.values():
            if postern.process.poll() is None:
                postern.signal(signal.SIGTERM)
                admin = Admin.of(postern)
                wait_until(lambda a=admin: a.get("/ready").status == 503, "the signal to be seen")
                postern.signal(signal.SIGTERM)

    def wait_for(self, side, what):
        """Until that one alone has the address; returns the seconds."""
        begin, other = time.monotonic(), "ba"["ab".index(side)]
        wait_until(lambda: self.network.has_address(side), what, 2 * PATIENCE)
        seconds = time.monotonic() - begin
        if self.keepalived[other].process.poll() is None:
            wait_until(lambda: not self.network.has_address(other), f"{other} to give it up")
        return seconds

    def load(self):
        load = Load(self.network)
        self.addCleanup(load.stop)
        load.progress()
        return load

    def visit(self, context, session=None):
        """A client that resumes a session: whether it did, and its next one."""
        def connect():
            client = TlsClient((ADDRESS, PORT), context, session=session)
            self.addCleanup(client.cut)
            mqtt = Mqtt(client)
            self.assertEqual(mqtt.connect("device"), 0)
            kept, reused = client.tls.session, client.tls.session_reused
            client.close()
            return reused, kept
        return within(self.network.lan, connect)

    def listener(self):
        """A client that sends nothing; what it learns is its `end`."""
        client = within(self.network.lan, lambda: TlsClient((ADDRESS, PORT),
                                                            tls_context(pki.authority().pem)))
        self.addCleanup(client.cut)
        self.assertEqual(Mqtt(client).connect("listener"), 0)
        client.sock.settimeout(4 * PATIENCE)
        return client

    def test_one_is_restarted_under_load(self):
        context = tls_context(pki.authority().pem)
        _, ticket = self.visit(context)
        load, listener, a = self.load(), self.listener(), self.posterns["a"]
        a.signal(signal.SIGTERM)
        seconds = self.wait_for("b", "the address at b")
        self.assertIsNone(a.process.poll(), "a accepts until the address has moved")
        load.progress()
        reused, _ = self.visit(context, ticket)
        self.assertTrue(reused, "a ticket of a is good at b")
        self.assertEqual(a.wait_exit(4 * PATIENCE), 0)
        self.assertEqual(listener.recv(), b"", "a client that only listens is notified, in order")
        failed = list(load.failures)
        load.failures.clear()
        self.start_again("a")
        load.progress()
        load.stop()
        self.assertEqual(load.failures, [])
        print(f"the address moved after {seconds:.1f} s; {sum(load.connects)} connects, "
              f"{sum(load.returns)} sessions came back, {len(failed)} failed")
        self.assertGreater(sum(load.returns), 0)
        # Those whose handshake was under way when the address moved.
        self.assertLessEqual(len(failed), len(load.connects), failed)

    def start_again(self, side):
        """For longer than keepalived takes to move the address back, which it must not."""
        before = self.keepalived[side].log().count("VRRP_Script(ready) succeeded")
        self.posterns[side] = self.start_postern(side)
        wait_until(lambda: self.keepalived[side].log().count("VRRP_Script(ready) succeeded") > before,
                   f"{side} to be ready for keepalived", 2 * PATIENCE)
        until = time.monotonic() + 4 * SLOW  # an election takes less
        while time.monotonic() < until:
            self.assertFalse(self.network.has_address(side), "the address stays where it is")

    def test_one_whose_program_dies_loses_the_address(self):
        a = self.posterns["a"]
        a.expected_exit = -signal.SIGKILL
        a.signal(signal.SIGKILL)
        print(f"the address moved after {self.wait_for('b', 'the address at b'):.1f} s")
        self.visit(tls_context(pki.authority().pem))

    def test_one_that_is_cut_off_is_replaced(self):
        self.network.unplug("a")
        begin = time.monotonic()
        wait_until(lambda: self.network.has_address("b"), "the address at b", 2 * PATIENCE)
        print(f"b has the address after {time.monotonic() - begin:.1f} s")
        self.visit(tls_context(pki.authority().pem))


if __name__ == "__main__":
    main()
