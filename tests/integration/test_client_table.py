"""Client certificates and chains of every kind, beside Mosquitto's own listener with the same CAs.

Each row of client_table.py is presented to both, by TLS 1.2 and 1.3. docs/clients.md has the result;
Postern's verdicts must be those on the page. Mosquitto's are compared in the extended tests only
(POSTERN_TEST_ALL=1), as they depend on its version. With POSTERN_WRITE_TABLE=1 the page is
written anew.
"""

import contextlib
import os
import re
import ssl
import textwrap
import types
import unittest

import client_table
from clients import Truncated, TlsClient, mqtt_connect, tls_context
from harness import ALL, SANITIZED, Case, main, own_library, pki

PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "clients.md")
BEGIN = "<!-- written by tests/integration/test_client_table.py -->\n"
END = "<!-- end -->\n"
BOTH = ("1.2", "1.3")
WRITE = os.environ.get("POSTERN_WRITE_TABLE") == "1"
BESIDE = ALL or WRITE


def answer(peer):
    """A broker that lets everybody in."""
    while data := peer.recv():
        if data[0] == 0x10:
            peer.send(b"\x20\x02\x00\x00")


def connack(stream):
    """Whether the broker accepted; raises what TLS raises where the client is refused."""
    stream.send(mqtt_connect("table"))
    return stream.recv_exactly(4) == b"\x20\x02\x00\x00"


def identity(sent):
    return types.SimpleNamespace(pem=sent[0].pem, chain="".join(c.pem for c in sent[1:]),
                                 key_pem=sent[0].key_pem)


def client_context(version, sent):
    return tls_context(None, version, identity(sent), ciphers="DEFAULT:@SECLEVEL=0")


# What OpenSSL 3.5 and later cannot be a client with, since they do not read it.
PERHAPS_UNREADABLE = {("Dates", "without seconds")}


def is_readable(sent):
    with contextlib.suppress(ssl.SSLError):
        return client_context(None, sent) is not None
    return False


@unittest.skipIf(SANITIZED and not ALL, "takes minutes with sanitizers")
@unittest.skipUnless(own_library(), "the distribution's wolfSSL reads fewer certificates")
class ClientTable(Case):
    def trust(self, group):
        self.write("client-ca.pem", "".join(node.pem for node in group.trusted))
        self.write("client.crl", "".join(group.crls))

    def own(self, group):
        listener = {"client_auth": "required", "client_ca": "client-ca.pem", **group.settings}
        if group.crls:
            listener["client_crl"] = "client.crl"
        return self.postern(self.broker, listener=listener)

    def other(self, group):
        pki.server().write(self.path("server"))
        files = {"cafile": "client-ca.pem", "certfile": "server/cert.pem",
                 "keyfile": "server/privkey.pem", **({"crlfile": "client.crl"} if group.crls else {})}
        return self.mosquitto(settings="allow_anonymous true\nrequire_certificate true\n"
                              + group.mosquitto
                              + "".join(f"{key} {self.path(name)}\n" for key, name in files.items()))

    def attempt(self, address, version, sent):
        """A connection that is over, and whether the broker answered."""
        client = TlsClient(address, client_context(version, sent), handshake=False)
        self.addCleanup(client.cut)
        accepted = False
        with contextlib.suppress(ssl.SSLError, OSError, Truncated, AssertionError):
            client.handshake()
            accepted = connack(client)
        client.close()
        return client, accepted

    def verdict(self, postern, sent, version):
        """'accepted', or the reason of the refusal."""
        mark = postern.mark()
        client, accepted = self.attempt(postern.address(), version, sent)

        def closing_lines():
            """Its own, or the count that stands for it where such lines are many."""
            return [e for name in ("session end", "handshake failed")
                    for e in postern.all(name, since=mark, peer=client.peer)] \
                or postern.all("lines suppressed", since=mark, suppressed="1")
        end = self.wait_until(closing_lines, f"a line about {client.peer}")[0]
        self.assertEqual(accepted, end.name == "session end", end.raw)
        return "accepted" if accepted else end["reason"]

    def rows(self, group):
        """(what, Postern's verdict, Mosquitto's or None, why)."""
        self.trust(group)
        postern = self.own(group)
        mosquitto = self.other(group) if BESIDE else None
        for row in group.rows:
            if (group.name, row.what) in PERHAPS_UNREADABLE and not is_readable(row.sent):
                self.left_out = True
                continue
            ours = {self.verdict(postern, row.sent, version) for version in BOTH}
            theirs = {mosquitto and self.attempt(("127.0.0.1", mosquitto.port), version, row.sent)[1]
                      for version in BOTH}
            with self.subTest(group=group.name, row=row.what):
                self.assertEqual((len(ours), len(theirs)), (1, 1), "both versions decide alike")
            word = {True: "accepted", False: "refused", None: None}[theirs.pop()]
            yield row.what, ours.pop(), word, row.why
        postern.stop()
        if mosquitto:
            mosquitto.stop()

    def test_the_page_has_the_verdict_on_every_certificate(self):
        self.broker, self.left_out = self.fake_broker(answer), False
        groups = [make() for make in client_table.GROUPS]
        found = {group.name: list(self.rows(group)) for group in groups}
        with open(PAGE, encoding="utf-8") as file:
            text = file.read()
        if WRITE:
            with open(PAGE, "w", encoding="utf-8") as file:
                file.write(re.sub(f"{BEGIN}.*?{END}", lambda _: page(found), text, flags=re.S))
        if BESIDE:
            self.reasons(found)
        if not WRITE:
            self.compare(found, text)

    def compare(self, found, text):
        if BESIDE and not self.left_out:
            self.assertIn(page(found), text, "POSTERN_WRITE_TABLE=1 writes it; read what changed")
            return
        table = on_page(text)
        for name, rows in found.items():
            for what, ours, _, _ in rows:
                with self.subTest(group=name, row=what):
                    self.assertEqual(table.get((name, what)), ours)

    def reasons(self, found):
        """Where the two differ the reason is written down, and nowhere else."""
        for name, rows in found.items():
            for what, ours, theirs, why in rows:
                with self.subTest(group=name, row=what, postern=ours, mosquitto=theirs):
                    self.assertEqual((ours == "accepted") != (theirs == "accepted"),
                                     why is not None)


