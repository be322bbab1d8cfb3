"""Finding a path: around bad certificates, through cross-signed CAs, in any order, past those that
lead nowhere; and the attacks that a search for paths invites."""

import functools
import itertools
import random

# Before the next two: it says where they are.
from cases import (ACCEPT, EARLY, EXPIRED, REFUSE, Group, another_key, ca, ladder, leaf,
                   other_root, root)
import chains
import pki
from chains import (CLIENT, CODE, SERVER, SIGN_CERTIFICATES, SIGN_LISTS, Node, basic,
                    common_name, constraints, dns, purposes, usage)
from pki import extension, seq, tlv

SEARCH = "RFC 5280 6.1: one valid path suffices; RFC 4158 2.4"
HINTS = "RFC 4158 3.5.12: key identifiers are hints"
NAMES = "RFC 5280 7.1"
ORDER = "RFC 8446 4.4.2: servers should be prepared for any order and for extra certificates"
BOUND = "postern.conf(5), too_large"
UNKNOWN = extension("1.2.3.4", b"\x05\x00", True)

# A CA's certificate that no path may go through: how it is made, why it is refused where there is
# no other, and the rule. The key stays the CA's, so that what the CA signed fits.
DEFECTS = {
    "expired": (EXPIRED, "expired", "RFC 5280 6.1.3 (a)(2)"),
    "not yet valid": (EARLY, "not_yet_valid", "RFC 5280 6.1.3 (a)(2)"),
    "no CA": ({"basic": (basic(False), True)}, "unknown_ca", "RFC 5280 6.1.4 (k)"),
    "no basicConstraints": ({"basic": None}, "unknown_ca", "RFC 5280 6.1.4 (k)"),
    "version 1": ({"version": 1}, "v1_certificate", "RFC 5280 6.1.4 (k)"),
    "version 2": ({"version": 2}, "v1_certificate", "RFC 5280 6.1.4 (k)"),
    "for servers": ({"purposes": purposes(SERVER)}, "wrong_usage", "RFC 5280 4.2.1.12"),
    "for code": ({"purposes": purposes(CODE)}, "wrong_usage", "RFC 5280 4.2.1.12"),
    "may not sign": ({"usage": (usage(SIGN_LISTS), True)}, "wrong_usage", "RFC 5280 6.1.4 (n)"),
    "critical extension": ({"extra": (UNKNOWN,)}, "critical_extension", "RFC 5280 6.1.4 (o)"),
    "extension twice": ({"extra": (extension(chains.BASIC, basic()),)}, "bad_encoding",
                        "RFC 5280 4.2: not more than one instance"),
    "another name allowed": ({"constraints": (constraints([dns("other.example")]), True)},
                             "name_constraint", "RFC 5280 6.1.4 (g)"),
    "SHA-1": ({"digest": "sha1"}, "weak_signature", "postern.conf(5), weak_signature"),
    "two algorithms": ({"inner": chains.algorithm(root().key, "sha384")}, "bad_encoding",
                       "RFC 5280 4.1.1.2"),
    "damaged": ({"damage": True}, "unknown_ca", "RFC 5280 6.1.3 (a)(1)"),
    "of a namesake": ({"signer": another_key()}, "unknown_ca", "RFC 5280 6.1.3 (a)(1)"),
}
HOST = {"names": chains.names("device.example")}


def orders(*nodes):
    return itertools.permutations(nodes)


def arrange(group, what, expected, why, own, others, **options):
    """One case for each order of the others."""
    for number, rest in enumerate(orders(*others)):
        group.add(f"{what} order {number}", expected, why, [own, *rest], **options)


def around_the_issuer(group, what, defect, reason, why):
    good, bad = ca(), ca(**defect)
    own = leaf(good, **HOST)
    group.add(f"{what} issuer only", reason, why, [own, bad])
    arrange(group, f"{what} issuer and good", ACCEPT, SEARCH, own, [good, bad])


