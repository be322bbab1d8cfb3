"""What each certificate of a path must fulfil by itself and in its place: purposes, usage, path
lengths, dates, versions, extensions, keys, signatures, encodings, revocation."""

import datetime
import functools

# Before the next two: it says where they are.
from cases import ACCEPT, EARLY, EXPIRED, REFUSE, Group, another_key, ca, leaf, root
import chains
import pki
from chains import (ANY, CLIENT, CODE, SERVER, SIGN_CERTIFICATES, SIGN_LISTS, SIGNATURE,
                    Node, basic, purposes, usage)
from pki import DAY, NOW, bits, extension, integer, oid, seq, tlv

EMAIL, OCSP = "1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.9"
PLACES = ("client", "issuer", "middle", "anchor")


def chain_with(place, **options):
    """A client below three CAs, one of the four with these options: (sent, trusted)."""
    top = Node("Top", ca=True, **(options if place == "anchor" else {}))
    middle = ca("Mid", top, **(options if place == "middle" else {}))
    issuer = ca("Low", middle, **(options if place == "issuer" else {}))
    own = leaf(issuer, **(options if place == "client" else {}))
    return [own, issuer, middle], [top]


def add(group, what, place, expected, why, now=NOW, **options):
    """A CA that is never good is not an anchor at all: where it is the only one, nothing loads."""
    sent, trusted = chain_with(place, **options)
    words = {expected} if isinstance(expected, str) else set(expected)
    if place == "anchor" and not words <= {ACCEPT, "expired", "not_yet_valid", "path_length"}:
        expected = "load"
    group.add(f"{what} {place}", expected, why, sent, trusted, now=now)


# --- what it is for ---

def extended_usage(group):
    kinds = {
        "none": (None, True), "client": ([CLIENT], True), "any": ([ANY], True),
        "client and server": ([CLIENT, SERVER], True), "server and any": ([SERVER, ANY], True),
        "server": ([SERVER], False), "code": ([CODE], False), "email": ([EMAIL], False),
        "ocsp": ([OCSP], False), "all but client": ([SERVER, CODE, EMAIL, OCSP], False),
    }
    for what, (listed, good) in kinds.items():
        for place in PLACES:
            for critical in (False, True) if listed else (False,):
                value = (purposes(*listed), critical) if listed else None
                add(group, f"{what}{' critical' if critical else ''}", place,
                    ACCEPT if good else "wrong_usage", "RFC 5280 4.2.1.12", purposes=value)
    for place in PLACES:
        add(group, "empty list", place, "bad_encoding", "RFC 5280 4.2.1.12: SIZE (1..MAX)",
            purposes=seq())
        add(group, "no list", place, "bad_encoding", "RFC 5280 4.2.1.12", purposes=oid(CLIENT))
        add(group, "no purpose", place, "bad_encoding", "RFC 5280 4.2.1.12",
            purposes=seq(tlv(pki.UTF8, b"x")))


def key_usage(group):
    nine = bits(b"\x80\x80", 7)  # digitalSignature and decipherOnly
    of_client = {
        "none": (None, True), "digitalSignature": (usage(SIGNATURE), True),
        "and keyEncipherment": (usage(SIGNATURE, 2), True), "and nine bits": (nine, True),
        "and nonRepudiation": (usage(SIGNATURE, 1), True),
        "keyEncipherment": (usage(2), False), "keyAgreement": (usage(4), False),
        "nonRepudiation": (usage(1), False), "dataEncipherment": (usage(3), False),
        "cRLSign": (usage(SIGN_LISTS), False), "no bit": (usage(), False),
    }
    for what, (value, good) in of_client.items():
        for critical in (False, True) if value else (False,):
            add(group, f"{what}{' critical' if critical else ''}", "client",
                ACCEPT if good else "wrong_usage",
                "RFC 8446 4.4.2.2: digitalSignature, if there is keyUsage",
                usage=value and (value, critical))
    for what, value in {"certificates": usage(SIGNATURE, SIGN_CERTIFICATES),
                        "both": usage(SIGNATURE, SIGN_CERTIFICATES, SIGN_LISTS)}.items():
        add(group, f"may sign {what} without being a CA", "client", "wrong_usage",
            "RFC 5280 4.2.1.9: keyCertSign must not be set then", usage=(value, True))
        add(group, f"a CA that may sign {what}", "client", ACCEPT, "RFC 5280 6.1.5",
            usage=(value, True), basic=(basic(), True))
    of_ca = {
        "none": (None, True), "keyCertSign": (usage(SIGN_CERTIFICATES), True),
        "with cRLSign": (usage(SIGN_CERTIFICATES, SIGN_LISTS), True),
        "all": (usage(*range(8)), True), "cRLSign": (usage(SIGN_LISTS), False),
        "digitalSignature": (usage(SIGNATURE), False), "no bit": (usage(), False),
        "all but keyCertSign": (usage(0, 1, 2, 3, 4, 6, 7), False),
    }
    for what, (value, good) in of_ca.items():
        for place in PLACES[1:]:
            for critical in (False, True) if value else (False,):
                add(group, f"{what}{' critical' if critical else ''}", place,
                    ACCEPT if good else "wrong_usage", "RFC 5280 6.1.4 (n)",
                    usage=value and (value, critical))
    for place in PLACES:
        add(group, "no bit string", place, "bad_encoding", "RFC 5280 4.2.1.3", usage=integer(4))


