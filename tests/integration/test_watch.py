"""reload = watch: certificate files that change are noticed without a signal."""

import os
import shutil
import tempfile
import time

from brokers import echo
from clients import SLOW
from harness import PROGRAM, Case, main, pki, private_mounts

WITHIN = 5 * SLOW  # seconds, promised


class Watching(Case):
    def setUp(self):
        super().setUp()
        self.text = self.config(self.fake_broker(echo), main={"reload": "watch"})

    def watching(self, folder="main"):
        return self.postern(text=self.text.replace("main/", f"{folder}/"))

    def new(self):
        """Another certificate with another key: a mixed pair cannot pass."""
        self.count = getattr(self, "count", 0) + 1
        return pki.authority().issue(own_key=pki.key("ecdsa", ("watch", self.count)))

    def served_in_time(self, postern, certificate, within=WITHIN):
        self.wait_until(lambda: self.client(postern).peer_serial() == certificate.serial_hex,
                        "the new certificate to be served", within)

    def test_a_symlink_to_a_folder_that_is_swapped(self):
        # As the deploy hook installs them.
        self.new().write(self.path("archive1"))
        os.symlink("archive1", self.path("live"))
        postern = self.watching("live")
        second = self.new()
        second.write(self.path("archive2"))
        os.symlink("archive2", self.path("live.new"))
        os.rename(self.path("live.new"), self.path("live"))
        self.served_in_time(postern, second)
        postern.wait("reload done")  # one worker may serve it before all do
        self.assertEqual(len(postern.all("reload done")), 1)

    def test_symlinks_to_files_that_are_swapped_one_by_one(self):
        # As certbot has them: live/NAME.pem points at archive/NAME2.pem.
        os.mkdir(self.path("live"))

        def install(certificate, number):
            certificate.write(self.path("archive"), f"cert{number}.pem",
                              key_name=f"privkey{number}.pem")
            for name in ("cert", "privkey"):
                link = self.path(f"live/{name}.pem")
                if os.path.lexists(link):
                    os.unlink(link)
                os.symlink(f"../archive/{name}{number}.pem", link)

        install(self.new(), 1)
        postern = self.watching("live")
        second = self.new()
        install(second, 2)
        self.served_in_time(postern, second)

    def project(self, certificate):
        """Puts the files of a Secret into the volume as the kubelet does (its AtomicWriter): a new
        folder, a link ..data that is renamed over the old one, and the old folder is removed. The
        files themselves are links into ..data that stay."""
        volume = self.path("secret")
        os.makedirs(volume, exist_ok=True)
        old = os.path.exists(os.path.join(volume, "..data")) and os.path.realpath(
            os.path.join(volume, "..data"))
        new = tempfile.mkdtemp(prefix=time.strftime("..%Y_%m_%d_%H_%M_%S."), dir=volume)
        for name, text in (("tls.crt", certificate.pem), ("tls.key", certificate.key_pem),
                           ("ca.crt", pki.authority().pem)):
            pki.write(os.path.join(new, name), text)
            os.chmod(os.path.join(new, name), 0o440)
        os.chmod(new, 0o755)
        os.symlink(os.path.basename(new), os.path.join(volume, "..data_tmp"))
        os.rename(os.path.join(volume, "..data_tmp"), os.path.join(volume, "..data"))
        for name in ("tls.crt", "tls.key", "ca.crt"):
            if not os.path.islink(os.path.join(volume, name)):
                os.symlink(os.path.join("..data", name), os.path.join(volume, name))
        if old:
            shutil.rmtree(old)

    def test_a_kubernetes_secret_that_is_swapped(self):
        self.project(self.new())
        postern = self.postern(text=self.text.replace("main/cert.pem", "secret/tls.crt")
                               .replace("main/privkey.pem", "secret/tls.key"))
        client = self.client(postern)
        for _ in range(3):
            mark, certificate = postern.mark(), self.new()
            self.project(certificate)
            self.served_in_time(postern, certificate)
            postern.wait("reload done", since=mark)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")
        names = [e.name for e in postern.events]
        self.assertEqual((names.count("reload done"), names.count("reload refused"),
                          names.count("file replaced out of sight")), (3, 0, 0))

    def test_files_that_are_replaced_by_rename(self):
        postern = self.watching()
        second = self.new()
        second.write(self.path("main"))
        self.served_in_time(postern, second)

    def test_files_that_are_rewritten_in_place(self):
        postern = self.watching()
        second = self.new()
        for name, text in (("cert", second.pem), ("privkey", second.key_pem)):
            with open(self.path(f"main/{name}.pem"), "w", encoding="ascii") as file:
                file.write(text)
        self.served_in_time(postern, second)

    def test_a_half_written_pair_is_read_once_it_is_complete(self):
        postern = self.watching()
        second = self.new()
        pki.write(self.path("main/cert.pem"), second.pem)
        # Longer than files must be still before they are read.
        self.assertRaises(AssertionError, postern.wait, "reload refused", timeout=4)
        pki.write(self.path("main/privkey.pem"), second.key_pem)
        self.served_in_time(postern, second)
        self.assertEqual(postern.all("reload refused"), [])

    def test_a_pair_that_never_matches_is_refused_once_and_the_next_good_one_served(self):
        postern = self.watching()
        first = self.client(postern).peer_serial()
        start = time.monotonic()
        pki.write(self.path("main/cert.pem"), self.new().pem)
        refused = postern.wait("reload refused", timeout=10 + 2 * WITHIN)
        self.assertGreater(time.monotonic() - start, 9)
        self.assertIn("main/privkey.pem", refused.raw)
        self.assertEqual(self.client(postern).peer_serial(), first)
        mark = postern.mark()
        self.assertRaises(AssertionError, postern.wait, "reload refused", since=mark, timeout=3)
        good = self.new()
        good.write(self.path("main"))
        self.served_in_time(postern, good)

    def test_a_file_that_vanishes_for_a_while(self):
        postern = self.watching()
        second = self.new()
        os.unlink(self.path("main/cert.pem"))
        self.assertRaises(AssertionError, postern.wait, "reload refused", timeout=3)
        second.write(self.path("main"))
        self.served_in_time(postern, second)

    def test_live_sessions_are_not_affected(self):
        postern = self.watching()
        client = self.client(postern)
        second = self.new()
        second.write(self.path("main"))
        self.served_in_time(postern, second)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")

    def test_a_signal_works_while_watching(self):
        postern = self.watching()
        second = self.new()
        second.write(self.path("main"))
        self.assertEqual(postern.reload().name, "reload done")
        self.assertEqual(self.client(postern).peer_serial(), second.serial_hex)

    def mounted(self):
        """A name that leads to the certificate itself, past all other names, which is what a mount of
        the single file comes to; what Postern is started with for that."""
        file = os.open(self.path("main/cert.pem"), os.O_RDONLY)
        self.addCleanup(os.close, file)
        path = f"/proc/self/fd/{file}"
        return path, {"text": self.text.replace("main/cert.pem", path), "pass_fds": (file,)}

    def test_a_mounted_file_that_is_replaced_out_of_sight_is_reported_once_with_what_to_do(self):
        path, options = self.mounted()
        postern = self.postern(**options)
        mark = postern.mark()
        pki.write(self.path("main/cert.pem"), self.new().pem)
        line = postern.wait("file replaced out of sight", timeout=WITHIN)
        self.assertIn(path, line["message"])
        self.assertIn("mount its folder", line["message"])
        self.assertRaises(AssertionError, postern.wait, "reload done", since=mark, timeout=3)
        self.assertEqual(postern.reload().name, "reload done")
        self.assertEqual(len(postern.all("file replaced out of sight")), 1)

    def test_a_signal_reports_it_without_watching(self):
        path, options = self.mounted()
        options["text"] = options["text"].replace("reload = watch", "reload = signal")
        postern = self.postern(**options)
        pki.write(self.path("main/cert.pem"), self.new().pem)
        self.assertEqual(postern.reload().name, "reload done")
        self.assertIn(path, postern.wait("file replaced out of sight").raw)

    def test_one_that_was_replaced_before_the_start_is_reported_then(self):
        """As in a container in which Postern ended and was started again."""
        private = private_mounts()
        if private is None:
            self.skipTest("nothing can be mounted here")
        pki.write(self.path("renewed.pem"), self.new().pem)
        pki.write(self.path("mounted.pem"), "")
        wrapper = (*private, "sh", "-c",
                   'mount --bind "$1" "$2" && mv "$3" "$1" && shift 3 && exec "$@"', "sh",
                   self.path("main/cert.pem"), self.path("mounted.pem"), self.path("renewed.pem"),
                   os.path.abspath(PROGRAM))
        postern = self.postern(text=self.text.replace("main/cert.pem", "mounted.pem"),
                               wrapper=wrapper)
        self.assertIn("mounted.pem was replaced or removed",
                      postern.wait("file replaced out of sight")["message"])
        self.assertEqual(postern.reload().name, "reload done")
        self.assertEqual(len(postern.all("file replaced out of sight")), 1)

    def test_without_watch_nothing_is_noticed(self):
        postern = self.postern(text=self.text.replace("reload = watch", "reload = signal"))
        self.new().write(self.path("main"))
        self.assertRaises(AssertionError, postern.wait, "reload done", timeout=3)


if __name__ == "__main__":
    main()