def around_the_middle(group, what, defect, reason, why):
    good, bad = ca("Mid"), ca("Mid", **defect)
    low = ca("Low", good)
    own = leaf(low, **HOST)
    arrange(group, f"{what} middle only", reason, why, own, [low, bad])
    arrange(group, f"{what} middle and good", ACCEPT, SEARCH, own, [low, good, bad])


def around_both(group, what, defect, reason, why):
    good, bad = ca("Mid"), ca("Mid", **defect)
    low, bad_low = ca("Low", good), ca("Low", good, **{"signer": good.key, **defect})
    own = leaf(low, **HOST)
    arrange(group, f"{what} both only", REFUSE, why, own, [bad_low, bad])
    arrange(group, f"{what} both and good", ACCEPT, SEARCH, own, [low, good, bad_low, bad])


def around_by_a_longer_way(group, what, defect, reason, why):
    """The short path is the bad one."""
    mid = ca("Mid")
    good, bad = ca("Sub", mid), ca("Sub", **defect)
    own = leaf(good, **HOST)
    arrange(group, f"{what} short way and good", ACCEPT, SEARCH, own, [mid, good, bad])
    arrange(group, f"{what} short way only", reason, why, own, [mid, bad])


def between_two_roots(group, what, defect, reason, why):
    """Cross-signed by two roots, both trusted."""
    both = [root(), other_root()]
    good, bad = ca("Sub", other_root()), ca(**defect)
    own = leaf(good, **HOST)
    for trusted, name in ((both, "first"), (both[::-1], "last")):
        arrange(group, f"{what} cross good root {name}", ACCEPT, SEARCH, own, [good, bad],
                trusted=trusted)
        group.add(f"{what} cross bad only root {name}", reason, why, [own, bad], trusted=trusted)
    group.add(f"{what} cross good root missing", reason, why, [own, bad, good])


def beside_a_bad_anchor(group, what, defect, reason, why):
    """The bad certificate is in client_ca, and clients send a good one of the same CA."""
    good, bad = ca(), ca(**defect)
    own = leaf(good, **HOST)
    ignored = {"SHA-1", "damaged", "of a namesake"}  # nobody checks who signed an anchor
    for trusted in ([root(), bad], [bad, root()]):
        name = "first" if trusted[0] is bad else "last"
        group.add(f"{what} anchor {name} and good", ACCEPT, SEARCH, [own, good], trusted=trusted)
        expected = ACCEPT if what in ignored else REFUSE
        group.add(f"{what} anchor {name} only", expected,
                  "RFC 5280 6.1.1 (d)" if expected == ACCEPT else why, [own], trusted=trusted)


def around_bad_certificates(group):
    for what, (defect, reason, why) in DEFECTS.items():
        for shape in (around_the_issuer, around_the_middle, around_both, around_by_a_longer_way,
                      between_two_roots, beside_a_bad_anchor):
            shape(group, what, defect, reason, why)
    around_a_path_length(group)
    around_revocation(group)


def around_a_path_length(group):
    short, long = ca("Mid", basic=(basic(length=0), True)), ca("Mid")
    low = ca("Low", long)
    arrange(group, "path length middle only", "path_length", "RFC 5280 6.1.4 (l)", leaf(low),
            [low, short])
    arrange(group, "path length middle and good", ACCEPT, SEARCH, leaf(low), [low, short, long])


def around_revocation(group):
    good, bad = ca(), ca(serial=pki.integer(900))
    lists = [chains.crl(root(), [900]), chains.crl(good)]
    own = leaf(good)
    why = "RFC 5280 6.3"
    group.add("revoked issuer only", "revoked", why, [own, bad], crls=lists)
    arrange(group, "revoked issuer and good", ACCEPT, SEARCH, own, [good, bad], crls=lists)
    lists.append(chains.crl(other_root()))
    crossed = ca("Sub", other_root())
    arrange(group, "revoked by one root of two", ACCEPT, SEARCH, own, [bad, crossed],
            trusted=[root(), other_root()], crls=lists)


