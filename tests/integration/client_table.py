"""The rows of the table of client certificates (test_client_table.py): what a client presents, to
which listener, and why Postern and Mosquitto decide differently, where they do."""

import dataclasses
import datetime

import chains
import pki
from chains import (ANY, CLIENT, CODE, SERVER, SIGN_CERTIFICATES, SIGN_LISTS, SIGNATURE, Node,
                    authority, basic, common_name, constraints, dns, names, purposes, usage)
from pki import DAY, NOW, extension, oid, seq, tlv

ROOT = "Root"
EXPIRED = {"start": NOW - 60 * DAY, "end": NOW - DAY}
EARLY = {"start": NOW + 30 * DAY}

# Why the two differ. Each is used at least once.
PARTIAL = "a CA in `client_ca` need not be a root"
USAGE = "the key may not sign (RFC 8446 4.4.2.2)"
ANY_PURPOSE = "anyExtendedKeyUsage includes clients"
HINTS = "key identifiers are hints; the signature decides"
BOUND = "at most 16 certificates of one client are looked at"
CHAIN_LISTS = "every CA's list counts, not only that for the client's own certificate"
OLD_LIST = "an expired list still refuses what it lists, and refuses no others, unless "\
           "`crl_expired = refuse`"
SERIAL = "no serial of 0 or above 20 octets"
VERSION_1 = "version 1 cannot say that it is a CA"
FAIL_CLOSED = "a constraint that cannot be applied refuses"
NAMES = "brokers believe common names, so constraints reach them beside alternative names too"
BROKER_NAMES = "a name that an access list could misread"
STRINGS = "UTF8String, PrintableString and IA5String only"
STRENGTH = "a key or exponent beyond what is checked"
WIDE = "nothing that is not needed for the path spoils it"
TYPES = "the key's type is not supported"


@dataclasses.dataclass
class Row:
    what: str
    sent: list
    why: str = None


@dataclasses.dataclass
class Group:
    """Rows for one listener: whom it trusts, its lists, and its other settings."""
    name: str
    trusted: list
    rows: list
    crls: list = ()
    settings: dict = dataclasses.field(default_factory=dict)
    mosquitto: str = ""


def leaf(issuer, **options):
    return Node(issuer=issuer, **options)


def sub(name="Sub", issuer=None, **options):
    return Node(name, issuer or authority(ROOT), ca=True, **options)


def ladder(count):
    """Certificates from the leaf upward, with that many CAs below the root."""
    steps, issuer = [], authority(ROOT)
    for n in range(count):
        issuer = sub(f"Level {n}", issuer)
        steps.insert(0, issuer)
    return [leaf(issuer), *steps]


def order():
    root, one = authority(ROOT), authority("Sub", ROOT)
    end, three, nine = leaf(one), ladder(3), ladder(9)
    outsider = authority("Outsider")
    old, late = sub(**EXPIRED), sub(**EARLY)
    twin = sub(key=pki.key("ecdsa", "twin"), ski=None)
    junk = [Node(f"Junk {n}", ca=True, key=outsider.key) for n in range(16)]
    return Group("Order", [root], [
        Row("issued by the root", [leaf(root)]),
        Row("leaf, CA", [end, one]),
        Row("leaf, CA, root", [end, one, root]),
        Row("leaf, root, CA", [end, root, one]),
        Row("three CAs in order", three),
        Row("three CAs from the top", [three[0], *three[:0:-1]]),
        Row("three CAs and the root, mixed", [three[0], three[2], root, three[1], three[3]]),
        Row("nine CAs in order", nine),
        Row("nine CAs from the top", [nine[0], *nine[:0:-1]]),
        Row("the leaf twice", [end, end, one]),
        Row("the CA twice", [end, one, one]),
        Row("a CA of somebody else among them", [end, outsider, one]),
        Row("an expired CA of somebody else among them",
            [end, Node("Outsider", ca=True, **EXPIRED), one]),
        Row("somebody else's leaf among them", [end, leaf(outsider), one]),
        Row("the CA's expired certificate first", [end, old, one]),
        Row("the CA's expired certificate last", [end, one, old]),
        Row("the CA's next certificate first", [end, late, one]),
        Row("another CA of the same name first", [end, twin, one], WIDE),
        Row("another CA of the same name last", [end, one, twin]),
        Row("the same key as a CA for servers first", [end, sub(purposes=purposes(SERVER)), one],
            WIDE),
        Row("fourteen useless CAs among them", [end, *junk[:14], one]),
        Row("sixteen useless CAs among them", [end, *junk, one], BOUND),
        Row("its CA missing", [end]),
        Row("the middle CA missing", [three[0], three[1], three[3]]),
        Row("only the CA's expired certificate", [end, old]),
        Row("self-signed", [Node()]),
        Row("of a CA that is not trusted", [leaf(outsider), outsider]),
        Row("of a CA that calls itself like the root",
            [leaf(Node(ROOT, ca=True, key=pki.key("ecdsa", "fake")))]),
        Row("of another client", [leaf(end, names=names("x.example")), end, one]),
    ])


