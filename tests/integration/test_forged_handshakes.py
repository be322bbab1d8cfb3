"""Clients that present a certificate whose key they do not have: they sign with another key, send
an old signature or none, or change the handshake after it was signed. None reaches the broker."""

import types
import unittest

import handmade_tls
import signing
from brokers import echo
from handmade_tls import (CERTIFICATE_VERIFY, ECDSA_P256, RSA_PSS, Refused, Tls12, Tls13, message,
                          vector)
from harness import Case, main, own_library, pki

CA = pki.authority("Device CA")
ME, VICTIM = (CA.issue(name, usage="client", own_key=pki.key("ecdsa", name))
              for name in ("me", "victim"))


def mine(data):
    """A signature by the key that the client has."""
    return signing.sign(ME.key, data)


# What each sends between the server's messages and its Finished. `old` is a CertificateVerify of an
# earlier, honest handshake.

def honestly(client, _):
    client.say(client.certificate(ME.der))
    client.exchange()
    client.say(client.verify(mine))


def by_another_key(client, _):
    client.say(client.certificate(VICTIM.der))
    client.exchange()
    client.say(client.verify(mine))


def of_another_session(client, old):
    client.say(client.certificate(ME.der))
    client.exchange()
    client.say(old)


def over_less(client, _):
    before = client.to_sign()
    client.say(client.certificate(ME.der))
    client.exchange()
    client.say(client.verify(mine, over=before))


def of_another_scheme(client, _):
    client.say(client.certificate(ME.der))
    client.exchange()
    client.say(client.verify(mine, scheme=RSA_PSS))


def without_a_signature(client, _):
    client.say(client.certificate(ME.der))
    client.exchange()
    client.say(message(CERTIFICATE_VERIFY, ECDSA_P256, vector(2)))


def with_an_empty_message(client, _):
    client.say(client.certificate(ME.der))
    client.exchange()
    client.say(message(CERTIFICATE_VERIFY))


def without_a_message(client, _):
    client.say(client.certificate(VICTIM.der))
    client.exchange()


def before_the_certificate(client, _):
    client.exchange()
    client.say(client.verify(mine))
    client.say(client.certificate(ME.der))


def with_a_certificate_changed_afterwards(client, _):
    client.say(client.certificate(VICTIM.der), heard=client.certificate(ME.der))
    client.exchange()
    client.say(client.verify(mine))


def with_two_certificates(client, _):
    client.say(client.certificate(ME.der))
    client.say(client.certificate(VICTIM.der))
    client.exchange()
    client.say(client.verify(mine))


def with_a_second_certificate_afterwards(client, old):
    honestly(client, old)
    client.say(client.certificate(VICTIM.der))


def with_the_victim_second_in_the_list(client, _):
    client.say(client.certificate(VICTIM.der, ME.der))
    client.exchange()
    client.say(client.verify(mine))


def with_the_exchange_of_another_session(client, _):
    client.say(client.certificate(ME.der))
    client.exchange(client.new_share())
    client.say(client.verify(mine))


def as_the_server_signs(client, _):
    client.say(client.certificate(ME.der))
    client.say(client.verify(mine, over=client.to_sign(role=b"server")))


UNEXPECTED, BAD_RECORD, BAD_CERTIFICATE, DECODE, DECRYPT = 10, 20, 42, 50, 51

# The alert of each, by TLS 1.2 and 1.3; the reason in the log is protocol_error. None: that version
# does not have it. Where the alert is the library's, it need not be the one that fits best.
FORGERIES = {
    by_another_key: (DECRYPT, DECRYPT),
    of_another_session: (DECRYPT, DECRYPT),
    over_less: (DECRYPT, DECRYPT),
    of_another_scheme: (BAD_CERTIFICATE, DECRYPT),
    without_a_signature: (DECRYPT, DECRYPT),
    with_an_empty_message: (DECODE, DECRYPT),
    without_a_message: (UNEXPECTED, UNEXPECTED),
    before_the_certificate: (UNEXPECTED, UNEXPECTED),
    with_a_certificate_changed_afterwards: (DECRYPT, DECRYPT),
    with_two_certificates: (UNEXPECTED, UNEXPECTED),
    with_a_second_certificate_afterwards: (UNEXPECTED, UNEXPECTED),
    with_the_victim_second_in_the_list: (DECRYPT, DECRYPT),
    with_the_exchange_of_another_session: (BAD_RECORD, None),
    as_the_server_signs: (None, DECRYPT),
}


@unittest.skipUnless(handmade_tls.AVAILABLE, "needs Python's cryptography")
class ForgedHandshakes(Case):
    def setUp(self):
        super().setUp()
        self.broker = self.fake_broker(echo)
        self.write("ca.pem", CA.pem)
        self.postern_ = self.postern(self.broker, listener={"client_auth": "required",
                                                            "client_ca": "ca.pem"})

    def come(self, kind):
        since = self.postern_.mark()
        client = kind(self.postern_.address())
        client.since = since
        self.addCleanup(client.cut)
        return client

    def honest(self, kind):
        """The CertificateVerify of a handshake that is as it should be."""
        client, kept = self.come(kind), types.SimpleNamespace()
        plain = client.verify

        def noted(*arguments, **options):
            kept.verify = plain(*arguments, **options)
            return kept.verify
        client.verify = noted
        honestly(client, None)
        self.assertEqual(client.ask(b"hello"), b"hello")
        client.cut()
        self.assertEqual(self.postern_.end_of(client)["identity"], "me")
        return kept.verify

    def is_refused(self, kind, forgery, old, alert):
        client = self.come(kind)
        with self.assertRaises(Refused) as refused:
            forgery(client, old)
            client.ask(b"hello")
        end = self.postern_.end_of(client)
        self.assertEqual(end.name, "handshake failed")
        if own_library():  # the distribution's has fewer alerts
            self.assertEqual((end["reason"], end.get("alert")), ("protocol_error", str(alert)))
            self.assertEqual(refused.exception.alert, alert)

    def none_gets_in(self, at, kind):
        """Of one version alone: a worker writes 20 lines of a reason and an address at once."""
        old = self.honest(kind)
        before = self.broker.connections()
        for forgery, alerts in FORGERIES.items():
            # The distribution's library does not look at the scheme's name: the key is right.
            if alerts[at] is None or (forgery is of_another_scheme and not own_library()):
                continue
            with self.subTest(forgery.__name__):
                self.is_refused(kind, forgery, old, alerts[at])
        self.assertEqual(self.broker.connections(), before, "the broker got no connection")

    def test_no_client_without_the_key_of_its_certificate_gets_in_by_tls_12(self):
        self.none_gets_in(0, Tls12)

    def test_no_client_without_the_key_of_its_certificate_gets_in_by_tls_13(self):
        self.none_gets_in(1, Tls13)


if __name__ == "__main__":
    main()
