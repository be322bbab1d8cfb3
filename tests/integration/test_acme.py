"""Certificates by ACME clients other than certbot: what each says to the deploy hook, and
postern-certs with a real uacme at a real ACME server (pebble)."""

import base64
import glob
import json
import os
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import unittest

from acme import Pebble, Publishers, until_port_free
from harness import ALL, PATIENCE, Case, main, pki, private_mounts, wait_until
from ports import free_port
from test_certbot import HOOK, NAME, OWN_GROUP, read

CERTS = os.path.join(os.path.dirname(HOOK), "postern-certs")
SYSTEM_CAS = "/etc/ssl/certs/ca-certificates.crt"


class Settings(Case):
    """What the hook finds in its environment."""

    def settings(self, **more):
        return {**os.environ, "POSTERN_CERTS": self.path("certs"), "POSTERN_GROUP": OWN_GROUP,
                "POSTERN_CONF": self.path("postern.conf"),
                "POSTERN_RELOAD": f"echo x >>{shlex.quote(self.path('reloads'))}", **more}

    def reloads(self):
        return len(read(self.path("reloads"))) // 2 if os.path.exists(self.path("reloads")) else 0

    def installed(self, file="fullchain.pem", name=NAME):
        return read(self.path(f"certs/{name}/{file}")).decode()


class Clients(Settings):
    def setUp(self):
        super().setUp()
        self.issuing = pki.Authority("Issuing CA", parent=pki.authority())
        self.certificate = self.issuing.issue(NAME, names=[NAME])
        self.chain = self.issuing.pem
        os.mkdir(self.path("their"))
        self.full = self.write("their/full", self.certificate.pem + self.chain)
        self.key = self.write("their/key", self.certificate.key_pem)
        self.configure(f"certs/{NAME}")

    def configure(self, folder):
        self.write("postern.conf", f"[certificate main]\ncert = {folder}/fullchain.pem\n")

    def hook(self, *arguments, code=0, **variables):
        environment = self.settings(**variables)
        environment.pop("RENEWED_LINEAGE", None)
        done = subprocess.run([HOOK, *arguments], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              cwd=self.folder, check=False)
        self.assertEqual(done.returncode, code, done.stdout)
        return done.stdout

    def check_installed(self, name=NAME):
        self.assertEqual([self.installed(f, name) for f in ("cert.pem", "chain.pem",
                                                             "fullchain.pem", "privkey.pem")],
                         [self.certificate.pem, self.chain, self.certificate.pem + self.chain,
                          self.certificate.key_pem])
        self.assertEqual(self.reloads(), 1)

    def test_acme_sh(self):
        self.hook(Le_Domain=NAME, CERT_PATH=self.write("their/cert", self.certificate.pem),
                  CERT_KEY_PATH=self.key, CA_CERT_PATH=self.write("their/ca", self.chain),
                  CERT_FULLCHAIN_PATH=self.full)
        self.check_installed()

    def test_lego(self):
        self.hook(LEGO_ACCOUNT_EMAIL="admin@example.org", LEGO_CERT_DOMAIN=NAME,
                  LEGO_CERT_PATH=self.full, LEGO_CERT_KEY_PATH=self.key)
        self.check_installed()

    def test_dehydrated(self):
        for other in (["startup_hook"], ["deploy_challenge", NAME, "token", "proof"],
                      ["clean_challenge", NAME, "token", "proof"], ["exit_hook"],
                      ["unchanged_cert", NAME, self.key, "cert", self.full, "chain"],
                      ["this_hookscript_is_broken__dehydrated_is_working_fine__please_ignore_"
                       "unknown_hooks_in_your_script"]):
            self.assertEqual(self.hook(*other), "")
        self.assertFalse(os.path.exists(self.path("certs")))
        self.hook("deploy_cert", NAME, self.key, "cert", self.full, "chain", "1790000000")
        self.check_installed()

    def test_any_other_client(self):
        self.hook("install", NAME, "their/full", "their/key")
        self.check_installed()

    def test_an_address(self):
        for name in ("192.0.2.7", "2001:db8::7"):
            self.configure(f"certs/{name}")
            if os.path.exists(self.path("reloads")):
                os.unlink(self.path("reloads"))
            self.hook("install", name, self.full, self.key)
            self.check_installed(name)

    def test_a_renewal_replaces_all_of_it_and_a_missing_chain_is_none(self):
        self.hook("install", NAME, self.full, self.key)
        own = pki.authority().issue(NAME, names=[NAME], own_key=pki.key("ecdsa", "renewed"))
        self.write("their/full", own.pem)
        self.write("their/key", own.key_pem)
        self.hook("install", NAME, self.full, self.key)
        self.assertEqual((self.installed("cert.pem"), self.installed("privkey.pem")),
                         (own.pem, own.key_pem))
        self.assertFalse(os.path.exists(self.path(f"certs/{NAME}/chain.pem")))

    def test_what_does_not_fit_changes_nothing(self):
        self.hook("install", NAME, self.full, self.key)
        other = pki.authority().issue(NAME, names=[NAME], own_key=pki.key("ecdsa", "other"))
        self.write("their/other", other.key_pem)
        self.write("their/empty", "")
        self.assertIn("does not belong to its full",
                      self.hook("install", NAME, self.full, "their/other", code=1))
        self.assertIn("holds no certificate",
                      self.hook("install", NAME, "their/empty", self.key, code=1))
        self.assertIn("cannot read", self.hook("install", NAME, "their/none", self.key, code=1))
        self.assertIn("not a name", self.hook("install", "../x", self.full, self.key, code=1))
        self.assertIn("wrong number", self.hook("install", NAME, self.full, code=1))
        self.assertIn("install NAME", self.hook("instal", NAME, self.full, self.key, code=1))
        self.assertIn("install NAME", self.hook(code=1))
        self.check_installed()

    def test_the_clients_own_files_are_reloaded_and_not_copied(self):
        self.write("postern.conf", "[certificate main]\ncert = their/full\nkey = their/key\n")
        self.assertIn("nothing is copied", self.hook("install", NAME, self.full, self.key))
        self.assertEqual(self.reloads(), 1)
        self.assertFalse(os.path.exists(self.path("certs")))