def identifiers():
    root, one = authority(ROOT), authority("Sub", ROOT)
    bare = sub("Bare", ski=None, aki=None)
    other = tlv(0x80, b"\x01\x02\x03")
    whole = tlv(0xA1, tlv(0xA4, root.subject))
    right = tlv(0x82, pki.parse(pki.integer(int(pki.serial_of(one.der), 16)))[1])
    same_key, same_id = sub("Same key", key=one.key), sub("Same identifier",
                                                         ski=tlv(4, one.identifier))
    return Group("Key identifiers", [root], [
        Row("leaf without one", [leaf(one, aki=None), one]),
        Row("CA without any", [leaf(bare, aki=None), bare]),
        Row("computed in another way",
            [leaf(sub("Odd", ski=tlv(4, b"\x09" * 32)), aki=seq(tlv(0x80, b"\x09" * 32))),
             sub("Odd", ski=tlv(4, b"\x09" * 32))]),
        Row("leaf names another one", [leaf(one, aki=seq(other)), one], HINTS),
        Row("leaf names its CA's issuer and serial", [leaf(one, aki=seq(whole, right)), one]),
        Row("leaf names another serial of its CA",
            [leaf(one, aki=seq(whole, tlv(0x82, b"\x77"))), one], HINTS),
        Row("two CAs with one key", [leaf(same_key), one, same_key]),
        Row("two CAs with one identifier", [leaf(same_id), one, same_id], HINTS),
        Row("subjectKeyIdentifier critical in the CA",
            [leaf(sub("Sub", ski=(tlv(4, one.identifier), True))),
             sub("Sub", ski=(tlv(4, one.identifier), True))]),
        Row("authorityKeyIdentifier critical",
            [leaf(one, aki=(seq(tlv(0x80, one.identifier)), True)), one]),
    ])


def subjects():
    root = authority(ROOT)
    pair = pki.distinguished_name
    multi = seq(tlv(0x31, seq(oid("2.5.4.3"), tlv(pki.UTF8, b"A")),
                    seq(oid("2.5.4.11"), tlv(pki.UTF8, b"unit"))))
    turned = seq(tlv(0x31, seq(oid("2.5.4.11"), tlv(chains.PRINTABLE, b"unit")),
                     seq(oid("2.5.4.3"), tlv(pki.UTF8, b"A"))))
    both = [sub(multi)]
    one = authority("Sub", ROOT)

    def written(name):
        return [leaf(one, issuer_name=name), one]
    return Group("Names of CAs", [root], [
        Row("several attributes in one RDN", [leaf(both[0]), both[0]]),
        Row("the same, their order and string types another",
            [leaf(both[0], issuer_name=turned), both[0]]),
        Row("PrintableString for UTF8String", written(common_name("Sub", chains.PRINTABLE))),
        Row("BMPString for UTF8String", written(common_name("Sub", pki.BMP))),
        Row("TeletexString for UTF8String", written(common_name("Sub", pki.TELETEX))),
        Row("other case", written(common_name("sUB"))),
        Row("other blanks", written(common_name("  Sub "))),
        Row("another name", written(common_name("Sub2"))),
        Row("empty", [leaf(sub(seq())), sub(seq())], "a CA must have a name (RFC 5280 4.1.2.6)"),
        Row("a name of ten attributes", [leaf(sub(pair([("2.5.4.11", b"unit %d" % n, pki.UTF8)
                                                       for n in range(10)]))),
                                        sub(pair([("2.5.4.11", b"unit %d" % n, pki.UTF8)
                                                  for n in range(10)]))]),
    ])


