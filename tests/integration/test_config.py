"""Configuration: every mistake is reported with its place, and no faulty file is used."""

import os
import re
import socket

from brokers import echo
from harness import Case, as_logged, main, pki, run_program


class Mistakes(Case):
    """Each is refused with exit code 1 and one message that starts with FILE:LINE."""

    def setUp(self):
        super().setUp()
        pki.server().write(self.path("main"))

    def sections(self):
        return {"postern": ["workers = 1"],
                "listener mqtt": ["listen = 127.0.0.1:0", "backend = 127.0.0.1:1883",
                                  "certificates = main"],
                "certificate main": ["cert = main/cert.pem", "key = main/privkey.pem"]}

    def refused(self, lines, at, *words):
        """Starts with that text; the message names line `at` and holds the words."""
        file = self.write("postern.conf", "\n".join(lines) + "\n")
        for arguments in (("-c", file), ("--check", "-c", file)):
            done = run_program(*arguments)
            lines_of_output = [line for line in done.stderr.splitlines() if line.strip()]
            self.assertEqual(done.returncode, 1, f"{arguments} {lines} {done.stderr}")
            self.assertIn(as_logged(f"{file}:{at}:"), done.stderr)
            for word in words:
                self.assertRegex(done.stderr, re.compile(word, re.I))
            self.assertEqual(len(lines_of_output), 1, done.stderr)

    def wrong(self, section, line, *words, instead_of=None):
        """Adds a line to a section (in place of the key given), which must be refused there."""
        sections = self.sections()
        if instead_of:
            sections[section] = [l for l in sections[section] if not l.startswith(instead_of)]
        sections[section].append(line)
        lines = []
        for name, body in sections.items():
            lines += [f"[{name}]", *body]
        with self.subTest(line=line):
            self.refused(lines, lines.index(line) + 1, *words)

    def test_the_text_without_mistakes_passes(self):
        text = "".join(f"[{n}]\n" + "\n".join(b) + "\n" for n, b in self.sections().items())
        done = run_program("--check", "-c", self.write("postern.conf", text))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_unknown_keys(self):
        self.wrong("postern", "wrokers = 2", "wrokers")
        self.wrong("listener mqtt", "listen = 127.0.0.1:1", "listen")
        self.wrong("certificate main", "certificate = x", "certificate")
        self.wrong("postern", "listen = 127.0.0.1:1", "listen")

    def test_a_key_given_twice(self):
        self.wrong("postern", "workers = 2", "workers", "twice|again|already")
        self.wrong("listener mqtt", "backend = 127.0.0.1:1", "backend", "twice|again|already")

    def test_values_out_of_range(self):
        self.wrong("postern", "workers = 0", "workers", "0", instead_of="workers")
        self.wrong("postern", "workers = -1", "workers", instead_of="workers")
        self.wrong("postern", "workers = many", "many", "auto", instead_of="workers")
        self.wrong("postern", "workers = 99999999999999999999", "workers", instead_of="workers")
        self.wrong("postern", "log_level = loud", "loud", "error.*warning.*info.*debug")
        self.wrong("postern", "log_format = xml", "xml", "text.*json")
        self.wrong("postern", "reload = sometimes", "sometimes", "signal.*watch")
        self.wrong("postern", "drain_timeout = 30 parsecs", "parsecs")
        self.wrong("listener mqtt", "idle_timeout = -5s", "idle_timeout")
        self.wrong("listener mqtt", "idle_timeout = 5", "idle_timeout")
        self.wrong("listener mqtt", "idle_timeout = 99999999999999999999d", "idle_timeout")
        self.wrong("listener mqtt", "idle_timeout =", "idle_timeout")
        self.wrong("listener mqtt", "tls_min = 1.1", "1.1", r"1\.2")
        self.wrong("listener mqtt", "tls_max = 2.0", r"2\.0")
        self.wrong("listener mqtt", "max_handshakes = 0", "max_handshakes")
        self.wrong("listener mqtt", "max_connections = lots", "max_connections")

    def test_tls_min_above_tls_max(self):
        sections = self.sections()
        sections["listener mqtt"] += ["tls_min = 1.3", "tls_max = 1.2"]
        text = "".join(f"[{n}]\n" + "\n".join(b) + "\n" for n, b in sections.items())
        done = run_program("--check", "-c", self.write("postern.conf", text))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"postern\.conf:\d+:.*tls_m")

    def test_addresses_that_are_not_valid_are_refused(self):
        for value in ("127.0.0.1", "127.0.0.1:65536", "127.0.0.1:x", "::1:8883", "[::1]8883",
                      "somewhere:8883", "256.1.1.1:1", ""):
            self.wrong("listener mqtt", f"listen = {value}", "listen", instead_of="listen")
        for value in ("127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "unix:", ":1883",
                      "127.0.0.1:1883 127.0.0.1:1884", "a,,b", ""):
            self.wrong("listener mqtt", f"backend = {value}", "backend", instead_of="backend")

    def test_names_that_are_not_defined(self):
        self.wrong("listener mqtt", "certificates = mian", "mian", instead_of="certificates")

    def test_ciphers_that_do_not_exist(self):
        text = "".join(f"[{n}]\n" + "\n".join(b) + "\n" for n, b in self.sections().items())
        text = text.replace("certificates = main", "certificates = main\nciphers = TOP-SECRET")
        done = run_program("--check", "-c", self.write("postern.conf", text))
        self.assertEqual(done.returncode, 1)
        self.assertIn("TOP-SECRET", done.stderr)

    def test_sections_that_are_not_valid_are_refused(self):
        sound = [line for name, body in self.sections().items() for line in (f"[{name}]", *body)]
        self.refused([*sound, "[listner x]"], len(sound) + 1, "listner")
        self.refused([*sound, "[listener]"], len(sound) + 1, "name")
        self.refused([*sound, "[listener mqtt]", "listen = 127.0.0.1:0"], len(sound) + 1, "mqtt")
        self.refused([*sound, "[certificate main]"], len(sound) + 1, "main")
        self.refused([*sound, "[postern x]"], len(sound) + 1, "postern")

    def test_missing_keys_are_reported_at_their_section(self):
        for section, key in (("certificate main", "cert"), ("certificate main", "key")):
            sections = self.sections()
            sections[section] = [l for l in sections[section] if l.split()[0] != key]
            lines = [line for name, body in sections.items() for line in (f"[{name}]", *body)]
            with self.subTest(section=section, key=key):
                self.refused(lines, lines.index(f"[{section}]") + 1, key)

    def test_a_listener_needs_nothing_but_a_certificate(self):
        text = "[listener x]\n[certificate main]\ncert = main/cert.pem\nkey = main/privkey.pem\n"
        done = run_program("--check", "-c", self.write("postern.conf", text))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("[::]:8883", done.stdout)
        self.assertIn("127.0.0.1:1883", done.stdout)

    def test_a_file_without_a_listener(self):
        file = self.write("postern.conf", "[postern]\nworkers = 1\n")
        done = run_program("-c", file)
        self.assertEqual(done.returncode, 1)
        self.assertIn("listener", done.stderr)

    def test_text_that_is_not_ini(self):
        sound = [line for name, body in self.sections().items() for line in (f"[{name}]", *body)]
        self.refused([*sound, "just words"], len(sound) + 1)
        self.refused([*sound, "[unclosed"], len(sound) + 1)
        self.refused(["workers = 1", *sound], 1)
        self.refused([*sound, "  key = indented"], len(sound) + 1)
        self.refused([*sound, "chain = " + "x" * 20_000], len(sound) + 1, "long")

    def test_a_missing_file_is_named(self):
        for name in (self.path("nowhere.conf"), self.folder):
            done = run_program("-c", name)
            self.assertEqual(done.returncode, 1)
            self.assertIn(as_logged(name), done.stderr)

    def test_long_values_are_not_cut(self):
        # inih alone would cut a line at 200 bytes.
        deep = os.path.join(*(["a" * 100] * 4))
        pki.server().write(self.path(deep))
        text = "".join(f"[{n}]\n" + "\n".join(b) + "\n" for n, b in self.sections().items())
        done = run_program("--check", "-c", self.write("postern.conf",
                                                       text.replace("main/", f"{deep}/")))
        self.assertEqual(done.returncode, 0, done.stderr)


