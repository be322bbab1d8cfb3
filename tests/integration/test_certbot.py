#!/usr/bin/env python3
"""certbot's deploy hook: alone, and with a real certbot renewing at a real ACME server (pebble)."""
import grp
import os
import pwd
import shlex
import shutil
import ssl
import stat
import subprocess
import tempfile
import threading
import unittest

from acme import Pebble, Publishers, until_port_free
from harness import ALL, PROGRAM, Case, main, pki

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOOK = os.path.join(ROOT, "systemd", "postern-deploy-hook")
NAME = "mqtt.example.org"
OWN_GROUP = grp.getgrgid(os.getgid()).gr_name


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Hook(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = scratch.name
        self.configure(f"cert = {self.path('certs', NAME, 'cert.pem')}")
        self.pair = pki.authority().issue(NAME, names=[NAME])
        self.lineage(NAME, self.pair)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def configure(self, *lines):
        pki.write(self.path("postern.conf"), "\n".join(["[certificate main]", *lines, ""]))

    def lineage(self, name, certificate):
        """The files as certbot has them: links from live/ to archive/."""
        archive = self.path("archive", name)
        certificate.write(archive)
        for file in ("chain.pem", "fullchain.pem"):
            pki.write(os.path.join(archive, file), certificate.pem)
        os.makedirs(self.path("live", name), exist_ok=True)
        for file in ("cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"):
            link = self.path("live", name, file)
            if not os.path.islink(link):
                os.symlink(os.path.join("..", "..", "archive", name, file), link)

    def run_hook(self, name=NAME, cwd=None, wrapper=(), **more):
        environment = {**os.environ, "RENEWED_LINEAGE": self.path("live", name),
                       "POSTERN_CERTS": self.path("certs"), "POSTERN_GROUP": OWN_GROUP,
                       "POSTERN_CONF": self.path("postern.conf"),
                       "POSTERN_RELOAD": f"echo x >>{shlex.quote(self.path('reloads'))}", **more}
        return subprocess.run([*wrapper, HOOK], env=environment, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, cwd=cwd, check=False)

    def install(self, name=NAME, **more):
        result = self.run_hook(name, **more)
        self.assertEqual(result.returncode, 0, result.stdout)
        return result.stdout

    def refused(self, name=NAME, **more):
        result = self.run_hook(name, **more)
        self.assertEqual(result.returncode, 1, result.stdout)
        return result.stdout

    def reloads(self):
        return len(read(self.path("reloads"))) // 2 if os.path.exists(self.path("reloads")) else 0

    def installed(self, file="cert.pem", name=NAME):
        return read(self.path("certs", name, file)).decode()

    def test_copies_are_installed_through_a_link_and_loaded(self):
        self.install()
        self.assertTrue(os.path.islink(self.path("certs", NAME)))
        self.assertEqual(self.installed("cert.pem"), self.pair.pem)
        self.assertEqual(self.installed("privkey.pem"), self.pair.key_pem)
        self.assertEqual(sorted(os.listdir(self.path("certs", NAME))),
                         ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"])
        self.assertEqual(self.reloads(), 1)

    def test_the_group_may_read_and_others_have_no_access(self):
        self.install()
        for folder, _, files in os.walk(self.path("certs")):
            self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o750, folder)
            for file in files:
                status = os.stat(os.path.join(folder, file))
                self.assertEqual(stat.S_IMODE(status.st_mode), 0o640, file)
                self.assertEqual(status.st_gid, os.getgid())
                self.assertFalse(os.path.islink(os.path.join(folder, file)))

    def test_a_lineage_that_is_not_configured_is_ignored(self):
        for name in ("www.example.org", "mqtt.example", NAME + ".org", "org"):
            self.lineage(name, self.pair)
            self.assertIn("ignored", self.install(name))
        self.assertFalse(os.path.exists(self.path("certs")))
        self.assertEqual(self.reloads(), 0)

    def test_relative_paths_start_at_the_configurations_folder(self):
        self.configure(f"key=certs/{NAME}/privkey.pem   ; a comment")
        self.install()
        self.assertEqual(self.installed(), self.pair.pem)

    def test_the_shells_own_paths_for_folders_do_not_count(self):
        for folder in ("etc", "elsewhere/etc"):
            os.makedirs(self.path(folder))
            pki.write(self.path(folder, "postern.conf"),
                      f"[certificate main]\nkey = ../certs/{NAME}/privkey.pem\n")
        self.install(cwd=self.folder, POSTERN_CONF="etc/postern.conf",
                     CDPATH=self.path("elsewhere"))
        self.assertEqual(self.installed(), self.pair.pem)

    def test_a_commented_line_does_not_count_as_use(self):
        self.configure(f"; cert = certs/{NAME}/cert.pem", "cert = other.pem")
        self.assertIn("ignored", self.install())

    def test_a_path_is_the_same_however_it_is_written(self):
        os.makedirs(self.path("deep"))
        os.symlink(self.folder, self.path("folder"))
        os.symlink("certs", self.path("tls"))
        os.symlink(f"certs/{NAME}/fullchain.pem", self.path("server.pem"))
        paths = (f"./certs/{NAME}/cert.pem", f"certs//{NAME}///cert.pem",
                 f"certs/{NAME}/./cert.pem", f"deep/../certs/{NAME}/cert.pem",
                 f"{self.folder}/./certs/{NAME}/cert.pem", f"folder/certs/{NAME}/cert.pem",
                 f"tls/{NAME}/cert.pem", "server.pem")
        folders = ("certs", "certs/", "./certs", "deep/..//certs", "folder/certs", "tls")
        pairs = [(path, "certs") for path in paths] + [(paths[0], folder) for folder in folders]
        for path, folder in pairs:
            with self.subTest(path=path, folder=folder):
                self.configure(f"cert = {path}")
                for count in (1, 2):  # the first copy, and a renewal
                    before = self.reloads()
                    self.assertIn("installed", self.install(POSTERN_CERTS=self.path(folder)))
                    self.assertEqual(self.reloads(), before + 1)
                    self.assertEqual(self.installed(), self.pair.pem)
                    self.assertEqual(len(os.listdir(self.path("certs", "." + NAME))), count)
                shutil.rmtree(self.path("certs"))
        for path in (f"certs/{NAME}.pem", f"certs/x/{NAME}/cert.pem", f"certs/{NAME}/../cert.pem",
                     f"certs/.{NAME}/cert.pem"):
            self.configure(f"cert = {path}")
            with self.subTest(path=path):
                self.assertIn("ignored", self.install())
        self.assertFalse(os.path.exists(self.path("certs")))

    def test_what_it_ignores_it_names(self):
        self.configure("cert = /srv/a/cert.pem", "key = b/key.pem")
        said = self.install()
        for word in (NAME, self.path("postern.conf"), self.path("certs", NAME), "/srv/a/cert.pem",
                     self.path("b/key.pem")):
            self.assertIn(word, said)

    def test_certbots_own_files_are_reloaded_and_not_copied(self):
        self.configure(f"cert = live/{NAME}/fullchain.pem", f"key = ./live//{NAME}/privkey.pem")
        self.assertIn("nothing is copied", self.install())
        self.assertEqual(self.reloads(), 1)
        self.assertFalse(os.path.exists(self.path("certs")))

    def planted(self, link, *target):
        """Puts a link to a folder where the hook has its own; returns what is in that folder."""
        victim = self.path("victim")
        os.makedirs(victim, exist_ok=True)
        os.chmod(victim, 0o755)
        pki.write(os.path.join(victim, "precious"), "x")
        os.makedirs(self.path("certs"), exist_ok=True)
        os.symlink(os.path.join(victim, *target), self.path("certs", link))
        return victim

    def test_no_planted_link_is_followed(self):
        victim = self.planted("." + NAME)
        self.assertIn("does not follow", self.refused())
        os.unlink(self.path("certs", "." + NAME))
        self.planted("." + NAME, "missing")
        self.assertIn("does not follow", self.refused())
        os.unlink(self.path("certs", "." + NAME))
        self.planted(NAME)
        self.assertIn("move it away", self.refused())
        self.assertTrue(os.path.islink(self.path("certs", NAME)), "it is left where it is")
        self.assertEqual(os.listdir(victim), ["precious"])
        self.assertEqual(stat.S_IMODE(os.stat(victim).st_mode), 0o755)
        self.assertEqual(self.reloads(), 0)

    def test_a_folder_that_others_can_write_is_not_used(self):
        os.makedirs(self.path("certs", "." + NAME))
        os.chmod(self.path("certs", "." + NAME), 0o770)
        self.assertIn("others can write", self.refused())
        self.assertEqual(os.listdir(self.path("certs", "." + NAME)), [])

    def test_modes_of_what_was_there_stay_as_they_are(self):
        os.makedirs(self.path("certs"))
        os.chmod(self.path("certs"), 0o711)
        self.install()
        self.assertEqual(stat.S_IMODE(os.stat(self.path("certs")).st_mode), 0o711)
        os.chmod(self.path("certs"), 0o700)
        said = self.install()
        self.assertIn(f"{self.path('certs')} was there before and is left as it is (mode 700", said)
        self.assertIn(f"chmod 750 {self.path('certs')}", said)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("certs")).st_mode), 0o700)

    def test_missing_parents_can_be_passed_by_the_group(self):
        self.configure(f"cert = new/parent/{NAME}/cert.pem")
        self.install(POSTERN_CERTS=self.path("new/parent"))
        for folder in ("new", "new/parent"):
            status = os.stat(self.path(folder))
            self.assertEqual(stat.S_IMODE(status.st_mode), 0o750)
            self.assertEqual(status.st_gid, os.getgid())

    def test_what_it_did_not_make_beside_the_copies_stays(self):
        self.install()
        notes = self.path("certs", "." + NAME, "notes")
        pki.write(notes, "mine")
        for _ in range(3):
            self.assertIn(f"{notes} is left as it is", self.install())
        self.assertEqual(read(notes), b"mine")

    def test_an_empty_configuration_name_takes_every_lineage(self):
        self.configure()
        self.install(POSTERN_CONF="")
        self.assertEqual(self.installed(), self.pair.pem)

    def test_a_missing_configuration_is_reported(self):
        self.assertIn("set POSTERN_CONF", self.refused(POSTERN_CONF=self.path("nowhere.conf")))

    def test_lineages_with_a_common_prefix_are_kept_apart(self):
        longer = NAME + ".two"
        self.configure(*(f"cert = certs/{name}/cert.pem" for name in (NAME, longer)))
        other = pki.authority().issue(longer, names=[longer])
        self.lineage(longer, other)
        self.install(longer)
        for _ in range(4):
            self.install()
        self.assertEqual(self.installed(name=longer), other.pem)

    def test_the_previous_generation_is_kept_and_no_older_one(self):
        for _ in range(4):
            before = os.path.realpath(self.path("certs", NAME))
            self.install()
        self.assertEqual(len(os.listdir(self.path("certs", "." + NAME))), 2)
        self.assertTrue(os.path.exists(os.path.join(before, "cert.pem")))

    def test_a_new_certificate_is_never_combined_with_an_old_key(self):
        pairs = [self.pair, pki.authority().issue(NAME, names=[NAME], kind="rsa")]
        keys = {pair.pem: pair.key_pem for pair in pairs}
        self.install()
        stop, wrong, looks = threading.Event(), [], []

        def look():
            while not stop.is_set():
                folder = os.path.realpath(self.path("certs", NAME))
                try:
                    cert, key = (read(os.path.join(folder, f)).decode()
                                 for f in ("cert.pem", "privkey.pem"))
                except FileNotFoundError:
                    wrong.append("a file was missing")
                    continue
                looks.append(1)
                if keys.get(cert) != key:
                    wrong.append((cert, key))

        watcher = threading.Thread(target=look)
        watcher.start()
        for number in range(10):
            self.lineage(NAME, pairs[number % 2])
            self.install()
        stop.set()
        watcher.join()
        self.assertEqual(wrong, [])
        self.assertGreater(len(looks), 10)

    def test_a_pair_that_does_not_match_changes_nothing(self):
        self.install()
        other = pki.authority().issue(NAME, names=[NAME], kind="rsa")
        pki.write(self.path("archive", NAME, "privkey.pem"), other.key_pem)
        self.assertIn("does not belong to its cert.pem", self.refused())
        pki.write(self.path("archive", NAME, "cert.pem"), "garbage")
        self.assertIn("not a certificate", self.refused())
        os.unlink(self.path("archive", NAME, "cert.pem"))
        self.assertIn("cannot read", self.refused())
        self.assertEqual(self.installed("cert.pem"), self.pair.pem)
        self.assertEqual(self.installed("privkey.pem"), self.pair.key_pem)
        self.assertEqual(len(os.listdir(self.path("certs", "." + NAME))), 1)
        self.assertEqual(self.reloads(), 1)

    def test_a_refused_reload_is_reported_and_the_copies_stay(self):
        output = self.refused(POSTERN_RELOAD="false")
        self.assertIn("the reload failed", output)
        self.assertIn("systemctl reload postern", output)
        self.assertEqual(self.installed(), self.pair.pem)

    def test_a_folder_in_place_of_the_link_is_not_touched(self):
        os.makedirs(self.path("certs", NAME))
        pki.write(self.path("certs", NAME, "mine"), "x")
        self.assertIn("move it away", self.refused())
        self.assertEqual(os.listdir(self.path("certs", NAME)), ["mine"])

    def test_a_group_that_does_not_exist_is_refused_with_what_to_do(self):
        for group in ("no-such-group", "--reference=/etc/passwd"):
            output = self.refused(POSTERN_GROUP=group)
            self.assertIn(f"this system has no group {group}: set POSTERN_GROUP", output)
            self.assertIn(f"groupadd --system {group}", output)
            self.assertIn("nothing was installed", output)
        self.assertFalse(os.path.exists(self.path("certs", NAME)))

    @unittest.skipIf(any(g.gr_name == "postern" for g in grp.getgrall()), "the group is here")
    def test_without_the_services_group_it_installs_and_says_what_to_do(self):
        output = self.install(POSTERN_GROUP="")
        self.assertIn("warning: this system has no group postern: set POSTERN_GROUP", output)
        self.assertIn("groupadd --system postern", output)
        self.assertIn(f"only {pwd.getpwuid(os.getuid()).pw_name} can read the copies", output)
        self.assertEqual(self.installed(), self.pair.pem)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root and setpriv")
    def test_who_may_not_give_files_to_the_group_gets_the_reason(self):
        """The group is there, so nobody is to create it."""
        group = grp.getgrgid(0).gr_name
        os.chmod(self.path("."), 0o777)
        for folder, folders, files in os.walk(self.path(".")):
            for name in folders + files:
                os.chmod(os.path.join(folder, name), 0o777)
        user = pwd.getpwnam("nobody")
        wrapper = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        if subprocess.run([*wrapper, "test", "-x", HOOK], check=False).returncode != 0:
            self.skipTest("the hook is not for everyone here")
        result = self.run_hook(wrapper=wrapper, POSTERN_GROUP=group)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn(f"nobody may not give files to the group {group}: run the ACME client",
                      result.stdout)
        self.assertNotIn("groupadd", result.stdout)

    def test_odd_names_are_refused(self):
        for lineage in ("", "/", "/etc/letsencrypt/live/..", "/etc/letsencrypt/live/a b"):
            self.refused(RENEWED_LINEAGE=lineage)