def versions():
    root, one = authority(ROOT), authority("Sub", ROOT)
    old = sub("Version 1 CA", version=1)
    return Group("Versions, serials", [root], [
        Row("version 1, as `openssl x509 -req` makes it", [leaf(root, version=1)]),
        Row("version 1 below an intermediate", [leaf(one, version=1), one]),
        Row("version 2", [leaf(root, version=2)], "only 1 (accepted by default) and 3"),
        Row("below a CA of version 1", [leaf(old, aki=None), old]),
        Row("serial 0", [leaf(root, serial=tlv(2, b"\x00"))], SERIAL),
        Row("serial of 20 octets", [leaf(root, serial=tlv(2, b"\x7f" * 20))]),
        Row("serial of 20 octets and a leading zero",
            [leaf(root, serial=tlv(2, b"\x00" + b"\xff" * 20))]),
        Row("serial of 21 octets", [leaf(root, serial=tlv(2, b"\x7f" * 21))], SERIAL),
        Row("serial of 33 octets", [leaf(root, serial=tlv(2, b"\x7f" * 33))], SERIAL),
        Row("negative serial", [leaf(root, serial=tlv(2, b"\x80\x01"))]),
        Row("CA with serial 0", [leaf(sub(serial=tlv(2, b"\x00"))), sub(serial=tlv(2, b"\x00"))]),
    ])


def strict_version():
    root = authority(ROOT)
    return Group("`client_x509_v1 = refuse`", [root], [
        Row("version 1 where it is refused", [leaf(root, version=1)],
            "that setting; Mosquitto has none"),
        Row("version 3 beside it", [leaf(root)]),
    ], settings={"client_x509_v1": "refuse"})


def dates():
    root, one = authority(ROOT), authority("Sub", ROOT)
    year = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)

    def general(moment):
        return tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode())

    def zone(moment):
        return tlv(0x17, moment.strftime("%y%m%d%H%M%S+0000").encode())

    def short(moment):
        return tlv(0x17, moment.strftime("%y%m%d%H%MZ").encode())
    old, late = sub(**EXPIRED), sub(**EARLY)
    return Group("Dates", [root], [
        Row("expired", [leaf(one, **EXPIRED), one]),
        Row("not yet valid", [leaf(one, **EARLY), one]),
        Row("CA expired", [leaf(old), old]),
        Row("CA not yet valid", [leaf(late), late]),
        Row("outlives its CA", [leaf(one, end=NOW + 9000 * DAY), one]),
        Row("until the year 9999", [leaf(one, end=year), one]),
        Row("GeneralizedTime before 2050", [leaf(one, times=general), one]),
        Row("a time zone other than Z", [leaf(one, times=zone), one]),
        Row("without seconds", [leaf(one, times=short), one]),
    ])


