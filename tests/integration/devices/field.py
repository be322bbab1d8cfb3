"""What the tests with real clients share: a broker that holds a retained message of 10 KB, a
Postern with listeners by TLS version and kind of key in front of it, and every client's task.

The task of one run: connect, subscribe to DOWN, take the retained message, publish the same bytes
on a topic below UP with QoS 1, disconnect. A subscriber at the broker itself compares them.
"""

import functools
import os
import random
import socket
import subprocess

from brokers import Peer
from clients import PATIENCE, SLOW, Mqtt
from devices.wire import Wire
from harness import Case, pki

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
DOWN, UP = "field/down", "field/up"
MESSAGE = random.Random(4).randbytes(10240)
KEYS = ("rsa", "ecdsa")
VERSIONS = ("1.2", "1.3")


@functools.lru_cache(maxsize=None)
def chain(kind, length=2, more_names=0):
    """(root, a server's certificate): keys and signatures of one kind; length counts what the
    server sends; more_names make the certificate larger."""
    root = pki.authority(f"{kind} root", kind)
    issuer = root if length == 1 else pki.Authority(f"{kind} intermediate", kind, parent=root)
    names = ["localhost", "127.0.0.1", *(f"device-{i}.example.org" for i in range(more_names))]
    return root, issuer.issue(kind=kind, names=names)


class Plain(Peer):
    """A plaintext connection to the broker itself."""

    def __init__(self, port):
        super().__init__(socket.create_connection(("127.0.0.1", port), PATIENCE))


class Field(Case):
    def setUp(self):
        super().setUp()
        self.broker = self.mosquitto()
        publisher = self.at_broker()
        publisher.publish(DOWN, MESSAGE, retain=True)
        self.watcher = self.at_broker()
        self.watcher.subscribe(UP + "/#", qos=0)

    def at_broker(self):
        plain = Plain(self.broker.port)
        self.addCleanup(plain.close)
        mqtt = Mqtt(plain)
        self.assertEqual(mqtt.connect(), 0)
        return mqtt

    def expect_message(self, topic):
        """The message that a client took has come back, byte by byte."""
        got_topic, payload = self.watcher.receive()
        self.assertEqual(got_topic, topic)
        self.assertTrue(payload == MESSAGE, f"{len(payload)} bytes came back, other ones")

    def expect_nothing(self):
        """No message came back up to now."""
        marker = self.at_broker()
        marker.publish(UP + "/marker", b"")
        self.assertEqual(self.watcher.receive(), (UP + "/marker", b""))

    # Postern and the wire in front of it.

    def field_postern(self, **settings):
        """Listeners named like 'rsa-1.2', each with one kind of key and one TLS version."""
        sections = "".join(self.certificate_section(kind, chain(kind)[1]) for kind in KEYS)
        listeners = ""
        for kind in KEYS:
            for version in VERSIONS:
                keys = {"listen": "127.0.0.1:0", "backend": self.broker.address,
                        "certificates": kind, "tls_min": version, "tls_max": version, **settings}
                listeners += f"[listener {kind}-{version}]\n"
                listeners += "".join(f"{k} = {v}\n" for k, v in keys.items()) + "\n"
        return self.postern(text="[postern]\nworkers = 2\ndrain_timeout = off\n\n"
                                 + listeners + sections)

    def wire(self, postern, listener=None):
        wire = Wire(postern.address(listener), listener)
        self.addCleanup(wire.stop)
        return wire

    def ca_file(self, authority, name):
        return self.write(name, authority.pem)

    def run_client(self, *command, timeout=PATIENCE * 2, **options):
        """Runs a client program to its end; all its output goes to stdout."""
        return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="backslashreplace", timeout=timeout * SLOW, **options)