def authority(group):
    unread = ("bad_encoding", "unknown_ca")
    forms = {
        "CA": (basic(), ACCEPT), "CA not critical": (basic(), ACCEPT), "none": (None, "unknown_ca"),
        "FALSE": (basic(False), "unknown_ca"), "empty": (seq(), "unknown_ca"),
        "FALSE written out": (seq(b"\x01\x01\x00"), "unknown_ca"),
        "TRUE as 1": (seq(b"\x01\x01\x01"), unread),
        "two numbers": (seq(b"\x01\x01\xff", integer(1), integer(1)), unread),
        "not a sequence": (b"\x01\x01\xff", unread),
        "text for a number": (seq(b"\x01\x01\xff", tlv(pki.UTF8, b"1")), unread),
    }
    for what, (value, expected) in forms.items():
        for place in PLACES[1:]:
            add(group, what, place, expected, "RFC 5280 4.2.1.9, 6.1.4 (k)",
                basic=value and (value, "not critical" not in what))
    for what, value in {"CA": basic(), "no CA": basic(False), "none": None,
                        "length": basic(False, 0), "CA and length": basic(True, 0)}.items():
        add(group, what, "client", ACCEPT, "RFC 5280 6.1.5: the last certificate may be any",
            basic=value and (value, True), usage=None)


def path_length(group):
    """Every length at every place of paths of one to five CAs."""
    for count in range(1, 6):
        for at in range(count + 1):  # 0: the CA that issued the client; count: the anchor
            for length in (None, 0, 1, 2, 3, 4, 127, 128):
                issuer, sent = None, []
                for place in range(count, -1, -1):
                    limit = length if place == at else None
                    issuer = Node(f"Level {place}", issuer, ca=True,
                                  basic=(basic(length=limit), True))
                    sent.insert(0, issuer)
                good = length is None or at <= length
                group.add(f"{count} CAs {length} at {at}", ACCEPT if good else "path_length",
                          "RFC 5280 6.1.4 (l), (m)", [leaf(sent[0]), *sent[:-1]], [sent[-1]])
    for exponent in (7, 8, 15, 16, 31, 32, 63, 64, 128):
        for length in ((1 << exponent) - 1, 1 << exponent):
            add(group, f"large {length}", "middle", ACCEPT, "RFC 5280 4.2.1.9: (0..MAX)",
                basic=(basic(length=length), True))
    for what, number in {"negative": b"\xff", "leading zero": b"\x00\x01",
                         "no octets": b""}.items():
        for place in PLACES[1:]:
            add(group, what, place, "bad_encoding", "RFC 5280 4.2.1.9: (0..MAX); X.690 8.3.2",
                basic=(seq(b"\x01\x01\xff", tlv(2, number)), True))
    for length in range(4):
        top = ca("Rolling", basic=(basic(length=length), True))
        first = ca("Rolling", top, key=another_key(1), basic=(basic(length=length), True))
        second = ca("Rolling", first, key=another_key(2), basic=(basic(length=length), True))
        below = ca("Below", second)
        group.add(f"self-issued do not count {length}", ACCEPT, "RFC 5280 6.1.4 (l)",
                  [leaf(second), second, first, top])
        group.add(f"one below self-issued {length}", ACCEPT if length > 0 else "path_length",
                  "RFC 5280 6.1.4 (l)", [leaf(below), below, second, first, top])