@unittest.skipUnless(shutil.which("uacme") and shutil.which("pebble") and shutil.which("busybox")
                     and private_mounts() and os.path.exists(SYSTEM_CAS),
                     "needs uacme, pebble, busybox and a mount namespace")
class PosternCerts(Settings):
    def setUp(self):
        super().setUp()
        os.makedirs(self.path("acme"))
        self.start_pebble()
        self.write("names", f"# of this host\n\n{NAME} www.{NAME}   # a comment\n")

    def start_pebble(self, **options):
        self.pebble = Pebble(self.path("acme"), **options)
        self.addCleanup(self.pebble.stop)
        self._started.append(self.pebble)

    def configure(self, broker, **main_keys):
        self.write("postern.conf", self.config(
            broker, main=main_keys, listener={"certificates": "main"},
            more=f"[certificate main]\ncert = certs/{NAME}/fullchain.pem\n"
                 f"key = certs/{NAME}/privkey.pem\n"))

    def certs(self, code=0, **more):
        """uacme trusts what the system trusts: for it, that is pebble's own CA."""
        mounted = f'mount --bind "$ACME_CA" {SYSTEM_CAS} && exec "$0"'
        environment = self.settings(
            ACME_CA=self.pebble.ca, POSTERN_NAMES=self.path("names"),
            POSTERN_STORE=self.path("store"), POSTERN_HTTP_PORT=str(self.pebble.http),
            POSTERN_ACME=f"https://127.0.0.1:{self.pebble.acme}/dir", **more)
        def run():
            return subprocess.run([*private_mounts(), "sh", "-c", mounted, CERTS], env=environment,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False)

        done = until_port_free(run, "httpd: bind: Address already in use")
        self.assertEqual(done.returncode, code, done.stdout)
        return done.stdout

    def serial(self):
        leaf = self.installed("cert.pem")
        return pki.serial_of(ssl.PEM_cert_to_DER_cert(leaf))

    def served(self, postern):
        client = self.client(postern, ca=self.pebble.root, server_name=f"www.{NAME}")
        client.close()
        return client.peer_serial()

    def test_one_line_in_one_file_is_a_certificate_that_clients_trust(self):
        self.configure(self.mosquitto())
        self.certs()
        postern = self.start(self.path("postern.conf"))
        self.assertEqual(self.served(postern), self.serial())

    def test_it_asks_again_only_when_the_time_has_come(self):
        self.configure("127.0.0.1:1883")
        self.certs()
        first = self.serial()
        self.assertIn("need not be renewed yet", self.certs())
        self.assertEqual((self.serial(), self.reloads()), (first, 1))

    def test_certificates_that_last_a_day_are_renewed_in_time(self):
        """uacme counts in days, of which a third of that lifetime has none."""
        self.pebble.stop()
        self.start_pebble(lifetime=24 * 3600)
        self.configure("127.0.0.1:1883")
        self.certs()
        first = self.serial()
        self.certs()
        self.assertNotEqual(self.serial(), first)
        self.assertEqual(self.reloads(), 2)

    def test_a_name_that_cannot_be_validated_keeps_none_of_the_others_waiting(self):
        self.configure("127.0.0.1:1883")
        self.write("names", f"not_a.name!\n{NAME}\n")
        self.assertIn("no certificate for: not_a.name!", self.certs(code=1))
        self.assertTrue(self.installed())

    def test_what_could_not_be_installed_is_installed_by_the_next_run(self):
        self.configure("127.0.0.1:1883")
        self.certs(code=1, POSTERN_RELOAD="false", POSTERN_GROUP="no-such-group")
        self.certs()
        self.assertEqual(self.reloads(), 1)

    def test_a_certificate_for_an_address(self):
        self.write("names", "127.0.0.1\n")
        self.write("postern.conf", self.config(
            self.mosquitto(), listener={"certificates": "main"},
            more="[certificate main]\ncert = certs/127.0.0.1/fullchain.pem\n"
                 "key = certs/127.0.0.1/privkey.pem\n"))
        self.certs()
        postern = self.start(self.path("postern.conf"))
        self.client(postern, ca=self.pebble.root, server_name="127.0.0.1").close()

    def test_a_renewal_disconnects_nobody(self):
        self.configure(self.mosquitto(), reload="watch")
        self.certs(POSTERN_RELOAD="true")
        postern, first = self.start(self.path("postern.conf")), self.serial()
        clients = [self.mqtt_client(postern, version=("1.2", "1.3")[n % 2], ca=self.pebble.root,
                                    server_name=NAME) for n in range(200 if ALL else 20)]
        publishers = Publishers(clients)
        self.addCleanup(publishers.finish)
        publishers.progress()
        mark = postern.mark()
        os.unlink(self.path(f"store/{NAME}/cert.pem"))
        self.certs(POSTERN_RELOAD="true")
        postern.wait("reload done", since=mark)
        self.assertNotEqual(self.serial(), first)
        self.assertEqual(self.served(postern), self.serial())
        publishers.progress()
        publishers.finish()
        self.assertEqual(publishers.errors, [])
        ended = {e["peer"] for e in postern.all("session end", since=mark)}
        self.assertEqual(ended & {client.stream.peer for client in clients}, set())
        print(f"{len(clients)} clients, {sum(publishers.published)} messages acknowledged, "
              f"0 disconnected; serial {first} became {self.serial()}")