class BadFiles(Case):
    """Certificates and keys that cannot be used: exit code 1, the file, and what is wrong."""

    def setUp(self):
        super().setUp()
        self.text = self.config("127.0.0.1:1883", certificate=pki.Authority(
            "Test Intermediate", parent=pki.authority()).issue())

    def refused(self, *words, text=None):
        file = self.write("postern.conf", text or self.text)
        for arguments in (("-c", file), ("--check", "-c", file)):
            done = run_program(*arguments)
            self.assertEqual(done.returncode, 1, done.stderr)
            for word in words:
                self.assertRegex(done.stderr, re.compile(word, re.I))

    def test_files_that_are_missing(self):
        for name in ("cert.pem", "chain.pem", "privkey.pem"):
            with self.subTest(name=name):
                os.rename(self.path(f"main/{name}"), self.path("aside"))
                self.refused(f"main/{name}", "no such file")
                os.rename(self.path("aside"), self.path(f"main/{name}"))

    def test_garbage_instead_of_pem(self):
        for name in ("cert.pem", "chain.pem", "privkey.pem"):
            for garbage in ("", "garbage\n", "-----BEGIN CERTIFICATE-----\nAAAA\n"
                            "-----END CERTIFICATE-----\n", "\0" * 500):
                with self.subTest(name=name, garbage=garbage[:10]):
                    with open(self.path(f"main/{name}"), encoding="ascii") as file:
                        good = file.read()
                    self.write(f"main/{name}", garbage)
                    self.refused(f"main/{name}")
                    self.write(f"main/{name}", good)

    def test_a_key_of_another_certificate(self):
        self.write("main/privkey.pem", pki.key("ecdsa", "another").pem)
        self.refused("main/privkey.pem")
        self.write("main/privkey.pem", pki.key("rsa").pem)
        self.refused("main/privkey.pem")

    def test_a_chain_in_the_wrong_order(self):
        upper = pki.Authority("Upper", parent=pki.authority())
        lower = pki.Authority("Lower", parent=upper)
        leaf = lower.issue()
        leaf.write(self.path("main"))
        self.write("main/chain.pem", upper.certificate.pem + lower.certificate.pem)
        self.refused("chain.pem", "order|issue|sign")

    def test_a_root_at_the_end_of_the_chain_is_tolerated(self):
        with open(self.path("main/chain.pem"), "a", encoding="ascii") as file:
            file.write(pki.authority().pem)
        done = run_program("--check", "-c", self.write("postern.conf", self.text))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_expired_and_future_certificates_are_served_with_a_warning(self):
        for start, end, word in ((-60, -30, "expired"), (30, 60, "not yet valid")):
            certificate = pki.authority().issue(start=pki.NOW + start * pki.DAY,
                                                end=pki.NOW + end * pki.DAY)
            postern = self.postern(self.fake_broker(echo), certificate=certificate)
            self.assertRegex(postern.log(), f"main/cert.pem.*{word}|{word}.*main/cert.pem")

    def test_a_key_that_everyone_can_read_is_warned_about(self):
        os.chmod(self.path("main/privkey.pem"), 0o644)
        done = run_program("--check", "-c", self.write("postern.conf", self.text))
        self.assertEqual(done.returncode, 0)
        self.assertIn("main/privkey.pem", done.stderr + done.stdout)