def any_order(group):
    three = ladder(3)
    own = leaf(three[0])
    for number, rest in enumerate(orders(*three, root())):
        group.add(f"three and the root {number}", ACCEPT, ORDER, [own, *rest])
    five = ladder(5)
    for number, rest in enumerate(orders(*five)):
        group.add(f"five {number}", ACCEPT, ORDER, [leaf(five[0]), *rest])
    ten, chance = ladder(10), random.Random(10)
    for number in range(30):
        rest = ten[:]
        chance.shuffle(rest)
        group.add(f"ten {number}", ACCEPT, ORDER, [leaf(ten[0]), *rest])
        rest.pop(number % 10)
        group.add(f"ten without one {number}", "unknown_ca", "RFC 5280 6.1.3 (a)(4)",
                  [leaf(ten[0]), *rest])


def extra_certificates(group):
    one, outsider = ca(), chains.authority("Outsider")
    own = leaf(one)
    junk = {
        "a CA of somebody else": outsider,
        "an expired CA of somebody else": Node("Outsider", ca=True, key=outsider.key, **EXPIRED),
        "another leaf": leaf(outsider, name="outsider-1"),
        "another leaf of the same CA": leaf(one, name="neighbour"),
        "the leaf again": own,
        "the CA again": one,
        "the root": root(),
        "the root signed by somebody": ca("Root", outsider, key=root().key),
        "a self-signed namesake": Node("Sub", ca=True, key=another_key(1)),
        "a CA below the client": ca("Below", own),
        "RSA of 1024 bits": Node("Weak", ca=True, kind="rsa1024"),
        "Ed448": Node("Other type", ca=True, kind="ed448"),
        "version 1": Node("Old", ca=True, version=1),
    }
    for what, other in junk.items():
        group.add(f"{what} first", ACCEPT, ORDER, [own, other, one])
        group.add(f"{what} last", ACCEPT, ORDER, [own, one, other])
        group.add(f"{what} alone", "unknown_ca" if other is not one else ACCEPT, SEARCH,
                  [own, other])
    many = [Node(f"Junk {n}", ca=True, key=outsider.key) for n in range(15)]
    group.add("as many as are looked at", ACCEPT, ORDER, [own, *many[:14], one])
    group.add("more than are looked at", "too_large", BOUND, [own, *many, one])


def namesakes(group):
    """CAs of one name with different keys, as after a change of keys, in every order."""
    for count in (2, 3, 4):
        same = [ca("Same", key=another_key(n), ski=None) for n in range(count)]
        for number, right in enumerate(same):
            own = leaf(right, aki=None)
            for at, rest in enumerate(orders(*same)):
                group.add(f"{count} namesakes of {number} order {at}", ACCEPT, SEARCH,
                          [own, *rest])
            without = [node for node in same if node is not right]
            group.add(f"{count} namesakes without {number}", "unknown_ca",
                      "RFC 5280 6.1.3 (a)(1)", [own, *without])
    roots = [Node("Same root", ca=True, key=another_key(n)) for n in range(4)]
    for number, right in enumerate(roots):
        group.add(f"anchors of one name {number}", ACCEPT, SEARCH, [leaf(right)], trusted=roots)
    outside = Node("Same root", ca=True, key=another_key(9))
    group.add("anchors of one name, none of them", "unknown_ca", "RFC 5280 6.1.3 (a)(1)",
              [leaf(outside), outside], trusted=roots)


def mesh(count, top):
    """CAs that all certify each other; the first is also certified by `top`, if there is one."""
    own = [Node(f"Peer {n}", ca=True, key=another_key(n)) for n in range(count)]
    signed = [ca(b.name, a, key=b.key) for a in own for b in own if a is not b]
    return own, signed + ([ca(own[0].name, top, key=own[0].key)] if top else [])


