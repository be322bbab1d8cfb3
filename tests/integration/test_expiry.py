"""Certificates, CAs and revocation lists that end soon are warned of, before they end."""

import datetime
import os
import socket
import unittest

from brokers import echo
from harness import SANITIZED, Case, main, pki, run_program

DAY = pki.DAY
CLOCK = os.environ.get("CLOCK_LIBRARY")


def served(lived, left, issuer=None):
    """A server certificate that has been valid for `lived` and ends after `left`."""
    return (issuer or pki.authority()).issue(start=pki.NOW - lived, end=pki.NOW + left)


def iso(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Expiry(Case):
    def broker(self):
        return self.fake_broker(echo)

    def test_a_certificate_with_less_than_a_third_left_is_warned_of_at_the_start(self):
        left = 2 * DAY - datetime.timedelta(hours=1)
        postern = self.postern(self.broker(), certificate=served(4 * DAY, left))
        [line] = postern.all("expires")
        self.assertEqual(dict(line), {
            "listener": "mqtt", "kind": "certificate", "subject": "CN=localhost",
            "file": line["file"], "end": iso(pki.NOW + left), "days": "1"})
        self.assertTrue(line["file"].endswith("main/cert.pem"), line.raw)

    def test_one_with_more_than_a_third_left_is_not(self):
        postern = self.postern(self.broker(), certificate=served(3 * DAY, 3 * DAY))
        self.assertEqual(postern.all("expires"), [])

    def test_intermediates_client_cas_and_their_lists_are_warned_of(self):
        lower = pki.Authority("Lower", parent=pki.authority(), start=pki.NOW - 80 * DAY,
                              end=pki.NOW + 10 * DAY)
        devices = pki.Authority("Old Devices", start=pki.NOW - 3600 * DAY, end=pki.NOW + 20 * DAY)
        self.write("ca.pem", devices.pem + pki.authority("Device CA").pem)
        self.write("crl.pem", devices.crl(start=pki.NOW - 6 * DAY, end=pki.NOW + 1 * DAY)
                   + pki.authority("Device CA").crl())
        postern = self.postern(
            self.broker(), certificate=served(1 * DAY, 90 * DAY, lower),
            listener={"client_auth": "optional", "client_ca": "ca.pem", "client_crl": "crl.pem"})
        found = {(e["kind"], e["subject"], os.path.basename(e["file"]))
                 for e in postern.all("expires")}
        self.assertEqual(found, {("certificate", "CN=Lower", "chain.pem"),
                                 ("ca", "CN=Old Devices", "ca.pem"),
                                 ("crl", "CN=Old Devices", "crl.pem")})

    def test_what_has_ended_is_warned_of_once_and_not_as_ending(self):
        postern = self.postern(self.broker(), certificate=served(9 * DAY, -1 * DAY))
        [expired] = postern.all("certificate expired")
        self.assertIn(": clients refuse it; renew it, or set the clock", expired["message"])
        self.assertEqual(postern.all("expires"), [])

    def test_each_reload_warns_again_until_it_is_renewed(self):
        postern = self.postern(self.broker(), certificate=served(5 * DAY, 1 * DAY))
        self.assertEqual(len(postern.all("expires")), 1)
        self.assertEqual(postern.reload().name, "reload done")
        self.assertEqual(len(postern.all("expires")), 2)
        pki.server().write(self.path("main"))
        self.assertEqual(postern.reload().name, "reload done")
        self.assertEqual(len(postern.all("expires")), 2)

    def test_the_check_warns_of_what_expires_soon(self):
        text = self.config("127.0.0.1:1883", certificate=served(5 * DAY, 1 * DAY))
        done = run_program("--check", "-c", self.write("postern.conf", text))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"expires listener=mqtt kind=certificate .*main/cert\.pem")


class Status(Case):
    def setUp(self):
        super().setUp()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.bind(self.path("notify"))
        self.notify.settimeout(60)

    def next_status(self):
        while True:
            for line in self.notify.recv(4096).decode().splitlines():
                if line.startswith("STATUS="):
                    return line.removeprefix("STATUS=")

    def start_with(self, certificate, **more):
        return self.postern(self.fake_broker(echo), certificate=certificate, main={"reload": "watch"},
                            env={**os.environ, "NOTIFY_SOCKET": self.path("notify"), **more})

    def test_the_service_manager_is_notified_of_what_ends_first(self):
        postern = self.start_with(served(5 * DAY, 1 * DAY))
        end = (pki.NOW + 1 * DAY).strftime("%Y-%m-%d")
        says = rf'; certificate "CN=localhost" in .*main/cert\.pem expires on {end}$'
        self.assertRegex(self.next_status(), "^Serving" + says)
        self.write("postern.conf", "garbage\n")
        self.assertEqual(postern.reload().name, "reload refused")
        self.assertRegex(self.next_status(), "^The last reload was refused; .*" + says)

    def test_nothing_is_added_while_nothing_ends(self):
        self.start_with(pki.server())
        self.assertEqual(self.next_status(), "Serving")

    @unittest.skipIf(SANITIZED, "sanitizers want to be loaded first")
    @unittest.skipUnless(CLOCK, "built without the library that moves the clock")
    def test_a_running_server_warns_every_day(self):
        hours = datetime.timedelta(hours=1)
        postern = self.start_with(served(36 * hours, 30 * hours), LD_PRELOAD=CLOCK,
                                  POSTERN_CLOCK=self.path("tomorrow"))
        self.assertEqual(postern.all("expires"), [])
        self.assertEqual(self.next_status(), "Serving")
        self.write("tomorrow", "")
        self.assertEqual(postern.wait("expires")["days"], "0")
        self.assertIn("; certificate", self.next_status())

    @unittest.skipIf(SANITIZED, "sanitizers want to be loaded first")
    @unittest.skipUnless(CLOCK, "built without the library that moves the clock")
    def test_what_ends_while_it_runs_is_said_to_have_expired(self):
        hours = datetime.timedelta(hours=1)
        postern = self.start_with(served(5 * DAY, 3 * hours), LD_PRELOAD=CLOCK,
                                  POSTERN_CLOCK=self.path("tomorrow"))
        self.assertNotIn("expired", postern.wait("expires"))
        self.write("tomorrow", "")
        postern.wait("expires", expired="yes")


if __name__ == "__main__":
    main()