def authorities():
    root, one = authority(ROOT), authority("Sub", ROOT)

    def below(*, why=None, what, **options):
        ca = sub(**options)
        return Row(what, [leaf(ca), ca], why)
    zero = sub("Zero", basic=(basic(length=0), True))
    under = sub("Under zero", zero)
    own = sub("Zero", zero, key=pki.key("ecdsa", "zero again"))
    return Group("CAs", [root], [
        below(what="without basicConstraints", basic=None),
        below(what="CA:FALSE", basic=(basic(False), True)),
        below(what="basicConstraints not critical", basic=basic()),
        below(what="path length 0", basic=(basic(length=0), True)),
        below(what="path length 128", basic=(basic(length=128), True)),
        below(what="path length 70000", basic=(basic(length=70000), True)),
        below(what="negative path length",
              basic=(seq(b"\x01\x01\xff", tlv(2, b"\xff")), True)),
        Row("below path length 0", [leaf(under), under, zero]),
        Row("below path length 0, the CA's own new key", [leaf(own), own, zero]),
        below(what="without keyUsage", usage=None),
        below(what="keyUsage without keyCertSign", usage=(usage(SIGN_LISTS), True)),
        below(what="keyUsage not critical", usage=usage(SIGN_CERTIFICATES)),
        below(what="extendedKeyUsage clientAuth", purposes=purposes(CLIENT)),
        below(what="extendedKeyUsage serverAuth, clientAuth", purposes=purposes(SERVER, CLIENT)),
        below(what="extendedKeyUsage any", purposes=purposes(ANY), why=ANY_PURPOSE),
        below(what="extendedKeyUsage serverAuth", purposes=purposes(SERVER)),
        below(what="extendedKeyUsage codeSigning", purposes=purposes(CODE)),
        below(what="an unknown extension", extra=(extension("1.2.3.4", b"\x05\x00"),)),
        below(what="an unknown critical extension",
              extra=(extension("1.2.3.4", b"\x05\x00", True),)),
        below(what="critical certificatePolicies",
              extra=(extension(chains.POLICIES, seq(seq(oid("1.2.3.4"))), True),)),
        below(what="policyConstraints that ask for an explicit policy",
              extra=(extension(chains.POLICY_CONSTRAINTS, seq(tlv(0x80, b"\x00")), True),),
              why="policies are not processed, so none can be explicit"),
        below(what="an extension twice", extra=(extension(chains.BASIC, basic()),)),
        below(what="an alternative name that cannot be read", names=b"a.example"),
        Row("CA in the middle is a client", [leaf(leaf(one, name="Middle"), name="end"),
                                             leaf(one, name="Middle"), one]),
    ])


def leaves():
    root = authority(ROOT)

    def row(what, why=None, **options):
        return Row(what, [leaf(root, **options)], why)
    return Group("Clients", [root], [
        row("no extension at all but its version", ski=None, aki=None, usage=None),
        row("extendedKeyUsage clientAuth", purposes=purposes(CLIENT)),
        row("extendedKeyUsage clientAuth, critical", purposes=(purposes(CLIENT), True)),
        row("extendedKeyUsage serverAuth, clientAuth", purposes=purposes(SERVER, CLIENT)),
        row("extendedKeyUsage serverAuth", purposes=purposes(SERVER)),
        row("extendedKeyUsage any", purposes=purposes(ANY), why=ANY_PURPOSE),
        row("extendedKeyUsage codeSigning", purposes=purposes(CODE)),
        row("extendedKeyUsage empty", purposes=seq()),
        row("keyUsage digitalSignature, keyEncipherment", usage=usage(SIGNATURE, 2)),
        row("keyUsage keyEncipherment", usage=usage(2)),
        row("keyUsage keyAgreement", usage=usage(4), why=USAGE),
        row("keyUsage nonRepudiation", usage=usage(1)),
        row("keyUsage with keyCertSign, no CA", usage=usage(SIGNATURE, SIGN_CERTIFICATES),
            why="only CAs sign certificates (RFC 5280 4.2.1.9)"),
        row("CA:TRUE, may sign", basic=basic(), usage=usage(SIGNATURE, SIGN_CERTIFICATES)),
        row("CA:TRUE, without keyUsage", basic=basic(), usage=None),
        row("CA:FALSE with a path length", basic=basic(False, 0)),
        row("empty subject, alternative name", name=seq(), names=(names("a.example"), True)),
        row("two common names", name=pki.distinguished_name(pki.common_names(b"a", b"b"))),
        row("no common name", name=chains.attributes(("2.5.4.10", "Example"))),
        row("an unknown extension", extra=(extension("1.2.3.4", b"\x05\x00"),)),
        row("an unknown critical extension", extra=(extension("1.2.3.4", b"\x05\x00", True),)),
        row("critical cRLDistributionPoints", why="it is not processed, so it may not be critical",
            extra=(extension("2.5.29.31", seq(seq(tlv(0xA0, tlv(0xA0, tlv(0x86, b"http://a/"))))),
                             True),)),
        row("name constraints in a client's", constraints=constraints([dns("a.example")]),
            why="only CAs may have them (RFC 5280 4.2.1.10)"),
        row("another algorithm inside than outside",
            inner=chains.algorithm(root.key, "sha384")),
        row("a damaged signature", damage=True),
        row("signed by another key of its CA's name", signer=pki.key("ecdsa", "impostor")),
    ])


