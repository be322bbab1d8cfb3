"""Rotation of shared ticket keys: the script, and two instances that it serves."""

import grp
import os
import pwd
import re
import shutil
import stat
import subprocess
import unittest

from brokers import echo
from clients import tls_context
from harness import Case, main, pki

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(ROOT, "systemd", "postern-ticket-keys")
OLD, NEW = "a" * 64, "B" * 64


class Script(Case):
    def rotate(self, check=True, wrapper=(), **environment):
        own = {name: value for name, value in os.environ.items() if not name.startswith("POSTERN_")}
        return subprocess.run([*wrapper, "sh", SCRIPT], check=check, capture_output=True, text=True,
                              env={**own, "LC_ALL": "C",
                                   "POSTERN_TICKET_KEYS": self.path("ticket.keys"),
                                   "POSTERN_RELOAD": "true", **environment})

    def keys(self):
        with open(self.path("ticket.keys"), encoding="ascii") as file:
            return file.read().split("\n")[:-1]


class Rotation(Script):
    def test_a_new_file_has_two_keys_and_is_closed_to_others(self):
        self.rotate()
        self.assertEqual(len(set(self.keys())), 2)
        for key in self.keys():
            self.assertRegex(key, r"\A[0-9a-f]{64}\Z")
        self.assertEqual(stat.S_IMODE(os.stat(self.path("ticket.keys")).st_mode) & 0o007, 0)

    def test_a_key_is_known_before_it_encrypts_and_kept_afterwards(self):
        self.rotate()
        history = [self.keys()]
        for _ in range(5):
            self.rotate()
            before, after = history[-1], self.keys()
            self.assertEqual(after[0], before[1], "the next one encrypts")
            self.assertNotIn(after[1], [key for keys in history for key in keys])
            self.assertEqual(after[2], before[0], "the one that did decrypts")
            self.assertEqual(after[3:], before[2:3])
            history.append(after)

    def test_how_many_are_kept(self):
        for keep, lines in (("0", 2), ("1", 3), ("14", 9)):
            self.write("ticket.keys", "")
            for _ in range(8):
                self.rotate(POSTERN_TICKET_KEEP=keep)
            self.assertEqual(len(self.keys()), lines)
        self.assertIn("write 0 to 14", self.rotate(check=False, POSTERN_TICKET_KEEP="15").stderr)

    def test_a_single_key_goes_on_encrypting_until_the_next_one_is_known(self):
        self.write("ticket.keys", OLD + "\n")
        self.rotate()
        first, following = self.keys()
        self.assertEqual(first, OLD)
        self.rotate()
        self.assertEqual(self.keys()[0], following)

    def test_blanks_and_empty_lines_are_no_keys(self):
        self.write("ticket.keys", f"\n{OLD} \r\n\n{NEW}")
        self.rotate()
        self.assertEqual([self.keys()[n] for n in (0, 2)], [NEW, OLD])

    def test_a_damaged_file_stays_as_it_is(self):
        for bad in ("x" * 64, OLD[1:], OLD + "0", f"{OLD}\n# comment\n"):
            self.write("ticket.keys", bad)
            done = self.rotate(check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("nothing was changed", done.stderr)
            self.assertNotIn(OLD[:16], done.stderr + done.stdout)
            with open(self.path("ticket.keys"), encoding="ascii") as file:
                self.assertEqual(file.read(), bad)

    def test_the_file_is_replaced_in_one_step_also_behind_a_link(self):
        os.mkdir(self.path("real"))
        self.write("real/keys", OLD + "\n")
        os.symlink("real/keys", self.path("ticket.keys"))
        inode = os.stat(self.path("real/keys")).st_ino
        self.rotate()
        self.assertTrue(os.path.islink(self.path("ticket.keys")))
        self.assertNotEqual(os.stat(self.path("real/keys")).st_ino, inode)
        self.assertEqual(os.listdir(self.path("real")), ["keys"])

    def test_it_distributes_before_it_reloads_and_reports_what_fails(self):
        done = self.rotate(POSTERN_DISTRIBUTE='echo distributed', POSTERN_RELOAD='echo reloaded')
        self.assertEqual(re.findall(r"distributed|reloaded", done.stdout),
                         ["distributed", "reloaded"])
        done = self.rotate(check=False, POSTERN_DISTRIBUTE="false", POSTERN_RELOAD="echo reloaded")
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("reloaded", done.stdout)
        done = self.rotate(check=False, POSTERN_RELOAD="false")
        self.assertIn("the reload failed", done.stderr)

    def test_a_group_that_does_not_exist_is_named_as_such_and_changes_nothing(self):
        self.write("ticket.keys", OLD + "\n")
        done = self.rotate(check=False, POSTERN_GROUP="no-such-group")
        self.assertEqual(done.returncode, 1)
        self.assertIn("to the group no-such-group: invalid group", done.stderr)
        self.assertIn("nothing was changed", done.stderr)
        self.assertEqual(self.keys(), [OLD])
        self.assertEqual(os.listdir(self.folder), ["ticket.keys"])

    @unittest.skipIf(any(g.gr_name == "postern" for g in grp.getgrall()), "the group is here")
    def test_without_the_services_group_it_rotates_and_says_what_is_missing(self):
        done = self.rotate()
        self.assertIn("warning: cannot give", done.stdout)
        self.assertIn("to the group postern: invalid group: 'postern'", done.stdout)
        self.assertEqual(len(self.keys()), 2)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root and setpriv")
    def test_who_may_not_give_the_file_to_the_group_gets_the_reason(self):
        """The group is there."""
        user = pwd.getpwnam("nobody")
        os.chown(self.folder, user.pw_uid, user.pw_gid)
        wrapper = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        if subprocess.run([*wrapper, "test", "-r", SCRIPT], check=False).returncode != 0:
            self.skipTest("the script is not for everyone here")
        done = self.rotate(check=False, wrapper=wrapper, POSTERN_GROUP=grp.getgrgid(0).gr_name)
        self.assertEqual(done.returncode, 1)
        self.assertIn("Operation not permitted", done.stderr)
        self.assertEqual(os.listdir(self.folder), [])


class Instances(Script):
    def setUp(self):
        super().setUp()
        self.rotate()
        self.both = [self.postern(self.fake_broker(echo), main={"ticket_keys": "ticket.keys"})
                     for _ in range(2)]

    def visit(self, postern, context, session=None):
        client = self.client(postern, context=context, session=session)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")
        reused, kept = client.tls.session_reused, client.tls.session
        client.close()
        return reused, kept

    def test_each_accepts_the_other_s_tickets_over_rotations_that_reach_them_one_by_one(self):
        first, second = self.both
        clients = [(context, self.visit(first, context)[1])
                   for context in (tls_context(pki.authority().pem, v) for v in ("1.2", "1.3"))]
        for _ in range(3):
            self.rotate()
            for reloaded, other in ((first, second), (second, first)):
                self.assertEqual(reloaded.reload().name, "reload done")
                for context, session in clients:
                    made_with_new = self.visit(reloaded, context)[1]
                    for postern, ticket in ((other, made_with_new), (reloaded, session),
                                            (other, session)):
                        self.assertTrue(self.visit(postern, context, ticket)[0])
            clients = [(context, self.visit(second, context)[1]) for context, _ in clients]


if __name__ == "__main__":
    main()
