"""Started as root: the program becomes another user, for good, and still reloads."""

import grp
import os
import pwd
import re
import unittest

from brokers import echo
from harness import Case, main, pki, run_program

USER = "nobody"


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
            for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(int(found[kind], 16), 0, kind)

    def test_it_still_reloads(self):
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
        low = next(port for port in range(1023, 600, -1) if self.is_free(port))
        file = self.write_config()
        with open(file, encoding="utf-8") as old:
            text = old.read().replace("127.0.0.1:0", f"127.0.0.1:{low}")
        self.write("postern.conf", text)
        os.chmod(file, 0o644)
        postern = self.start(file)
        self.assertEqual(postern.port, low)
        self.serves(postern)

    @staticmethod
    def is_free(port):
        with open("/proc/net/tcp", encoding="ascii") as file:
            return f":{port:04X} " not in file.read()

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

    def test_root_without_a_user_is_warned(self):
        postern = self.postern(self.fake_broker())
        postern.wait("runs as root")


class Ordinary(Case):
    def test_who_is_not_root_cannot_change(self):
        wrapper = ()
        if os.geteuid() == 0:
            wrapper = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups")
            os.chmod(self.folder, 0o755)
        text = self.config(self.fake_broker(echo), main={"user": "root-of-all"})
        file = self.write("postern.conf", text)
        os.chmod(file, 0o644)
        for folder, _, names in os.walk(self.path("main")):
            os.chmod(folder, 0o755)
            for name in names:
                os.chmod(os.path.join(folder, name), 0o644)
        program = os.path.abspath(os.environ.get("POSTERN", "postern"))
        if wrapper and not os.access(program, os.X_OK):
            self.skipTest("the program is not for everyone here")
        postern = self.start(file, wrapper=(*wrapper, program))
        self.assertIn("has no effect", postern.wait("user not changed")["message"])
        self.client(postern).close()


if __name__ == "__main__":
    main()
