"""Started as root: the program becomes another user, for good, and still reloads."""

import grp
import os
import pwd
import re
import shutil
import subprocess
import unittest

from brokers import echo
from harness import PROGRAM, Case, main, pki, run_program

USER = "nobody"
OTHER = 54321  # another user
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_NET_BIND_SERVICE = 1 << 1, 1 << 2, 1 << 10
KINDS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


@unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
class Privileges(Case):
    def setUp(self):
        super().setUp()
        entry = pwd.getpwnam(USER)
        self.uid, self.gid = entry.pw_uid, entry.pw_gid
        self.group = grp.getgrgid(self.gid).gr_name
        os.chmod(self.folder, 0o755)  # the temporary folder is for its owner alone

    def write_config(self, **more):
        self.broker = self.fake_broker(echo)
        text = self.config(self.broker, main={"user": USER, **more})
        file = self.write("postern.conf", text)
        os.chmod(file, 0o644)
        self.give_to_group(self.path("main"))
        return file

    def give_to_group(self, folder):
        """As the deploy hook installs certificates: for the group, and not writable for it."""
        os.chown(folder, 0, self.gid)
        os.chmod(folder, 0o750)
        for name in os.listdir(folder):
            os.chown(os.path.join(folder, name), 0, self.gid)
            os.chmod(os.path.join(folder, name), 0o640)

    def refusal(self, file):
        """The message of a start that ends at once; --check says the same."""
        postern = self.start(file, ready=False)
        self.assertEqual(postern.wait_exit(), 1)
        postern.expected_exit = 1
        done = run_program("--check", "-c", file)
        self.assertEqual(done.returncode, 1)
        event = postern.wait("cannot start")
        self.assertIn(event["message"].split(":")[0], done.stderr)
        return event["message"]

    def serves(self, postern, certificate=None):
        client = self.client(postern)
        if certificate:
            self.assertEqual(client.peer_serial(), certificate.serial_hex)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")
        client.close()

    def test_every_thread_becomes_the_user_for_good(self):
        postern = self.start(self.write_config())
        line = postern.wait("privileges dropped")
        self.assertEqual((line["user"], line["group"]), (USER, self.group))
        self.assertEqual((line["uid"], line["gid"]), (str(self.uid), str(self.gid)))
        self.serves(postern)
        for task in os.listdir(f"/proc/{postern.pid}/task"):
            found = status(task)
            self.assertEqual(found["Uid"].split(), [str(self.uid)] * 4)
            self.assertEqual(found["Gid"].split(), [str(self.gid)] * 4)
            self.assertEqual(set(found["Groups"].split()) - {str(self.gid)}, set())
            for kind in KINDS:
                self.assertEqual(int(found[kind], 16), 0, kind)

    def test_a_postern_that_became_another_user_still_reloads(self):
        postern = self.start(self.write_config())
        self.serves(postern, pki.server())
        renewed = pki.authority().issue(kind="rsa")
        renewed.write(self.path("renewed"))
        self.give_to_group(self.path("renewed"))
        for name in ("cert.pem", "privkey.pem"):
            os.rename(self.path(f"renewed/{name}"), self.path(f"main/{name}"))
        self.assertEqual(postern.reload().name, "reload done")
        self.serves(postern, renewed)

    def test_the_admin_socket_is_for_the_group(self):
        postern = self.start(self.write_config(admin="unix:admin.sock"))
        found = os.stat(self.path("admin.sock"))
        self.assertEqual((found.st_gid, oct(found.st_mode & 0o777)), (self.gid, "0o660"))
        self.serves(postern)

    def test_one_process_after_the_other_takes_over(self):
        """Each begins as root; the second has the takeover socket from the first."""
        file = self.write_config(takeover="takeover.sock", drain_timeout="1s")
        running = self.start(file)
        for _ in range(3):
            successor = self.start(file, arguments=["--takeover"])
            self.assertIn("taken over", successor.wait("takeover")["message"])
            self.assertEqual(running.wait_exit(), 0, running.log())
            self.serves(successor)
            running = successor

    def test_the_user_s_further_groups_count(self):
        user = next((u for u in pwd.getpwall() if u.pw_uid != 0 and
                     any(u.pw_name in g.gr_mem for g in grp.getgrall())), None)
        if user is None:
            self.skipTest("no user here has further groups")
        file = self.write_config(user=user.pw_name)
        further = next(g for g in grp.getgrall() if user.pw_name in g.gr_mem)
        self.gid = further.gr_gid
        self.give_to_group(self.path("main"))
        postern = self.start(file)
        self.assertIn(str(further.gr_gid), status(postern.pid)["Groups"].split())
        self.serves(postern)

    def test_user_and_group_may_be_numbers(self):
        postern = self.start(self.write_config(user="54321", group=str(self.gid)))
        self.assertEqual(status(postern.pid)["Uid"].split(), ["54321"] * 4)
        self.serves(postern)

    def test_a_port_below_1024_is_bound_before(self):
        low = free_low_port()
        file = self.write_config()
        with open(file, encoding="utf-8") as old:
            text = old.read().replace("127.0.0.1:0", f"127.0.0.1:{low}")
        self.write("postern.conf", text)
        os.chmod(file, 0o644)
        postern = self.start(file)
        self.assertEqual(postern.port, low)
        self.serves(postern)

    def test_a_key_that_the_user_cannot_read_stops_the_start(self):
        """Not the first renewal, weeks later."""
        file = self.write_config()
        key = self.path("main/privkey.pem")
        os.chmod(key, 0o600)
        message = self.refusal(file)
        self.assertIn(f"{key}: user {USER} cannot read it", message)
        self.assertIn(f"chgrp {self.group} {key} && chmod g+r {key}", message)
        os.system(re.search(r"chgrp .* && chmod \S+ [^,]*", message)[0])
        self.serves(self.start(file))

    def test_the_folder_that_keeps_it_out_is_named(self):
        """As certbot has it: live/NAME/privkey.pem leads to archive/, and both are root's."""
        file = self.write_config()
        os.mkdir(self.path("archive"), 0o700)
        for name in ("cert.pem", "privkey.pem"):
            os.rename(self.path(f"main/{name}"), self.path(f"archive/{name}"))
            os.symlink(f"../archive/{name}", self.path(f"main/{name}"))
        message = self.refusal(file)
        folder = self.path("archive")
        self.assertIn(f"the folder {folder} is closed to it", message)
        self.assertIn(f"chgrp {self.group} {folder} && chmod g+x {folder}", message)

    def test_its_own_configuration_must_be_readable(self):
        file = self.write_config()
        os.chmod(file, 0o600)
        self.assertIn(f"{file}: user {USER} cannot read it", self.refusal(file))

    def test_users_that_do_not_exist_or_are_root_are_refused(self):
        for user, text in (("no-such-user", "no such user"), ("root", "is root"),
                           ("54321", "no group")):
            with self.subTest(user):
                self.assertIn(text, self.refusal(self.write_config(user=user)))
        message = self.refusal(self.write_config(group="no-such-group"))
        self.assertIn("no such group", message)