def keys():
    root = authority(ROOT)

    def row(what, kind, why=None):
        return Row(what, [leaf(root, kind=kind)], why)

    def below(what, kind, why=None, **options):
        ca = sub(f"Sub {kind}", kind=kind)
        return Row(what, [leaf(ca, **options), ca], why)
    rsa = sub("Sub rsa", kind="rsa")
    return Group("Keys", [root], [
        row("RSA 2048", "rsa"), row("RSA 3072", "rsa3072"), row("RSA 4096", "rsa4096"),
        row("RSA 8192", "rsa8192"), row("RSA 1024", "rsa1024"),
        row("RSA with an exponent of 65 bits", "rsa_exponent", STRENGTH),
        row("P-384", "ecdsa384"), row("P-521", "ecdsa521"), row("Ed25519", "ed25519"),
        below("CA with RSA 2048", "rsa"), below("CA with RSA 4096", "rsa4096"),
        below("CA with RSA 8192", "rsa8192"), below("CA with RSA 1024", "rsa1024"),
        below("CA with an RSA exponent of 65 bits", "rsa_exponent", STRENGTH),
        below("CA with P-384", "ecdsa384"), below("CA with P-521", "ecdsa521"),
        below("CA with Ed25519", "ed25519"), below("CA with Ed448", "ed448", TYPES),
        below("CA with secp256k1", "secp256k1", TYPES),
        Row("SHA-384", [leaf(root, digest="sha384")]),
        Row("SHA-512", [leaf(root, digest="sha512")]),
        Row("SHA-224", [leaf(root, digest="sha224")], "weaker than SHA-256"),
        Row("SHA-1", [leaf(root, digest="sha1")]),
        Row("MD5", [leaf(rsa, digest="md5"), rsa]),
        Row("RSA-PSS, SHA-256", [leaf(rsa, padding=32), rsa]),
        Row("RSA-PSS, SHA-512, salt of 20", [leaf(rsa, digest="sha512", padding=20), rsa]),
    ])