def on_page(text):
    """Postern's verdicts on the page: by group and row."""
    part = text[text.index(BEGIN):text.index(END)]
    table = {(name, what): verdict for name, what, verdict in
             re.findall(r"^\| (.*?): (.*?) \| `?(\w+)`? \|", part, re.M)}
    for bullet in re.findall(r"^- \*.*\n(?:  .*\n)*", part, re.M):
        name, rest = re.match(r"- \*(.*?)\.\*(.*)", " ".join(bullet.split())).groups()
        good, _, bad = rest.partition(" Both refuse: ")
        for what in good.removeprefix(" Both accept: ").removesuffix(".").split("; "):
            table[name, what] = "accepted"
        for what, verdict in re.findall(r"(?:^|; )(.*?) \(`(\w+)`\)", bad):
            table[name, what] = verdict
    return table


def wrapped(text):
    return "\n".join(textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False))


def page(found):
    """The two parts as the page has them: what differs, and what does not."""
    differing = [(name, row) for name, rows in found.items() for row in rows
                 if (row[1] == "accepted") != (row[2] == "accepted")]
    count = sum(len(rows) for rows in found.values())
    out = [BEGIN, f"{count} certificates and chains, of which both decide {count - len(differing)} "
           "alike.\n\n", "| what a client presents | Postern | Mosquitto | because |\n",
           "| --- | --- | --- | --- |\n"]
    for name, (what, ours, theirs, why) in differing:
        ours = ours if ours == "accepted" else f"`{ours}`"
        out.append(f"| {name}: {what} | {ours} | {theirs} | {why} |\n")
    out.append("\n")
    for name, rows in found.items():
        alike = [r for r in rows if (r[1] == "accepted") == (r[2] == "accepted")]
        good = "; ".join(what for what, ours, _, _ in alike if ours == "accepted")
        bad = "; ".join(f"{what} (`{ours}`)" for what, ours, _, _ in alike if ours != "accepted")
        text = f"- *{name}.*" + (f" Both accept: {good}." if good else "") \
            + (f" Both refuse: {bad}." if bad else "")
        out.append(wrapped(text).replace("\n", "\n  ") + "\n")
    return "".join(out) + END


if __name__ == "__main__":
    main()
