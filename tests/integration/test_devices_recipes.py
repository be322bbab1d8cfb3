"""Runs the commands of docs/clients.md: its fenced blocks, against its own configuration."""

import os
import re
import shlex
import shutil
import subprocess
import unittest

from devices.field import ROOT, Plain
from devices.programs import PahoPython, npm_folder
from harness import ALL, PATIENCE, SLOW, Case, Mqtt, main

DEVICE = os.environ.get("DEVICE_BEARSSL", "")


class Recipes(Case):
    def setUp(self):
        super().setUp()
        with open(os.path.join(ROOT, "docs/clients.md"), encoding="utf-8") as file:
            found = re.findall(r"^```(\w+)\n(.*?)^```", file.read(), re.M | re.S)
        self.blocks = {kind: [text for k, text in found if k == kind] for kind, _ in found}
        self.certs = self.path("certs/local")
        for line in self.blocks["sh"][0].splitlines():
            self.shell(line.replace("certs/make-certs",
                                    f"{shlex.quote(ROOT)}/certs/make-certs --dir "
                                    f"{shlex.quote(self.certs)}"))
        self.broker = self.mosquitto()
        text = self.blocks["ini"][0]
        text = text.replace("[::]:8883", "127.0.0.1:0").replace("127.0.0.1:1883",
                                                                self.broker.address)
        self.server = self.postern(text="[postern]\ndrain_timeout = off\n\n" + text)

    def here(self, text):
        """A recipe with this server's port, and with its folder for a shell."""
        return text.replace("certs/local", shlex.quote(self.certs)).replace("8883", str(self.server.port))

    def in_code(self, text):
        """The same for a program's text."""
        return text.replace("certs/local", self.certs).replace("8883", str(self.server.port))

    def shell(self, line):
        done = subprocess.run(line, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, text=True, timeout=PATIENCE * SLOW)
        self.assertEqual(done.returncode, 0, f"{line}\n{done.stdout}")
        return done.stdout

    def subscriber(self):
        plain = Plain(self.broker.port)
        self.addCleanup(plain.close)
        mqtt = Mqtt(plain)
        self.assertEqual(mqtt.connect(), 0)
        mqtt.subscribe("demo/#", qos=0)
        return mqtt

    def test_mosquittos_tools(self):
        publish, subscribe = self.here(self.blocks["sh"][1]).splitlines()
        self.shell(publish)
        self.assertEqual(self.shell(subscribe), "hello\n")
        words = shlex.split(publish)
        at = words.index("--cafile")
        done = subprocess.run(words[:at] + words[at + 2:], stderr=subprocess.DEVNULL,
                              timeout=PATIENCE)
        self.assertNotEqual(done.returncode, 0)
        self.server.wait("handshake failed", reason="not_tls")

    @unittest.skipUnless(shutil.which("gnutls-cli"), "needs gnutls-bin")
    def test_openssl_and_gnutls(self):
        default, older, small, gnutls = self.here(self.blocks["sh"][2]).splitlines()
        said = self.shell(default)
        self.assertIn("Verify return code: 0 (ok)", said)
        self.assertIn("ecdsa", said.lower())
        self.assertIn("Cipher is ECDHE-RSA-AES128-GCM-SHA256", self.shell(older))
        self.assertIn('extension "max fragment length"', self.shell(small))
        self.assertIn("Handshake was completed", self.shell(gnutls))

    @unittest.skipUnless(DEVICE, "built without BearSSL (libbearssl-dev)")
    def test_a_small_device_with_the_ca(self):
        subscriber = self.subscriber()
        self.shell(self.here(self.blocks["sh"][1]).splitlines()[0])
        self.assertEqual(subscriber.receive(), ("demo", b"hello"))
        self.shell(f"{shlex.quote(DEVICE)} --port {self.server.port} --buffer 2048 "
                   f"--no-fragment-length --ca {shlex.quote(self.certs)}/ca.pem --down demo --up demo/back")
        self.assertEqual(subscriber.receive(), ("demo/back", b"hello"))

    @unittest.skipUnless(ALL, "only with ./dev test --all")
    def test_paho_python(self):
        subscriber = self.subscriber()
        path = self.write("recipe.py", self.in_code(self.blocks["python"][0]))
        self.shell(f"{PahoPython().python()} {shlex.quote(path)}")
        self.assertEqual(subscriber.receive(), ("demo", b"hello"))

    @unittest.skipUnless(ALL, "only with ./dev test --all")
    def test_mqttjs(self):
        subscriber = self.subscriber()
        path = self.write("recipe.js", self.in_code(self.blocks["js"][0]))
        self.shell(f"NODE_PATH={shlex.quote(npm_folder())}/node_modules node {shlex.quote(path)}")
        self.assertEqual(subscriber.receive(), ("demo", b"hello"))


if __name__ == "__main__":
    main()