def have(*programs):
    return ALL and all(map(shutil.which, programs))


def page():
    with open(os.path.join(os.path.dirname(HOOK), "..", "docs", "certificates.md"),
              encoding="utf-8") as file:
        return file.read()


def block_of(file):
    """The text of that file in the page."""
    found = re.search(rf"`{re.escape(file)}`:\n\n((?:    .*\n|\n)+)", page())[1]
    return re.sub("^    ", "", found, flags=re.M)


class Recipes(Settings):
    """Commands of docs/certificates.md, as they stand there but for addresses and folders. Those of
    programs that Debian does not have are run where they are on the PATH."""

    def setUp(self):
        super().setUp()
        os.makedirs(self.path("acme"))
        self.write("postern.conf", f"[certificate main]\nkey = certs/{NAME}/privkey.pem\n")

    def start_pebble(self, **options):
        self.pebble = Pebble(self.path("acme"), **options)
        self.addCleanup(self.pebble.stop)
        self.root, self.server = self.pebble.root, f"https://127.0.0.1:{self.pebble.acme}/dir"

    def environment(self):
        trusted = os.path.join(self.path("acme"), "acme-ca.pem")
        return self.settings(LEGO_CA_CERTIFICATES=trusted, CURL_CA_BUNDLE=trusted)

    def run_client(self, *command):
        done = subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              env=self.environment())
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def renewed(self, renew):
        """Calls renew() while Postern serves what the hook has installed, to a client that stays."""
        self.write("postern.conf", self.config(
            self.mosquitto(), main={"reload": "watch"}, listener={"certificates": "main"},
            more=f"[certificate main]\ncert = certs/{NAME}/fullchain.pem\n"
                 f"key = certs/{NAME}/privkey.pem\n"))
        postern, first, reloads = self.start(self.path("postern.conf")), self.served(), self.reloads()
        client = self.mqtt_client(postern, ca=self.root, server_name=NAME)
        publishers = Publishers([client])
        self.addCleanup(publishers.finish)
        publishers.progress()
        mark = postern.mark()
        renew()
        postern.wait("reload done", since=mark, timeout=4 * PATIENCE)
        new = self.client(postern, ca=self.root, server_name=NAME)
        self.assertEqual(new.peer_serial(), self.served())
        self.assertNotEqual(new.peer_serial(), first)
        self.assertGreater(self.reloads(), reloads)
        publishers.progress()
        publishers.finish()
        self.assertEqual(publishers.errors, [])

    def served(self):
        return pki.serial_of(ssl.PEM_cert_to_DER_cert(self.installed("cert.pem")))

    @unittest.skipUnless(have("lego", "pebble"), "needs lego")
    def test_lego(self):
        self.start_pebble()
        lego = ["lego", "--server", self.server, "--accept-tos", "--email", "admin@example.org",
                "--domains", NAME, "--http", "--http.port", f"127.0.0.1:{self.pebble.http}",
                "--path", self.path("lego")]
        self.run_client(*lego, "run", "--run-hook", HOOK)
        self.renewed(lambda: self.run_client(*lego, "renew", "--days", "99999", "--no-random-sleep",
                                             "--renew-hook", HOOK))
        self.assertEqual(self.reloads(), 2)

    @unittest.skipUnless(have("acme.sh", "socat", "curl", "pebble"), "needs acme.sh, socat and curl")
    def test_acme_sh(self):
        self.start_pebble()
        acme = ["acme.sh", "--home", self.path("acme.sh"), "--ca-bundle", self.pebble.ca]
        name = ["-d", NAME]
        self.run_client(*acme, "--issue", "--server", self.server, "--standalone", "--httpport",
                        str(self.pebble.http), *name)
        self.assertFalse(os.path.exists(self.path("certs")))
        self.run_client(*acme, "--install-cert", *name, "--reloadcmd", HOOK)
        self.renewed(lambda: self.run_client(*acme, "--cron", "--force"))
        self.assertEqual(self.reloads(), 2)

    @unittest.skipUnless(have("dehydrated", "curl", "busybox", "pebble"),
                         "needs dehydrated, curl and busybox")
    def test_dehydrated(self):
        self.start_pebble()
        os.makedirs(self.path("www/.well-known/acme-challenge"))
        os.makedirs(self.path("dehydrated"))
        web = subprocess.Popen(["busybox", "httpd", "-f", "-p", f"127.0.0.1:{self.pebble.http}",
                                "-h", self.path("www")])
        self.addCleanup(web.wait)
        self.addCleanup(web.terminate)
        self.write("names", NAME + "\n")
        config = self.write("config", f"CA={self.server}\nHOOK={HOOK}\n"
                            f"WELLKNOWN={self.path('www/.well-known/acme-challenge')}\n"
                            f"BASEDIR={self.path('dehydrated')}\nDOMAINS_TXT={self.path('names')}\n")
        dehydrated = ["dehydrated", "-f", config]
        self.run_client(*dehydrated, "--register", "--accept-terms")
        self.run_client(*dehydrated, "--cron")
        self.renewed(lambda: self.run_client(*dehydrated, "--cron", "--force"))
        self.assertEqual(self.reloads(), 2)

    def caddy(self):
        """Caddy's folder for the certificate, once it is there."""
        config = self.write("Caddyfile", "\n".join([
            "{", f"acme_ca {self.server}", f"acme_ca_root {self.pebble.ca}",
            f"http_port {self.pebble.http}", f"https_port {self.pebble.tls}",
            f"storage file_system {self.path('caddy')}", "renew_interval 1s", "admin off",
            "}", f"{NAME} {{", "}", ""]))
        log = open(self.path("caddy.log"), "w", encoding="utf-8")
        self.addCleanup(log.close)
        caddy = subprocess.Popen(["caddy", "run", "--config", config, "--adapter", "caddyfile"],
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 env={**os.environ, "HOME": self.folder})
        self.addCleanup(caddy.wait)
        self.addCleanup(caddy.terminate)
        return wait_until(lambda: glob.glob(self.path(f"caddy/certificates/*/{NAME}")),
                          "Caddy's certificate", 4 * PATIENCE)[0]

    @unittest.skipUnless(have("caddy", "pebble"), "needs caddy")
    def test_caddy(self):
        """systemd starts the service when the file changes; here we look for that."""
        self.start_pebble(lifetime=45)
        folder = self.caddy()
        service = block_of("/etc/systemd/system/postern-caddy.service")
        watched = re.search(r"^PathChanged=.*/(\S+)", block_of("/etc/systemd/system/postern-caddy.path"),
                            re.M)[1]
        command = re.search(r"^ExecStart=/usr/local/lib/postern/postern-deploy-hook (.*)", service,
                            re.M)[1].split()

        def changed(since=None):
            path = os.path.join(folder, watched)
            wait_until(lambda: os.path.exists(path) and os.stat(path).st_mtime_ns != since,
                       f"{watched} to change", 4 * PATIENCE)
            done = subprocess.run([HOOK, *command], cwd=folder, env=self.settings(), text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            self.assertEqual(done.returncode, 0, done.stdout)
            return os.stat(path).st_mtime_ns

        first = changed()
        self.renewed(lambda: changed(first))

    def step_ca(self):
        """A CA of its own, with its default configuration; returns how to call step."""
        address = f"127.0.0.1:{free_port()}"
        password = self.write("password", "secret\n")
        step = ["env", f"STEPPATH={self.path('step')}", "step"]
        self.run_client(*step, "ca", "init", "--deployment-type", "standalone", "--name", "Test",
                        "--dns", "127.0.0.1", "--address", address, "--provisioner", "admin",
                        "--password-file", password)
        log = open(self.path("step-ca.log"), "w", encoding="utf-8")
        self.addCleanup(log.close)
        server = subprocess.Popen(["step-ca", "--password-file", password,
                                   self.path("step/config/ca.json")],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  env={**os.environ, "STEPPATH": self.path("step")})
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        health = [*step, "ca", "health"]
        wait_until(lambda: subprocess.run(health, check=False, capture_output=True).returncode == 0,
                   "step-ca", 4 * PATIENCE)
        self.root = read(self.path("step/certs/root_ca.crt")).decode()
        return step, password

    @unittest.skipUnless(have("step", "step-ca"), "needs step and step-ca")
    def test_step_ca(self):
        step, password = self.step_ca()
        files = [self.path(f"their.{part}") for part in ("crt", "key")]
        install = ["install", NAME, *files]
        self.run_client(*step, "ca", "certificate", NAME, *files, "--provisioner-password-file",
                        password)
        self.run_client(HOOK, *install)
        daemon = subprocess.Popen([*step, "ca", "renew", "--daemon", "--exec",
                                   " ".join([HOOK, *install]), *files], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, text=True, env=self.environment())
        self.addCleanup(daemon.stdout.close)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.terminate)
        self.assertIn("first renewal in", daemon.stdout.readline())
        self.renewed(lambda: daemon.send_signal(signal.SIGHUP))  # now, not when its time has come
        self.assertEqual(self.reloads(), 2)

    @unittest.skipUnless(ALL and shutil.which("jq"), "needs jq")
    def test_traefiks_store(self):
        leaf = pki.authority().issue(NAME, names=[NAME])
        chain = leaf.pem + pki.authority().pem
        entries = [{"domain": {"main": name}, "certificate": base64.b64encode(cert).decode(),
                    "key": base64.b64encode(key).decode(), "Store": "default"}
                   for name, cert, key in (("www.example.org", b"other", b"other"),
                                           (NAME, chain.encode(), leaf.key_pem.encode()))]
        self.write("acme.json", json.dumps({"le": {"Account": {}, "Certificates": entries}}))
        script = re.search(r"^    #!/bin/sh -e\n(?:    .*\n)+", page(), re.M)[0]
        for old, new in (("/var/lib/traefik", self.folder),
                         ("/usr/local/lib/postern/postern-deploy-hook", HOOK)):
            self.assertIn(old, script)
            script = script.replace(old, new)
        script = self.write("script", re.sub("^    ", "", script, flags=re.M))
        done = subprocess.run(["sh", "-e", script], env=self.settings(), check=False,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.installed(), self.installed("privkey.pem")), (chain, leaf.key_pem))


if __name__ == "__main__":
    main()
