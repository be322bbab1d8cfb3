"""The folders of the unix sockets `takeover` and `admin`: a user who can write there, or above, can put
another socket in the place of Postern's. A start and --check judge them alike, and say what to do."""

import os
import re
import shutil
import subprocess
import unittest
import uuid

from admin import is_available
from brokers import echo
from harness import PROGRAM, Case, has_musl, main, run_program

NOBODY = 54321
KEYS = ("takeover", "admin") if is_available() else ("takeover",)


class Folders(Case):
    def setUp(self):
        super().setUp()
        self.broker = self.fake_broker(echo)
        os.mkdir(self.path("run"))

    def written(self, key, file, **more):
        value = f"unix:{file}" if key == "admin" else file
        text = self.config(self.broker, main={key: value, "drain_timeout": "1s", **more})
        return self.write("postern.conf", text)

    def check(self, file, *wrapper):
        if wrapper:
            return subprocess.run([*wrapper, PROGRAM, "--check", "-c", file], text=True,
                                  capture_output=True, check=False)
        return run_program("--check", "-c", file)

    def refused(self, key, file):
        """What a start says, which --check says too."""
        config = self.written(key, file)
        done = run_program("-c", config)
        self.assertEqual(done.returncode, 3, done.stderr)
        message = re.search(r'cannot start message="(.*)"', done.stderr)[1]
        checked = self.check(config)
        self.assertEqual(checked.returncode, 1, checked.stderr)
        self.assertIn(f'check failed message="{message}"', checked.stderr)
        self.assertTrue(message.startswith(f"{key} = "), message)
        return message

    def passes(self, key, file):
        config = self.written(key, file)
        self.assertEqual(self.check(config).returncode, 0)
        postern = self.start(config)
        self.client(postern).close()
        postern.stop()

    def test_one_that_others_can_write_in_is_refused_until_it_is_closed_to_them(self):
        folder = self.path("run")
        for key in KEYS:
            for mode in (0o775, 0o757, 0o777):
                with self.subTest(key, mode=oct(mode)):
                    os.chmod(folder, mode)
                    message = self.refused(key, "run/p.sock")
                    self.assertIn("others can write", message)
                    command = f"chmod go-w {folder}"
                    self.assertIn(f"{command}, or use a folder of its own", message)
                    subprocess.run(command, shell=True, check=True)
                    self.passes(key, "run/p.sock")

    def test_one_for_everybody_s_files_is_not_to_be_changed(self):
        os.chmod(self.path("run"), 0o1777)
        for key in KEYS:
            message = self.refused(key, "run/p.sock")
            self.assertIn("others can write", message)
            self.assertNotIn("chmod", message)
            self.assertIn("use a folder of its own", message)

    def test_one_that_is_missing_is_to_be_made(self):
        for key in KEYS:
            message = self.refused(key, "none/p.sock")
            self.assertIn(f"make the folder {self.path('none')} first", message)
            self.assertIn("cannot open its folder", self.refused(key, "postern.conf/p.sock"))

    def test_one_that_a_service_manager_makes_at_the_start_need_not_be_there_for_a_check(self):
        name = f"postern-test-{uuid.uuid4()}"
        for key in KEYS:
            done = self.check(self.written(key, f"/run/{name}/p.sock"))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("its folder does not exist, which is right where a unit makes it",
                          done.stderr)

    def test_the_name_of_the_socket_is_checked(self):
        for key in KEYS:
            for name in ("x" * 65, ".."):
                self.assertIn("1 to 64 characters", self.refused(key, f"run/{name}"))

    def test_one_below_a_folder_that_others_can_write_in_is_refused(self):
        """They can put another folder in its place."""
        above = self.path("above")
        os.makedirs(self.path("above/run/deep"))
        for key in KEYS:
            for mode in (0o775, 0o757):
                for file in ("above/run/p.sock", "above/run/deep/p.sock"):
                    with self.subTest(key, mode=oct(mode), file=file):
                        os.chmod(above, mode)
                        message = self.refused(key, file)
                        self.assertIn(f"others can write in the folder {above} above it", message)
                        command = f"chmod go-w {above}"
                        self.assertIn(f"{command}, or use a folder elsewhere", message)
                        subprocess.run(command, shell=True, check=True)
                        self.passes(key, file)

    def test_one_in_a_folder_for_everybody_s_files_may_be_used(self):
        os.mkdir(self.path("tmp"))
        os.mkdir(self.path("tmp/run"))
        os.chmod(self.path("tmp"), 0o1777)
        for key in KEYS:
            self.passes(key, "tmp/run/p.sock")

    def test_links_on_the_way_are_followed_and_what_they_lead_through_counts(self):
        os.makedirs(self.path("open/run"))
        os.chmod(self.path("open"), 0o777)
        for name, target in (("absolute", self.path("run")), ("relative", "../run/../run"),
                             ("chain", "absolute/."), ("through", self.path("open/run")),
                             ("back", "../open/../run"), ("loop", "loop"), ("dangling", "none")):
            os.makedirs(self.path("links"), exist_ok=True)
            os.symlink(target, self.path(f"links/{name}"))
        for key in KEYS:
            for name in ("absolute", "relative", "chain"):
                with self.subTest(key, name=name):
                    self.passes(key, f"links/{name}/p.sock")
            for name, words in (("through", f"in the folder {self.path('open')} above it"),
                                ("back", f"in the folder {self.path('open')} above it"),
                                ("loop", "Symbolic link loop" if has_musl()
                                 else "Too many levels of symbolic links"),
                                ("dangling", f"make the folder {self.path('links/dangling')} first")):
                with self.subTest(key, name=name):
                    self.assertIn(words, self.refused(key, f"links/{name}/p.sock"))

    def test_a_relative_path_begins_in_the_working_directory(self):
        os.mkdir(self.path("work"))
        for key in KEYS:
            config = self.written(key, "run/p.sock")
            os.chmod(self.path("run"), 0o700)
            for mode, code in ((0o755, 0), (0o777, 1)):
                os.chmod(self.folder, mode)
                done = subprocess.run([PROGRAM, "--check", "-c", os.path.relpath(config, self.path("work"))],
                                      cwd=self.path("work"), text=True, capture_output=True,
                                      check=False)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertEqual(f"in the folder {self.folder} above it" in done.stderr, code == 1)
            os.chmod(self.folder, 0o700)

    def theirs(self, key, **more):
        """A configuration that everybody may read, with the socket in a folder of NOBODY's."""
        config = self.written(key, "run/p.sock", **more)
        os.chown(self.path("run"), NOBODY, NOBODY)
        for path in (self.folder, self.path("run"), self.path("main")):
            os.chmod(path, 0o755)
        for path in (config, self.path("main/cert.pem"), self.path("main/privkey.pem")):
            os.chmod(path, 0o644)
        return config

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_root_does_not_start_with_one_of_another_user(self):
        for key in KEYS:
            for more in ({}, {"user": str(NOBODY), "group": str(NOBODY)}):
                with self.subTest(key, **more):
                    done = run_program("-c", self.theirs(key, **more))
                    self.assertEqual(done.returncode, 3)
                    self.assertIn(f"belongs to user {NOBODY}", done.stderr)
                    self.assertIn(f"chown 0 {self.path('run')}", done.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_root_may_check_for_a_service_of_another_user(self):
        """Unless `user` shows that it is root who starts it."""
        for key in KEYS:
            done = self.check(self.theirs(key))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"belongs to user {NOBODY}, which is right where Postern is started by "
                          "that user", done.stderr)
            done = self.check(self.theirs(key, user=str(NOBODY), group=str(NOBODY)))
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"belongs to user {NOBODY}", done.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_one_below_a_folder_of_another_user_is_refused(self):
        """A check cannot know who starts it, but nobody is trusted in a place like /tmp."""
        theirs = self.path("theirs")
        os.makedirs(self.path("theirs/run"))
        os.chown(theirs, NOBODY, NOBODY)
        for key in KEYS:
            config = self.written(key, "theirs/run/p.sock")
            done = run_program("-c", config)
            self.assertEqual(done.returncode, 3)
            self.assertIn(f"the folder {theirs} above it belongs to user {NOBODY}", done.stderr)
            self.assertIn("use a folder elsewhere, such as /run/postern", done.stderr)
            self.assertEqual(self.check(config).returncode, 0)
            for owner, mode in ((NOBODY + 1, 0o700), (0, 0o1777)):
                os.chown(self.folder, owner, owner)
                os.chmod(self.folder, mode)
                self.assertEqual(self.check(config).returncode, 1)
            os.chown(self.folder, 0, 0)
            os.chmod(self.folder, 0o700)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_a_link_of_another_user_is_refused(self):
        os.mkdir(self.path("tmp"))
        os.chmod(self.path("tmp"), 0o1777)
        os.symlink(self.path("run"), self.path("tmp/link"))
        for key in KEYS:
            self.passes(key, "tmp/link/p.sock")
            os.lchown(self.path("tmp/link"), NOBODY, NOBODY)
            message = self.refused(key, "tmp/link/p.sock")
            self.assertIn(f"a link on the way to its folder {self.path('tmp/link')} belongs to user "
                          f"{NOBODY}", message)
            self.assertIn("name the folder itself", message)
            os.lchown(self.path("tmp/link"), 0, 0)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root and setpriv")
    def test_the_service_s_own_user_checks_as_it_starts(self):
        for key in KEYS:
            config = self.theirs(key)
            for user, code in ((NOBODY, 0), (NOBODY + 1, 1)):
                done = self.check(config, "setpriv", f"--reuid={user}", f"--regid={user}",
                                  "--clear-groups")
                if done.stderr.startswith("setpriv"):
                    self.skipTest("the program is not for everyone here")
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertEqual("belongs to user" in done.stderr, code == 1)


if __name__ == "__main__":
    main()
