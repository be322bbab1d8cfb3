"""The Home Assistant add-on: its options as postern.conf, its files, and renewed certificates."""

import json
import os
import re
import shutil
import subprocess
import unittest

from brokers import echo
from harness import PROGRAM, Case, main, pki, run_program
from test_certbot import OWN_GROUP

try:
    import yaml
except ImportError:
    yaml = None

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ADD_ON = os.path.join(TOP, "docker/home-assistant")
DEFAULTS = {"broker": "core-mosquitto:1883", "certfile": "fullchain.pem",
            "keyfile": "privkey.pem", "client_auth": "none", "mqtt": "check", "log_level": "info"}


@unittest.skipUnless(shutil.which("jq"), "needs jq")
class Options(Case):
    def translate(self, **options):
        path = self.write("options.json", json.dumps({**DEFAULTS, **options}))
        return subprocess.run(["jq", "-r", "--arg", "folder", self.folder, "--arg", "user", "",
                               "-f", os.path.join(ADD_ON, "postern.jq"), path],
                              capture_output=True, text=True, check=False)

    def check(self, **options):
        """`postern --check` of the translated options, with files in place."""
        os.makedirs(self.path("main"), exist_ok=True)
        self.write("main/fullchain.pem", pki.server().pem)
        self.write("main/privkey.pem", pki.server().key_pem)
        self.write("client_ca.pem", pki.authority("Device CA").pem)
        done = self.translate(**options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return run_program("--check", "-c", self.write("postern.conf", done.stdout))

    def test_the_defaults_are_a_configuration(self):
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("core-mosquitto:1883", done.stdout)

    def test_each_choice_is_one_that_postern_has(self):
        for option, choices in (("client_auth", ("none", "optional", "required")),
                                ("mqtt", ("check", "identity", "off")),
                                ("log_level", ("error", "warning", "info", "debug"))):
            for choice in choices:
                with self.subTest(option=option, choice=choice):
                    clients = {"client_auth": "required", "client_ca": "ca.pem"}
                    done = self.check(**{**({} if choice == "none" else clients), option: choice})
                    self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_option_reaches_its_key(self):
        text = self.translate(broker="emqx:1884", client_auth="required", client_ca="my ca.pem",
                              mqtt="identity", log_level="debug").stdout
        for line in ("backend = emqx:1884", "client_auth = required", "mqtt = identity",
                     f"client_ca = {self.folder}/client_ca.pem", "log_level = debug"):
            self.assertIn(line + "\n", text)

    def test_an_empty_ca_is_none(self):
        self.assertNotIn("client_ca", self.translate(client_ca="").stdout)

    def test_no_value_can_add_a_line_or_begin_a_comment(self):
        for value in ("a:1\nmqtt = off", "a:1\rb", "a:1 ; more", "; all", "\x00"):
            done = self.translate(broker=value)
            self.assertNotEqual(done.returncode, 0, value)
            self.assertIn("broker: ", done.stderr)

    def test_what_must_be_there_is_named_when_it_is_empty(self):
        for option in ("broker", "mqtt", "client_auth"):
            for value in ("", "  ", None):
                done = self.translate(**{option: value})
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(f"{option}: is empty", done.stderr)


@unittest.skipUnless(yaml, "needs python3-yaml")
class Files(unittest.TestCase):
    def read(self, name):
        with open(os.path.join(ADD_ON, name), encoding="utf-8") as file:
            return yaml.safe_load(file)

    def test_the_defaults_are_those_of_the_tests(self):
        # What YAML 1.1 reads as a truth value would reach Postern as one.
        self.assertEqual(self.read("config.yaml")["options"], DEFAULTS)

    def test_it_has_the_project_s_version(self):
        with open(os.path.join(TOP, "meson.build"), encoding="utf-8") as file:
            version = re.search("version: '(.*)'", file.read())[1]
        self.assertEqual(self.read("config.yaml")["version"], version)

    def test_each_option_has_a_type_and_a_description_and_is_translated(self):
        schema = self.read("config.yaml")["schema"]
        texts = self.read("translations/en.yaml")["configuration"]
        self.assertEqual(list(schema), list(texts))
        self.assertLessEqual(set(DEFAULTS), set(schema))
        with open(os.path.join(ADD_ON, "postern.jq"), encoding="utf-8") as file:
            translated = set(re.findall(r'(?:text|required)\("([a-z_]+)"\)', file.read()))
        self.assertEqual(translated | {"certfile", "keyfile"}, set(schema))


@unittest.skipUnless(shutil.which("jq"), "needs jq")
class Run(Case):
    def setUp(self):
        super().setUp()
        for folder in ("ssl", "copies", "lib"):
            os.mkdir(self.path(folder))
        shutil.copy(os.path.join(TOP, "systemd/postern-deploy-hook"), self.path("lib"))
        shutil.copy(os.path.join(ADD_ON, "postern.jq"), self.path("lib"))
        self.install(pki.server())
        # The add-on's ports are fixed, as each container has its own.
        program = self.write("program", "#!/bin/sh\n"
                             "sed 's/^listen = .*/listen = 127.0.0.1:0/; s/^admin = .*//;"
                             " s/^reload = .*/&\\ndrain_timeout = off/' \"$2\" >\"$2.test\"\n"
                             f"exec {PROGRAM} -c \"$2.test\"\n")
        os.chmod(program, 0o755)
        self.environment = {**os.environ, "POSTERN_OPTIONS": self.path("options.json"),
                            "POSTERN_SSL": self.path("ssl"), "POSTERN_OWN": self.path("own.conf"),
                            "POSTERN_CONF": self.path("postern.conf"), "POSTERN": program,
                            "POSTERN_CERTS": self.path("copies"), "POSTERN_USER": "",
                            "POSTERN_LIBRARY": self.path("lib"), "POSTERN_GROUP": OWN_GROUP,
                            "POSTERN_INTERVAL": "0.1"}

    def install(self, certificate):
        self.write("ssl/privkey.pem", certificate.key_pem)
        self.write("ssl/fullchain.pem", certificate.pem)
        os.chmod(self.path("ssl/privkey.pem"), 0o600)

    def begin(self, ready=True, **options):
        self.broker = self.fake_broker(echo)
        self.write("options.json", json.dumps({**DEFAULTS, "broker": self.broker.address,
                                               **options}))
        return self.start(address_count=1, wrapper=(os.path.join(ADD_ON, "run"),), ready=ready,
                          env=self.environment)

    def talk(self, postern, **options):
        client = self.client(postern, **options)
        client.send(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")  # CONNECT
        self.assertEqual(client.recv_exactly(14)[0], 0x10)
        return client

    def test_a_client_reaches_the_broker(self):
        self.talk(self.begin())

    def test_a_renewed_certificate_is_served_without_a_disconnect(self):
        postern = self.begin()
        client = self.talk(postern)
        renewed = pki.authority().issue("renewed", names=["localhost"])
        self.install(renewed)
        postern.wait("reload done")
        self.wait_until(lambda: self.client(postern).peer_serial() == renewed.serial_hex,
                        "the renewed certificate")
        client.send(b"\xc0\x00")  # PINGREQ
        self.assertEqual(client.recv_exactly(2), b"\xc0\x00")

    def test_a_client_ca_is_copied_and_counts(self):
        self.write("ssl/ca.pem", pki.authority("Device CA").pem)
        postern = self.begin(client_auth="required", client_ca="ca.pem")
        self.talk(postern, cert=pki.client("device"))

    def test_a_configuration_of_the_user_s_own_is_what_is_served(self):
        self.broker = self.fake_broker(echo)
        self.write("own.conf", "[postern]\nreload = watch\n[listener own]\nlisten = [::]:8883\n"
                   f"backend = {self.broker.address}\ncertificates = main\n[certificate main]\n"
                   f"cert = {self.path('copies')}/main/fullchain.pem\n"
                   f"key = {self.path('copies')}/main/privkey.pem\n")
        self.assertEqual(self.begin().wait("ready")["listener"], "own")

    def refusal(self, **options):
        postern = self.begin(ready=False, **options)
        postern.expected_exit = 1
        self.assertEqual(postern.wait_exit(), 1)
        postern.foreign = tuple(postern.malformed)
        return postern.log()

    def test_an_empty_name_of_a_certificate_is_named_with_its_option(self):
        for option in ("certfile", "keyfile"):
            self.assertIn(f"set the option {option}", self.refusal(**{option: ""}))

    def test_a_certificate_that_is_not_there_is_named_with_its_option(self):
        os.remove(self.path("ssl/fullchain.pem"))
        self.assertIn(f"there is no {self.path('ssl')}/fullchain.pem: set the option certfile",
                      self.refusal())

    def test_a_key_of_another_certificate_is_refused(self):
        self.write("ssl/privkey.pem", pki.server("rsa").key_pem)
        self.assertIn("does not belong", self.refusal())

    def test_options_that_cannot_be_used_start_nothing(self):
        self.assertIn("mqtt: is empty", self.refusal(mqtt=""))


if __name__ == "__main__":
    main()