def cross_signing(group):
    for count in (2, 3, 4):
        for top, expected in ((root(), ACCEPT), (other_root(), "unknown_ca"),
                              (None, "unknown_ca")):
            own, sent = mesh(count, top)
            for number, peer in enumerate(own):
                for turned in (sent, sent[::-1]):
                    group.add(f"{count} peers of {number} {'up' if turned is sent else 'down'} "
                              f"{top.name if top else 'no root'}", expected,
                              SEARCH, [leaf(peer, aki=None), *turned])
    old, new = root(), Node("Root", ca=True, key=another_key(5))
    forward, back = ca("Root", old, key=new.key), ca("Root", new, key=old.key)
    link = "RFC 4210 4.4: link certificates of a root's new key"
    group.add("new root by its link", ACCEPT, link, [leaf(new), forward])
    group.add("old root by its link", ACCEPT, link, [leaf(old), back], trusted=[new])
    group.add("both links", ACCEPT, link, [leaf(new), back, forward])
    group.add("new root without its link", "unknown_ca", link, [leaf(new), back])
    gone = Node("Gone", ca=True, **EXPIRED)
    crossed = ca("Gone", key=gone.key)
    group.add("expired root crossed by another", ACCEPT, SEARCH, [leaf(gone), crossed],
              trusted=[gone, root()])
    group.add("expired root sent along", ACCEPT, SEARCH, [leaf(gone), gone, crossed])
    group.add("expired root alone", "expired", "RFC 5280 6.1.3 (a)(2); postern.conf(5), expired",
              [leaf(gone)], trusted=[gone, root()])


def key_identifiers(group):
    def named(value):
        return seq(tlv(0x80, value))
    wrong = b"\x01\x02\x03"
    for what, of_ca in {"none": None, "usual": tlv(4, ca().identifier), "other": tlv(4, wrong),
                        "the root's": tlv(4, root().identifier), "empty": tlv(4, b"")}.items():
        one = ca(ski=of_ca)
        for kind, of_leaf in {"none": None, "usual": named(ca().identifier), "other": named(wrong),
                              "the root's": named(root().identifier), "empty": seq()}.items():
            group.add(f"CA {what} client {kind}", ACCEPT, HINTS, [leaf(one, aki=of_leaf), one])
    one = ca()
    whole = tlv(0xA1, tlv(0xA4, root().subject))
    for what, serial in {"right": pki.serial_of(one.der), "wrong": "77"}.items():
        value = seq(whole, tlv(0x82, pki.parse(pki.integer(int(serial, 16)))[1]))
        group.add(f"issuer and {what} serial", ACCEPT, HINTS, [leaf(one, aki=value), one])
    same_key, same_id = ca("Same key", key=one.key), ca("Same id", ski=tlv(4, one.identifier))
    arrange(group, "one key two names", ACCEPT, HINTS, leaf(same_key), [one, same_key])
    arrange(group, "one identifier two names", ACCEPT, HINTS, leaf(same_id), [one, same_id])
    copy = ca(key=another_key(2), ski=tlv(4, one.identifier))
    arrange(group, "one identifier one name", ACCEPT, HINTS, leaf(one), [copy, one])
    group.add("only the copy", "unknown_ca", "RFC 5280 6.1.3 (a)(1)", [leaf(one), copy])