# --- when, and of which version ---

def dates(group):
    why = "RFC 5280 6.1.3 (a)(2)"
    for place in PLACES:
        add(group, "expired", place, "expired", why, **EXPIRED)
        add(group, "not yet valid", place, "not_yet_valid", why, **EARLY)
        add(group, "ends before it begins", place, ("expired", "not_yet_valid"), why,
            start=NOW + DAY, end=NOW - DAY)
        for what, moment, expected in (("first", NOW, ACCEPT),
                                       ("before", NOW - datetime.timedelta(seconds=1),
                                        "not_yet_valid")):
            add(group, f"{what} second", place, expected, why, now=moment, start=NOW)
        end = NOW + 30 * DAY
        for what, moment, expected in (("last", end, ACCEPT),
                                       ("after", end + datetime.timedelta(seconds=1), "expired")):
            add(group, f"{what} second of it", place, expected, why, now=moment, end=end)
        for what, text, tag, expected in (
                ("GeneralizedTime before 2050", "%Y%m%d%H%M%SZ", 0x18, ACCEPT),
                ("no seconds", "%y%m%d%H%MZ", 0x17, "bad_encoding"),
                ("no zone", "%y%m%d%H%M%S", 0x17, "bad_encoding"),
                ("another zone", "%y%m%d%H%M%S+0000", 0x17, "bad_encoding"),
                ("fractions", "%Y%m%d%H%M%S.5Z", 0x18, "bad_encoding"),
                ("no digits", "%y%m%d%H%MxxZ", 0x17, "bad_encoding"),
                ("text", "%y%m%d%H%M%SZ", pki.UTF8, "bad_encoding")):
            add(group, what, place, readable(place, expected), "RFC 5280 4.1.2.5",
                times=lambda moment, text=text, tag=tag: tlv(tag, moment.strftime(text).encode()))
        for year in (2049, 2050, 9999):
            last = datetime.datetime(year, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)
            add(group, f"until {year}", place, ACCEPT, "RFC 5280 4.1.2.5", end=last)


def readable(place, expected):
    """A CA that a client sends and that cannot be read at all is not there."""
    return "unknown_ca" if expected == "bad_encoding" and place in PLACES[1:3] else expected


def versions(group):
    why = "RFC 5280 6.1.4 (k); postern.conf(5), client_x509_v1 = refuse"
    for place in PLACES:
        add(group, "version 1", place, "v1_certificate", why, version=1)
        add(group, "version 2", place, "v1_certificate", why, version=2)
    add(group, "version 3 without extensions", "client", ACCEPT, "RFC 5280 6.1.5", ski=None,
        aki=None, usage=None)
    serials = {
        "1 octet": (b"\x01", ACCEPT), "8 octets": (b"\x7f" * 8, ACCEPT),
        "20 octets": (b"\x7f" * 20, ACCEPT), "20 octets and a zero": (b"\x00" + b"\xff" * 20,
                                                                     ACCEPT),
        "21 octets": (b"\x7f" * 21, "bad_encoding"), "33 octets": (b"\x7f" * 33, "bad_encoding"),
        "zero": (b"\x00", "bad_encoding"),
    }
    for what, (content, expected) in serials.items():
        for place in PLACES:
            if what == "zero" and place != "client":
                expected = ACCEPT
            add(group, f"serial {what}", place, expected,
                "RFC 5280 4.1.2.2; zero: postern.conf(5), bad_encoding", serial=tlv(2, content))


# --- extensions ---