class CommandLine(Case):
    def test_check_prints_what_would_be_served(self):
        file = self.write("postern.conf", self.config("127.0.0.1:1883", listen="127.0.0.1:8883"))
        done = run_program("--check", "-c", file)
        self.assertEqual(done.returncode, 0, done.stderr)
        for word in ("mqtt", "127.0.0.1:8883", "127.0.0.1:1883", "CN=localhost", "localhost",
                     pki.server().serial_hex, "ECDSA"):
            self.assertIn(word, done.stdout)

    def test_check_does_not_listen(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            file = self.write("postern.conf", self.config(
                "127.0.0.1:1883", listen="127.0.0.1:%d" % taken.getsockname()[1]))
            self.assertEqual(run_program("--check", "-c", file).returncode, 0)

    def test_version_names_the_libraries(self):
        done = run_program("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"(?is)postern \d+\.\d+.*wolfssl \d+\.\d+.*libuv \d+\.\d+")

    def test_help_describes_every_option(self):
        done = run_program("--help")
        self.assertEqual(done.returncode, 0)
        for option in ("-c", "--check", "--version", "--help", "--listen", "--backend", "--mqtt",
                       "--cert", "--chain", "--key", "--log-format", "--watch", "--workers"):
            self.assertIn(option, done.stdout)

    def test_a_wrong_command_line_is_exit_code_2(self):
        for arguments in (("--nonsense",), ("-c",), ("extra",), ("--listen", "127.0.0.1:0"),
                          ("--listen", "127.0.0.1:0", "-c", "x"), ("-x",)):
            with self.subTest(arguments=arguments):
                done = run_program(*arguments)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertNotEqual(done.stderr, "")

    def test_a_taken_address_is_exit_code_3(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            done = run_program("-c", self.write("postern.conf", self.config("127.0.0.1:1883",
                                                                            listen=address)))
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn(address, done.stderr)

    def test_an_address_of_another_machine_is_exit_code_3(self):
        done = run_program("-c", self.write("postern.conf", self.config("127.0.0.1:1883",
                                                                        listen="192.0.2.1:8883")))
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("192.0.2.1:8883", done.stderr)

    def test_a_second_postern_on_the_address_is_exit_code_3(self):
        first = self.postern(self.fake_broker(echo))
        file = self.write("second.conf", self.config("127.0.0.1:1883",
                                                     listen=f"127.0.0.1:{first.port}"))
        done = run_program("-c", file)
        self.assertEqual(done.returncode, 3, done.stderr)

    def test_a_sidecar_needs_no_file(self):
        broker = self.fake_broker(echo)
        pki.server().write(self.path("main"))
        postern = self.start(address_count=1, arguments=[
            "--listen", "127.0.0.1:0", "--backend", broker.address, "--cert",
            self.path("main/cert.pem"), "--key", self.path("main/privkey.pem"), "--workers", "1",
            "--log-format", "json"])
        client = self.client(postern)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")
        self.assertTrue(postern.lines[0].startswith("{"))

    def test_a_sidecar_lets_nothing_but_mqtt_reach_its_broker_if_told_to(self):
        broker = self.fake_broker(echo)
        pki.server().write(self.path("main"))
        postern = self.start(address_count=1, arguments=[
            "--listen", "127.0.0.1:0", "--backend", broker.address, "--mqtt", "check", "--cert",
            self.path("main/cert.pem"), "--key", self.path("main/privkey.pem")])
        client = self.client(postern)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        end = postern.end_of(client)
        self.assertEqual((end["reason"], end["backend"]), ("not_mqtt", "-"))

    def test_a_sidecars_mistakes_name_the_option(self):
        pki.server().write(self.path("main"))
        good = {"--listen": "127.0.0.1:0", "--backend": "127.0.0.1:1883",
                "--cert": self.path("main/cert.pem"), "--key": self.path("main/privkey.pem")}
        for option, value in (("--listen", "nowhere"), ("--backend", "x"), ("--mqtt", "on"),
                              ("--workers", "none")):
            arguments = [word for pair in {**good, option: value}.items() for word in pair]
            done = run_program(*arguments)
            self.assertIn(done.returncode, (1, 2), done.stderr)
            self.assertIn(option, done.stderr)

    def test_paths_are_relative_to_the_file(self):
        file = self.write("postern.conf", self.config(self.fake_broker(echo)))
        self.start(file, cwd="/")


if __name__ == "__main__":
    main()