def held(kind="CapPrm"):
    """What this process has, and so what one that it starts has."""
    return int(status(os.getpid())[kind], 16)


@unittest.skipUnless(os.geteuid() == 0, "needs root")
class Root(Case):
    """Without `user` it stays root, and keeps one of root's rights: to read files of other users."""

    def kept(self):
        return held() & CAP_DAC_READ_SEARCH or held() & CAP_DAC_OVERRIDE

    def check_threads(self, postern, kept, **more):
        for task in os.listdir(f"/proc/{postern.pid}/task"):
            found = status(task)
            wanted = {"CapInh": 0, "CapPrm": kept, "CapEff": kept, "CapBnd": 0, "CapAmb": 0, **more}
            self.assertEqual({kind: int(found[kind], 16) for kind in KINDS}, wanted)

    def test_it_is_warned_and_keeps_one_right(self):
        for sandbox in ("on", "off"):
            postern = self.postern(self.fake_broker(), main={"sandbox": sandbox, "workers": "3"})
            self.assertIn("set user", postern.wait("runs as root")["message"])
            name = {CAP_DAC_READ_SEARCH: "cap_dac_read_search", CAP_DAC_OVERRIDE: "cap_dac_override",
                    0: "-"}[self.kept()]
            if held():
                self.assertEqual(postern.wait("capabilities dropped")["kept"], name)
            self.client(postern).close()
            self.check_threads(postern, self.kept())

    def test_a_reload_still_reads_what_only_another_user_can_read(self):
        if not self.kept():
            self.skipTest("root has no such right here")
        postern = self.postern(self.fake_broker(echo))
        renewed = pki.authority().issue(kind="rsa")
        renewed.write(self.path("renewed"))
        for name in ("cert.pem", "privkey.pem"):
            os.chown(self.path(f"renewed/{name}"), OTHER, OTHER)
            os.chmod(self.path(f"renewed/{name}"), 0o600)
            os.rename(self.path(f"renewed/{name}"), self.path(f"main/{name}"))
        os.chown(self.path("main"), OTHER, OTHER)
        os.chmod(self.path("main"), 0o700)
        self.assertEqual(postern.reload().name, "reload done")
        self.assertEqual(self.client(postern).peer_serial(), renewed.serial_hex)

    def test_it_still_reaches_a_broker_at_another_user_s_unix_socket(self):
        if not held() & CAP_DAC_OVERRIDE:
            self.skipTest("root has no such right here")
        path = self.path("broker.sock")
        broker = self.fake_broker(echo, path=path)
        os.chown(path, OTHER, OTHER)
        os.chmod(path, 0o600)
        postern = self.postern(broker)
        self.assertEqual(postern.wait("capabilities dropped")["kept"], "cap_dac_override")
        self.check_threads(postern, CAP_DAC_OVERRIDE)
        client = self.client(postern)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")

    def test_where_it_has_another_one_as_in_containers_it_keeps_that(self):
        if not held() & CAP_DAC_OVERRIDE or not shutil.which("setpriv"):
            self.skipTest("needs setpriv, and the right")
        postern = self.postern(self.fake_broker(), wrapper=(
            "setpriv", "--bounding-set=-dac_read_search", os.path.abspath(PROGRAM)))
        self.assertEqual(postern.wait("capabilities dropped")["kept"], "cap_dac_override")
        self.check_threads(postern, CAP_DAC_OVERRIDE)

    def test_an_ordinary_user_s_right_to_a_low_port_goes_when_the_port_is_bound(self):
        """As AmbientCapabilities= of a unit gives it. Where others than root may not use the program,
        it has the right to read as well."""
        if not held() & CAP_NET_BIND_SERVICE or not shutil.which("setpriv"):
            self.skipTest("needs setpriv, and the right")
        os.chmod(self.folder, 0o755)
        low = free_low_port()
        file = self.write("postern.conf", self.config(self.fake_broker(echo),
                                                      listen=f"127.0.0.1:{low}"))
        readable(self, file)
        postern = self.start(file, wrapper=(
            "setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups",
            "--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service",
            os.path.abspath(PROGRAM)))
        self.assertEqual(postern.port, low)
        self.assertEqual(postern.wait("capabilities dropped")["kept"], "-")
        self.client(postern).close()
        self.check_threads(postern, 0, CapBnd=held("CapBnd"))

    def test_where_there_is_none_nothing_is_dropped(self):
        if not shutil.which("setpriv"):
            self.skipTest("needs setpriv")
        os.chmod(self.folder, 0o755)
        file = self.write("postern.conf", self.config(self.fake_broker(echo)))
        readable(self, file)
        postern = self.start(file, wrapper=(
            "setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups",
            os.path.abspath(PROGRAM)))
        self.client(postern).close()
        self.assertEqual(postern.all("capabilities dropped"), [])
        self.assertEqual(postern.all("capabilities not dropped"), [])