def names_of_cas(group):
    plain = ca("Sub CA")
    multi = ca(seq(tlv(0x31, seq(pki.oid("2.5.4.3"), tlv(pki.UTF8, b"A")),
                       seq(pki.oid("2.5.4.11"), tlv(pki.UTF8, b"unit")))))
    turned = seq(tlv(0x31, seq(pki.oid("2.5.4.11"), tlv(pki.UTF8, b"unit")),
                     seq(pki.oid("2.5.4.3"), tlv(pki.UTF8, b"A"))))
    apart = chains.attributes(("2.5.4.3", "A"), ("2.5.4.11", "unit"))
    pair = ca(apart)
    spelled = {
        "PrintableString": (plain, common_name("Sub CA", chains.PRINTABLE), ACCEPT),
        "BMPString": (plain, common_name("Sub CA", pki.BMP), ACCEPT),
        "TeletexString": (plain, common_name("Sub CA", pki.TELETEX), ACCEPT),
        "lower case": (plain, common_name("sub ca"), ACCEPT),
        "blanks around": (plain, common_name("  Sub CA "), ACCEPT),
        "blanks between": (plain, common_name("Sub   CA"), ACCEPT),
        "no blank": (plain, common_name("SubCA"), "unknown_ca"),
        "another text": (plain, common_name("Sub CB"), "unknown_ca"),
        "longer": (plain, common_name("Sub CA 2"), "unknown_ca"),
        "another attribute": (plain, chains.attributes(("2.5.4.10", "Sub CA")), "unknown_ca"),
        "one more RDN": (plain, chains.attributes(("2.5.4.3", "Sub CA"), ("2.5.4.10", "X")),
                         "unknown_ca"),
        "empty": (plain, seq(), REFUSE),
        "order in one RDN": (multi, turned, ACCEPT),
        "two RDNs for one": (multi, apart, "unknown_ca"),
        "order of RDNs": (pair, chains.attributes(("2.5.4.11", "unit"), ("2.5.4.3", "A")),
                          "unknown_ca"),
        "accents": (ca("Zähler"), common_name("Zähler"), ACCEPT),
        "accents left out": (ca("Zähler"), common_name("Zahler"), "unknown_ca"),
    }
    for what, (one, name, expected) in spelled.items():
        group.add(what, expected, NAMES, [leaf(one, issuer_name=name), one])
    nameless = ca(seq())
    group.add("a CA without a name", REFUSE, "RFC 5280 4.1.2.6", [leaf(nameless), nameless])


def attacks(group):
    """Somebody who is not trusted, or not any more, makes a CA with the name of the root."""
    lists = [chains.crl(root(), [900])]
    makers = {
        "a revoked CA": (ca("Sub", serial=pki.integer(900)), "revoked"),
        "an expired CA": (ca("Sub", **EXPIRED), "expired"),
        "a CA for servers": (ca("Sub", purposes=purposes(SERVER)), "wrong_usage"),
        "a CA of path length 0": (ca("Sub", basic=(basic(length=0), True)), "path_length"),
        "a client": (leaf(root(), name="Sub", purposes=purposes(CLIENT)), "unknown_ca"),
        "a client with keyCertSign": (leaf(root(), name="Sub", usage=usage(0, SIGN_CERTIFICATES)),
                                      "unknown_ca"),
        "nobody": (Node("Sub", ca=True, key=another_key(3)), "unknown_ca"),
    }
    for maker, (sub, expected) in makers.items():
        used = lists if maker == "a revoked CA" else ()
        for identifier, ski in {"its own": chains.USUAL, "the root's":
                                tlv(4, root().identifier), "none": None}.items():
            fake = ca("Root", sub, key=another_key(4), ski=ski)
            own = leaf(fake, name="admin", aki=chains.USUAL if ski else None)
            what = f"{maker} with {identifier} identifier"
            why = "RFC 5280 6.1.3: trust follows keys and signatures, never a name"
            for sent, how in (([own, fake, sub], "whole"), ([own, sub, fake], "turned"),
                              ([own, fake, sub, root()], "with the root"),
                              ([own, fake], "without the maker"), ([own], "alone")):
                whole = expected if len(sent) > 2 else "unknown_ca"
                group.add(f"{what} {how}", whole, why, sent, crls=used)


@functools.lru_cache(maxsize=None)
def groups():
    made = []
    for name, fill in {"around": around_bad_certificates, "order": any_order,
                       "extra": extra_certificates, "namesakes": namesakes,
                       "cross": cross_signing, "identifiers": key_identifiers,
                       "names-of-cas": names_of_cas, "attacks": attacks}.items():
        group = Group(name)
        fill(group)
        made.append(group)
    return made