def extensions(group):
    unknown = "1.2.3.4"
    for place in PLACES:
        for what, value in {"NULL": b"\x05\x00", "nothing": b"", "junk": b"\xff" * 40}.items():
            add(group, f"unknown {what}", place, ACCEPT, "RFC 5280 4.2",
                extra=(extension(unknown, value),))
            add(group, f"unknown critical {what}", place, "critical_extension",
                "RFC 5280 4.2, 6.1.4 (o), 6.1.5 (f)", extra=(extension(unknown, value, True),))
        for what, dotted, value in (
                ("issuerAltName", "2.5.29.18", chains.names("a.example")),
                ("CRL distribution points", "2.5.29.31", seq()),
                ("authority information access", "1.3.6.1.5.5.7.1.1", seq()),
                ("subject directory attributes", "2.5.29.9", seq())):
            add(group, f"{what} critical", place, "critical_extension",
                "RFC 5280 4.2: it is not processed", extra=(extension(dotted, value, True),))
        for what, dotted, value in (("basicConstraints", chains.BASIC, basic()),
                                    ("keyUsage", chains.KEY_USAGE, usage(SIGNATURE)),
                                    ("subjectKeyIdentifier", chains.SKI, tlv(4, b"1"))):
            twice = {"basic": basic()} if what == "basicConstraints" and place == "client" else {}
            add(group, f"{what} twice", place, "bad_encoding", "RFC 5280 4.2: not more than one",
                extra=(extension(dotted, value),), **twice)
        add(group, "policies critical", place, ACCEPT, "RFC 5280 6.1.1 (c): any policy will do",
            extra=(extension(chains.POLICIES, seq(seq(oid(unknown))), True),))
        add(group, "an explicit policy is asked for", place, "critical_extension",
            "RFC 5280 6.1.5 (g): there is no policy to be found",
            extra=(extension(chains.POLICY_CONSTRAINTS, seq(tlv(0x80, b"\x00")), True),))
        add(group, "names that cannot be read", place, "bad_encoding", "RFC 5280 4.2.1.6",
            names=b"a.example")
        add(group, "names with junk after them", place, "bad_encoding", "RFC 5280 4.2.1.6",
            names=chains.names("a.example") + b"\x00")
    add(group, "names constrained by a client", "client", "bad_encoding",
        "RFC 5280 4.2.1.10: only in a CA's", constraints=chains.constraints([chains.dns("a.b")]))


# --- keys and signatures ---

def keys(group):
    strong = ("ecdsa", "ecdsa384", "ecdsa521", "ed25519", "rsa", "rsa3072", "rsa4096", "rsa8192")
    for kind in strong:
        for place in PLACES:
            add(group, kind, place, ACCEPT, "postern.conf(5), key_type and weak_key", kind=kind,
                key=pki.key(kind, "strong"))
    for kind, reason in {"rsa1024": "weak_key", "ed448": "key_type", "secp256k1": "key_type",
                         "rsa_exponent": "too_large"}.items():
        for place in PLACES:
            add(group, kind, place, reason, f"postern.conf(5), {reason}", kind=kind,
                key=pki.key(kind, "weak"))


def signatures(group):
    signer = Node("RSA root", ca=True, kind="rsa")
    for digest, good in {"sha256": True, "sha384": True, "sha512": True, "sha224": False,
                         "sha1": False, "md5": False}.items():
        why = "postern.conf(5), weak_signature; RFC 8446 4.2.3"
        expected = ACCEPT if good else "weak_signature"
        group.add(f"RSA {digest}", expected, why, [leaf(signer, digest=digest)], [signer])
        if digest == "md5":
            continue
        for place in PLACES[:3]:
            add(group, f"ECDSA {digest}", place, expected, why, digest=digest)
        group.add(f"ECDSA {digest} anchor", ACCEPT, "RFC 5280 6.1.1 (d): nobody checks it",
                  [leaf(top := Node("Top", ca=True, digest=digest))], [top])
    for digest in ("sha256", "sha384", "sha512"):
        for salt in (0, 20, 32, 64):
            group.add(f"RSA-PSS {digest} {salt}", ACCEPT, "RFC 4055 3.1",
                      [leaf(signer, digest=digest, padding=salt)], [signer])
    why = "RFC 5280 6.1.3 (a)(1)"
    for place in PLACES[:3]:
        add(group, "damaged", place, "unknown_ca", why, damage=True)
        add(group, "by another key", place, "unknown_ca", why, signer=another_key())
        add(group, "by a key of another type", place, REFUSE, why, signer=pki.key("rsa", "other"))
        add(group, "two algorithms", place, "bad_encoding", "RFC 5280 4.1.1.2",
            inner=chains.algorithm(another_key(), "sha512"))