def free_low_port():
    with open("/proc/net/tcp", encoding="ascii") as file:
        used = file.read()
    return next(port for port in range(1023, 600, -1) if f":{port:04X} " not in used)


def readable(case, file):
    """For everybody: the configuration and the certificate's files."""
    os.chmod(file, 0o644)
    for folder, _, names in os.walk(case.path("main")):
        os.chmod(folder, 0o755)
        for name in names:
            os.chmod(os.path.join(folder, name), 0o644)
    if not os.access(PROGRAM, os.X_OK) or not can_run_as_other():
        case.skipTest("the program is not for everyone here")


def can_run_as_other():
    done = subprocess.run(["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups",
                           os.path.abspath(PROGRAM), "--version"], capture_output=True, check=False)
    return done.returncode == 0


class Ordinary(Case):
    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_what_is_closed_to_it_is_named_with_what_to_do(self):
        os.chmod(self.folder, 0o755)
        file = self.write("postern.conf", self.config(self.fake_broker(echo)))
        readable(self, file)

        def check():
            done = subprocess.run(
                ["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups",
                 os.path.abspath(PROGRAM), "--check", "-c", file], capture_output=True, text=True,
                check=False)
            return done.stderr

        closed = f"is closed to it; chgrp {OTHER} and chmod g+"
        who = f"Permission denied (for user {OTHER}, as whom Postern runs)"
        os.chmod(self.path("main"), 0o750)
        self.assertIn(f"{who}; the folder {self.path('main')} {closed}x it", check())
        os.chmod(self.path("main"), 0o755)
        os.chmod(self.path("main/cert.pem"), 0o600)
        self.assertIn(f"{self.path('main/cert.pem')}: cannot open: {who}; the file {closed}r it",
                      check())
        os.chmod(file, 0o600)
        self.assertIn(f"{file}: cannot open the configuration: {who}", check())

    def test_who_is_not_root_cannot_change(self):
        wrapper = ()
        if os.geteuid() == 0:
            wrapper = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups")
            os.chmod(self.folder, 0o755)
        text = self.config(self.fake_broker(echo), main={"user": "root-of-all"})
        file = self.write("postern.conf", text)
        if wrapper:
            readable(self, file)
        postern = self.start(file, wrapper=(*wrapper, os.path.abspath(PROGRAM)))
        self.assertIn("has no effect", postern.wait("user not changed")["message"])
        self.client(postern).close()


if __name__ == "__main__":
    main()
