"""Resumption: by ticket and by session ID, over workers, reloads and instances."""

import os
import ssl

from brokers import echo
from clients import tls_context
from harness import Case, main, pki, usual_group

WAYS = ("1.2 ticket", "1.3 ticket", "1.2 session ID")


class Visits(Case):
    def context(self, way):
        context = tls_context(pki.authority().pem, way[:3])
        if way.endswith("ID"):
            context.options |= ssl.OP_NO_TICKET
        return context

    def visit(self, postern, context, session=None, **options):
        """One short session: (whether it was resumed, the session for the next)."""
        client = self.client(postern, context=context, session=session, **options)
        client.send(b"hello")
        self.assertEqual(client.recv_exactly(5), b"hello")
        reused, kept = client.tls.session_reused, client.tls.session
        client.close()
        event = postern.end_of(client)
        self.assertEqual(event["resumed"], "yes" if reused else "no")
        self.assertEqual(event["reason"], "client_closed")
        # TLS 1.2 resumes without a key exchange.
        self.assertEqual(event["group"], "-" if reused and event["tls"] == "1.2"
                         else usual_group(event["tls"]))
        return reused, kept


class Resumption(Visits):
    def test_every_kind_of_resumption_works_over_all_workers(self):
        postern = self.postern(self.fake_broker(echo), main={"workers": "4"})
        for way in WAYS:
            with self.subTest(way=way):
                context = self.context(way)
                reused, session = self.visit(postern, context)
                self.assertFalse(reused)
                for _ in range(20):
                    reused, session = self.visit(postern, context, session)
                    self.assertTrue(reused)

    def test_resumption_works_after_reloads(self):
        postern = self.postern(self.fake_broker(echo))
        for way in WAYS:
            with self.subTest(way=way):
                context = self.context(way)
                session = self.visit(postern, context)[1]
                for _ in range(3):
                    pki.authority().issue().write(self.path("main"))
                    self.assertEqual(postern.reload().name, "reload done")
                    reused, session = self.visit(postern, context, session)
                    self.assertTrue(reused)

    def test_a_device_may_come_back_any_number_of_times(self):
        """The library's own count of tickets ends at 255; a device must not notice."""
        postern = self.postern(self.fake_broker(echo))
        for way in WAYS:
            with self.subTest(way=way):
                context, session, full = self.context(way), None, 0
                for _ in range(300):
                    reused, session = self.visit(postern, context, session)
                    full += not reused
                self.assertLessEqual(full, 2)

    def test_another_server_name_is_another_session(self):
        more = "".join(self.certificate_section(n, pki.authority().issue(n, names=[n]))
                       for n in ("a.example", "b.example"))
        postern = self.postern(self.fake_broker(echo), more=more,
                               listener={"certificates": "a.example, b.example"})
        for way in WAYS:
            context = self.context(way)
            session = self.visit(postern, context, server_name="a.example")[1]
            self.assertTrue(self.visit(postern, context, session, server_name="a.example")[0])
            self.assertFalse(self.visit(postern, context, session, server_name="b.example")[0])

    def test_another_instance_does_not_resume_it(self):
        first, second = (self.postern(self.fake_broker(echo)) for _ in range(2))
        for way in WAYS:
            context = self.context(way)
            session = self.visit(first, context)[1]
            self.assertFalse(self.visit(second, context, session)[0])


class SharedKeys(Visits):
    TICKETS = WAYS[:2]

    def keys(self, *keys):
        self.write("ticket.keys", "".join(f"{key}\n" for key in keys))

    def instance(self):
        return self.postern(self.fake_broker(echo), main={"ticket_keys": "ticket.keys"})

    def test_instances_that_share_keys_share_tickets(self):
        self.keys(os.urandom(32).hex())
        first, second = self.instance(), self.instance()
        for way in self.TICKETS:
            context = self.context(way)
            session = self.visit(first, context)[1]
            for postern in (second, first, second):
                reused, session = self.visit(postern, context, session)
                self.assertTrue(reused)

    def test_a_key_further_down_the_file_still_decrypts_and_a_removed_one_does_not(self):
        old, new = os.urandom(32).hex(), os.urandom(32).hex()
        self.keys(old)
        postern = self.instance()
        held = [(c, self.visit(postern, c)[1]) for c in map(self.context, self.TICKETS)]
        self.keys(new, old)
        self.assertEqual(postern.reload().name, "reload done")
        for context, session in held:
            self.assertTrue(self.visit(postern, context, session)[0])
        self.keys(new)
        self.assertEqual(postern.reload().name, "reload done")
        for context, session in held:
            self.assertFalse(self.visit(postern, context, session)[0])

    def test_a_reload_with_a_bad_key_file_is_refused(self):
        good = os.urandom(32).hex()
        self.keys(good)
        postern = self.instance()
        context = self.context("1.3 ticket")
        session = self.visit(postern, context)[1]
        for bad in ("", "x" * 64, good[:-1], good + "00"):
            with self.subTest(bad=bad):
                self.keys(bad)
                event = postern.reload()
                self.assertEqual(event.name, "reload refused")
                self.assertIn("ticket.keys", event.raw)
                self.assertNotIn(good[:16], postern.log(), "key material never appears")
        self.assertTrue(self.visit(postern, context, session)[0])


if __name__ == "__main__":
    main()