def encodings(group):
    """The bytes around what is signed."""
    one = ca()
    good = leaf(one)
    _, content, _ = pki.parse(good.der)
    _, body, rest = pki.parse(content)
    _, scheme, rest = pki.parse(rest)
    _, made, _ = pki.parse(rest)
    wrong = {
        "one byte more": good.der + b"\x00",
        "one byte less": good.der[:-1],
        "a long length": b"\x30\x83" + len(content).to_bytes(3, "big") + content,
        "an indefinite length": b"\x30\x80" + content + b"\x00\x00",
        "a fourth part": seq(content, b"\x05\x00"),
        "no signature": seq(seq(body), seq(scheme)),
        "an empty signature": seq(seq(body), seq(scheme), tlv(3, b"\x00")),
        "a signature without its count": seq(seq(body), seq(scheme), tlv(3, b"")),
        "unused bits": seq(seq(body), seq(scheme), tlv(3, b"\x01", made[1:])),
        "the key alone": good.key.public,
        "text": b"certificate",
    }
    for what, der in wrong.items():
        expected = "unknown_ca" if what == "an empty signature" else "bad_encoding"
        group.add(f"client with {what}", expected, "RFC 5280 4.1; X.690 10.1",
                  [Bytes(der), one])
        group.add(f"another certificate with {what}", ACCEPT, "RFC 8446 4.4.2: extra certificates",
                  [good, Bytes(der), one])


class Bytes:
    """Stands for a certificate."""

    def __init__(self, der):
        self.der = der


# --- revocation ---

def revocation(group):
    why = "RFC 5280 6.3.3"
    one, two = ca(), ca("Two", serial=integer(901))
    no_lists = ca("No lists", usage=(usage(SIGN_CERTIFICATES), True))
    lists = [chains.crl(root(), [900, 901]), chains.crl(one, [902])]
    serials = {n: {"serial": integer(n)} for n in (900, 902)}

    def put(what, expected, sent, crls, reason=why):
        group.add(what, expected, reason, sent, crls=crls)
    put("not listed", ACCEPT, [leaf(root())], lists)
    put("listed", "revoked", [leaf(root(), **serials[900])], lists)
    put("not listed below a CA", ACCEPT, [leaf(one), one], lists)
    put("listed below a CA", "revoked", [leaf(one, **serials[902]), one], lists)
    put("listed by another CA", ACCEPT, [leaf(one, **serials[900]), one], lists)
    put("below a revoked CA", "revoked", [leaf(two), two], [*lists, chains.crl(two)])
    put("no list of the CA", "no_crl", [leaf(one), one], lists[:1])
    put("no list of the root", ("no_crl", "load"), [leaf(one), one], lists[1:])
    put("an old list", "no_crl", [leaf(one), one],
        [lists[0], chains.crl(one, start=NOW - 60 * DAY, end=NOW - DAY)],
        "postern.conf(5), crl_expired = refuse")
    put("an old and a new list", ACCEPT, [leaf(one), one],
        [lists[0], chains.crl(one, start=NOW - 60 * DAY, end=NOW - DAY), chains.crl(one)])
    put("a CA that may not sign lists", "no_crl", [leaf(no_lists), no_lists],
        [*lists, chains.crl(no_lists)], "RFC 5280 6.3.3 (f)")
    put("a namesake's list", "no_crl", [leaf(one), one],
        [lists[0], chains.crl(ca(key=another_key(6)))])
    put("a namesake's list that revokes", ACCEPT, [leaf(one, serial=integer(903)), one],
        [*lists, chains.crl(ca(key=another_key(6)), [903])])
    put("a list with an unknown critical extension", "load", [leaf(root())],
        [chains.crl(root(), extra=(extension("1.2.3.4", b"\x05\x00", True),))], "RFC 5280 5.2")
    put("an RSA-PSS list", ACCEPT, [leaf(signed := ca("RSA sub", kind="rsa")), signed],
        [*lists, chains.crl(signed, padding=32)], "RFC 4055 3.1")
    for count in range(2, 6):
        issuers, signer = [], None
        for number in range(count):
            signer = ca(f"CA {number}", signer)
            issuers.insert(0, signer)
        every = [chains.crl(root()), *map(chains.crl, issuers)]
        put(f"{count} CAs with lists", ACCEPT, [leaf(issuers[0]), *issuers], every)
        for missing in range(1, count + 1):
            put(f"{count} CAs without list {missing}", "no_crl", [leaf(issuers[0]), *issuers],
                every[:missing] + every[missing + 1:])


@functools.lru_cache(maxsize=None)
def groups():
    made = []
    for name, fill in {"extended-usage": extended_usage, "key-usage": key_usage,
                       "basic-constraints": authority, "path-length": path_length, "dates": dates,
                       "versions": versions, "extensions": extensions, "keys": keys,
                       "signatures": signatures, "encodings": encodings,
                       "revocation": revocation}.items():
        group = Group(name)
        fill(group)
        made.append(group)
    return made