def constrained():
    root = authority(ROOT)
    other_name = tlv(0xA0, oid("1.2.3.4"), tlv(0xA0, tlv(pki.UTF8, b"x")))
    registered = (0x88, b"\x2a\x03\x04")

    def row(what, limits, why=None, **options):
        ca = sub("Tenant", constraints=(limits, True))
        return Row(what, [leaf(ca, **options), ca], why)
    home = constraints([dns("a.example")])
    away = constraints((), [dns("a.example")])
    mail = tlv(0x81, b"a.example")
    net = tlv(0x87, bytes([192, 0, 2, 0, 255, 255, 255, 0]))
    web = tlv(0x86, b"a.example")
    place = tlv(0xA4, chains.attributes(("2.5.4.10", "Example")))
    inside = chains.attributes(("2.5.4.10", "Example"), ("2.5.4.3", "x"))
    plain = sub("Tenant", constraints=home)
    return Group("Name constraints", [root], [
        row("DNS name inside", home, names=names("d.a.example")),
        row("DNS name outside", home, names=names("b.example")),
        row("one inside and one outside", home, names=names("a.example", "b.example")),
        row("a common name inside", home, name="d.a.example"),
        row("a common name outside", home, name="b.example"),
        row("a common name outside, IP address", home, name="b.example", names=names("192.0.2.1")),
        row("a common name outside, URI", home, name="b.example", names=names("uri:urn:x")),
        row("a common name outside, registeredID", home, name="b.example",
            names=names(registered)),
        row("a common name outside, DNS name inside", home, name="b.example",
            names=names("a.example"), why=NAMES),
        row("a common name that is no host name", home, name="pump 1"),
        row("excluded DNS name", away, names=names("d.a.example")),
        row("not the excluded DNS name", away, names=names("b.example")),
        row("wildcard that includes the excluded name", constraints((), [dns("d.a.example")]),
            names=names("*.a.example"), why="a wildcard stands for the excluded name too"),
        row("e-mail address inside", constraints([mail]), names=names((0x81, b"x@a.example"))),
        row("e-mail address outside", constraints([mail]), names=names((0x81, b"x@b.example"))),
        row("IP address inside", constraints([net]), names=names("192.0.2.7")),
        row("IP address outside", constraints([net]), names=names("198.51.100.7")),
        row("IPv6 address, constraint on IPv4", constraints([net]), names=names("2001:db8::1")),
        row("URI inside", constraints([web]), names=names("uri:mqtts://a.example/x")),
        row("URI outside", constraints([web]), names=names("uri:mqtts://b.example/x")),
        row("URI without a host", constraints([web]), names=names("uri:urn:dev:1")),
        row("directory name inside", constraints([place]), name=inside),
        row("directory name outside", constraints([place])),
        row("registeredID, constraint on registeredID",
            constraints([tlv(*registered)]), names=names(registered)),
        row("otherName, constraint on otherName", constraints([other_name]),
            names=seq(other_name)),
        row("no name of the constrained kind", constraints([tlv(*registered)])),
        row("empty constraints", seq(), why=FAIL_CLOSED),
        Row("constraints not critical, DNS name outside",
            [leaf(plain, names=names("b.example")), plain]),
        row("constraint with a minimum", seq(tlv(0xA0, seq(dns("a.example"), tlv(0x80, b"\x01")))),
            names=names("a.example")),
    ])


def anchors():
    """What is in client_ca beside, or instead of, a plain root."""
    root, outsider = authority(ROOT), authority("Outsider")
    one = authority("Sub", ROOT)
    past = Node("Past", ca=True, **EXPIRED)
    renewed = Node("Past", ca=True, key=past.key)
    gone = Node("Gone", ca=True, **EXPIRED)
    crossed = Node("Gone", outsider, ca=True, key=gone.key)
    old = Node("Old", ca=True, version=1)
    shop = Node("Shop", ca=True, purposes=purposes(SERVER))
    weak = Node("Weak", ca=True, kind="rsa1024")
    odd = Node("Odd critical", ca=True, extra=(extension("1.2.3.4", b"\x05\x00", True),))
    short = Node("Short", ca=True, basic=(basic(length=0), True))
    below = Node("Below short", short, ca=True)
    bound = Node("Bound", ca=True, constraints=(constraints([dns("a.example")]), True))
    sha1 = Node("Signed by SHA-1", ca=True, digest="sha1")
    inter = Node("Inter", authority("Unlisted"), ca=True)
    pin = Node("pinned")
    trusted = [root, outsider, past, renewed, gone, old, shop, weak, odd, short, bound, sha1,
               inter, pin]
    return Group("In `client_ca`", trusted, [
        Row("root beside thirteen others", [leaf(one), one]),
        Row("expired and renewed root", [leaf(renewed)]),
        Row("expired root", [leaf(gone)]),
        Row("expired root, cross-signed by another", [leaf(gone), crossed], WIDE),
        Row("root of version 1", [leaf(old, aki=None)], VERSION_1),
        Row("root for servers only", [leaf(shop)]),
        Row("root with RSA 1024", [leaf(weak)]),
        Row("root with an unknown critical extension", [leaf(odd)]),
        Row("root with path length 0", [leaf(short)]),
        Row("CA below a root with path length 0", [leaf(below), below]),
        Row("root with name constraints, outside", [leaf(bound, names=names("b.example"))]),
        Row("root signed with SHA-1", [leaf(sha1)]),
        Row("intermediate without its root", [leaf(inter)], PARTIAL),
        Row("a client's own certificate", [pin], "a CA issues clients; client_allow pins them"),
    ])