@unittest.skipUnless(shutil.which("certbot") and shutil.which("pebble"),
                     "certbot and pebble are not installed")
class Renewal(Case):
    def setUp(self):
        super().setUp()
        os.makedirs(self.path("acme"))
        self.pebble = Pebble(self.path("acme"))
        self.addCleanup(self.pebble.stop)
        self._started.append(self.pebble)
        self.conf = self.path("postern.conf")

    def certbot(self, *arguments, reload):
        command = ["certbot", *arguments, "--non-interactive", "--server",
                   f"https://127.0.0.1:{self.pebble.acme}/dir", "--config-dir",
                   self.path("letsencrypt"), "--work-dir", self.path("work"), "--logs-dir",
                   self.path("logs"), "--http-01-port", str(self.pebble.http)]
        environment = {**os.environ, "REQUESTS_CA_BUNDLE": self.pebble.ca,
                       "POSTERN_CERTS": self.path("certs"), "POSTERN_CONF": self.conf,
                       "POSTERN_GROUP": OWN_GROUP, "POSTERN_RELOAD": reload}
        def run():
            return subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)

        result = until_port_free(run, "Could not bind TCP port")
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertNotIn("error output", result.stdout)  # how certbot reports a failed hook
        return result.stdout

    def configure(self, broker, reload):
        text = self.config(broker, main={"reload": reload}, listener={"certificates": "main"},
                           more=f"[certificate main]\ncert = certs/{NAME}/cert.pem\n"
                                f"chain = certs/{NAME}/chain.pem\n"
                                f"key = certs/{NAME}/privkey.pem\n")
        self.write("postern.conf", text)

    def obtain(self):
        self.certbot("certonly", "--standalone", "--agree-tos", "--register-unsafely-without-email",
                     "--domain", NAME, "--deploy-hook", shlex.quote(HOOK), reload="true")
        return self.serial()

    def renew(self, reload):
        self.certbot("renew", "--force-renewal", "--no-random-sleep-on-renew", reload=reload)
        return self.serial()

    def serial(self):
        der = ssl.PEM_cert_to_DER_cert(read(self.path(f"certs/{NAME}/cert.pem")).decode())
        return pki.serial_of(der)

    def connect(self, postern, version):
        return self.mqtt_client(postern, version=version, ca=self.pebble.root, server_name=NAME)

    def served(self, postern):
        serials = set()
        for version in ("1.2", "1.3"):
            client = self.client(postern, version=version, ca=self.pebble.root, server_name=NAME)
            serials.add(client.peer_serial())
            client.close()
        return serials

    def test_the_hook_installs_what_certbot_obtains_and_renews(self):
        self.configure("127.0.0.1:1883", "signal")
        first = self.obtain()
        second = self.renew(reload=f"echo x >>{shlex.quote(self.path('reloads'))}")
        self.assertNotEqual(second, first)
        self.assertEqual(read(self.path("reloads")), b"x\n")
        self.assertEqual(read(self.path(f"certs/{NAME}/privkey.pem")),
                         read(self.path(f"letsencrypt/live/{NAME}/privkey.pem")))

    def renewing_disconnects_nobody(self, mode, reload_command):
        self.configure(self.mosquitto(), mode)
        first = self.obtain()
        postern = self.start(self.conf)
        self.assertEqual(self.served(postern), {first})
        clients = [self.connect(postern, ("1.2", "1.3")[number % 2]) for number in range(200 if ALL else 20)]
        publishers = Publishers(clients)
        self.addCleanup(publishers.finish)
        publishers.progress()
        mark = postern.mark()
        second = self.renew(reload_command(postern))
        postern.wait("reload done", since=mark)
        self.assertNotEqual(second, first)
        self.assertEqual(self.served(postern), {second})
        publishers.progress()
        publishers.finish()
        self.assertEqual(publishers.errors, [])
        ended = {e["peer"] for e in postern.all("session end", since=mark)}
        self.assertEqual(ended & {client.stream.peer for client in clients}, set())
        print(f"{len(clients)} clients, {sum(publishers.published)} messages acknowledged, "
              f"0 disconnected; serial {first} became {second}")

    def test_a_renewal_disconnects_nobody(self):
        self.renewing_disconnects_nobody("signal", lambda postern: (
            f"{shlex.quote(PROGRAM)} --check -c {shlex.quote(self.conf)} && "
            f"kill -HUP {postern.pid}"))

    def test_a_renewal_is_noticed_without_a_signal(self):
        self.renewing_disconnects_nobody("watch", lambda postern: "true")


if __name__ == "__main__":
    main()