def lists():
    root, one = authority(ROOT), authority("Sub", ROOT)
    two, revoked_ca = authority("Two", ROOT), sub("Revoked CA", serial=pki.integer(901))
    unlisted = sub("No list")
    silent = sub("May not sign lists", usage=(usage(SIGN_CERTIFICATES), True))
    stale = sub("Old list")
    lists_ = [chains.crl(root, [900, 901]), chains.crl(one, [902]),
              chains.crl(two, number=None), chains.crl(revoked_ca), chains.crl(silent),
              chains.crl(stale, [903], start=NOW - 60 * DAY, end=NOW - DAY)]
    nine = {n: pki.integer(n) for n in (900, 902, 903)}
    return Group("Revocation lists", [root], [
        Row("not listed", [leaf(root)]),
        Row("listed", [leaf(root, serial=nine[900])]),
        Row("below a CA, not listed", [leaf(one), one]),
        Row("below a CA, listed", [leaf(one, serial=nine[902]), one]),
        Row("the serial that another CA's list has", [leaf(one, serial=nine[900]), one]),
        Row("below a revoked CA", [leaf(revoked_ca), revoked_ca], CHAIN_LISTS),
        Row("below a CA without a list", [leaf(unlisted), unlisted]),
        Row("a list without a number", [leaf(two), two]),
        Row("a list of a CA that may not sign lists", [leaf(silent), silent]),
        Row("an expired list, not listed", [leaf(stale), stale], OLD_LIST),
        Row("an expired list, listed", [leaf(stale, serial=nine[903]), stale]),
    ], crls=lists_)


def identities():
    root = authority(ROOT)

    def row(what, why=None, **options):
        return Row(what, [leaf(root, **options)], why)

    def name(text):
        return pki.distinguished_name(pki.common_names(
            text if isinstance(text, bytes) else text.encode()))
    return Group("Names with `mqtt = identity`", [root], [
        row("a plain name"),
        row("a name with a blank, a dot and a slash", name=name("pump 1.a/b")),
        row("a name in UTF-8", name=name("Zähler")),
        row("a name of 255 bytes", name=name("n" * 255)),
        row("a name of 256 bytes", name=name("n" * 256), why=BROKER_NAMES),
        row("two names", name=pki.distinguished_name(pki.common_names(b"a", b"b")),
            why=BROKER_NAMES),
        row("no common name", name=chains.attributes(("2.5.4.10", "Example"))),
        row("an empty name", name=name(""), why=BROKER_NAMES),
        row("a name with +", name=name("a+"), why=BROKER_NAMES),
        row("a name with #", name=name("#"), why=BROKER_NAMES),
        row("a name with a NUL", name=name(b"a\x00b")),
        row("a name with a line end", name=name("a\nb"), why=BROKER_NAMES),
        row("a zero-width character", name=name("a\u200bb"), why=BROKER_NAMES),
        row("a bidirectional character", name=name("a\u202eb"), why=BROKER_NAMES),
        row("TeletexString", name=pki.distinguished_name([("2.5.4.3", b"a\xff", pki.TELETEX)]),
            why=STRINGS),
        row("BMPString", name=common_name("a", pki.BMP)),
    ], settings={"mqtt": "identity"}, mosquitto="use_identity_as_username true\n")


GROUPS = (order, identifiers, subjects, versions, strict_version, dates, authorities, leaves, keys,
          constrained, anchors, lists, identities)
