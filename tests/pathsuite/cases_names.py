"""Name constraints. Which names a CA's constraints allow is computed here from RFC 5280 4.2.1.10,
on names that are text, so that nothing is shared with the program but the RFC.

Beyond the RFC, postern.conf(5) has constraints bind a common name that looks like a host name, as
brokers believe common names, and an e-mail address in the subject beside one that is not."""

import dataclasses
import functools
import ipaddress
import itertools
import re

# Before the next two: it says where they are.
from cases import ACCEPT, EXPIRED, Group, another_key, ca, leaf
import chains
import pki
from chains import Node, names
from pki import extension, oid, seq, tlv

RFC = "RFC 5280 4.2.1.10"
SUBJECT = "postern.conf(5), identity: common names that look like host names, e-mail addresses"
HOST = re.compile(r"(?=.*\.)[A-Za-z0-9_*-]+(\.[A-Za-z0-9_*-]+)*\Z")
TAGS = {"other": 0xA0, "email": 0x81, "dns": 0x82, "x400": 0xA3, "directory": 0xA4, "edi": 0xA5,
        "uri": 0x86, "ip": 0x87, "id": 0x88}
UNUSABLE = None  # a comparison that cannot be made


@dataclasses.dataclass(frozen=True)
class Name:
    """A GeneralName: its kind and text; of a directory name the attributes, of others DER."""
    kind: str
    value: object

    @property
    def der(self):
        if self.kind == "directory":
            return tlv(TAGS[self.kind], subject(self.value))
        if self.kind == "ip":
            return tlv(TAGS[self.kind], packed(self.value))
        raw = self.value if isinstance(self.value, bytes) else self.value.encode()
        return tlv(TAGS[self.kind], raw)


def packed(text):
    """192.0.2.1, or with its mask as a constraint has it: 192.0.2.0/255.255.255.0."""
    return b"".join(ipaddress.ip_address(part).packed for part in text.split("/"))


ATTRIBUTES = {"CN": "2.5.4.3", "O": "2.5.4.10", "OU": "2.5.4.11", "E": "1.2.840.113549.1.9.1"}


def subject(pairs):
    """A Name's DER of (attribute, text) pairs."""
    return chains.attributes(*((ATTRIBUTES[kind], text) for kind, text in pairs))


# --- what RFC 5280 says ---

def labels(host):
    """From the top. None if it is not a host name."""
    if not host or not re.fullmatch(r"[A-Za-z0-9_*.-]+", host) or "" in host.split("."):
        return None
    return host.lower().split(".")[::-1]


def host_within(host, base, below_too):
    """base with a dot in front: names below it alone; else the name, and those below it where the
    kind of name has it so."""
    only_below = base.startswith(".")
    name, limit = labels(host), labels(base[only_below:])
    if name is None or limit is None:
        return UNUSABLE
    if len(name) <= len(limit):
        return not only_below and name == limit
    return (only_below or below_too) and name[:len(limit)] == limit


def dns_within(name, base, excluded):
    """Any name that is made by adding labels to the left. A wildcard stands for names, and some of
    them may be excluded."""
    if base == "":
        return UNUSABLE if labels(name) is None else True
    result = host_within(name, base, True)
    if excluded and result is False and name.startswith("*."):
        return host_within(base.lstrip("."), "." + name[2:], True)
    return result


def email_within(name, base, _):
    local, at, host = name.rpartition("@")
    if not at or not local or labels(host) is None or "@" in local:
        return UNUSABLE
    if "@" in base:
        base_local, _, base_host = base.rpartition("@")
        return local == base_local and host.lower() == base_host.lower()
    return host_within(host, base, False)


def uri_within(name, base, _):
    """Of the host alone; an address is none, and a URI without a host cannot be judged."""
    match = re.match(r"[a-z+]+://(?:[^/@]*@)?([^/:?#]*)", name)
    if not match or not match[1] or re.fullmatch(r"[0-9.]+", match[1]):
        return UNUSABLE
    return host_within(match[1], base, False)


def ip_within(name, base, _):
    network, mask = (ipaddress.ip_address(part) for part in base.split("/"))
    address = ipaddress.ip_address(name)
    bits = f"{int(mask):0{mask.max_prefixlen}b}"
    if "01" in bits:
        return UNUSABLE  # RFC 4632: a mask is ones, then zeros
    if network.version != address.version:
        return False
    return int(address) & int(mask) == int(network) & int(mask)


def directory_within(name, base, _):
    def plain(pairs):
        return [(kind, " ".join(text.lower().split())) for kind, text in pairs]
    return plain(name)[:len(base)] == plain(base)


WITHIN = {"dns": dns_within, "email": email_within, "uri": uri_within, "ip": ip_within,
          "directory": directory_within}


def allows(permitted, excluded, name):
    """Whether constraints allow this name. What cannot be compared is not allowed."""
    def compare(base, is_excluded):
        within = WITHIN.get(name.kind)
        return within(name.value, base.value, is_excluded) if within else UNUSABLE
    barred = [compare(base, True) for base in excluded if base.kind == name.kind]
    wanted = [compare(base, False) for base in permitted if base.kind == name.kind]
    if True in barred or UNUSABLE in barred or (wanted and UNUSABLE in wanted):
        return False
    return not wanted or True in wanted


def names_of(pairs, alternative, strict=True):
    """All names of a certificate that constraints are about; strict: beyond the RFC, too."""
    found = list(alternative)
    if pairs:
        found.append(Name("directory", tuple(pairs)))
    if strict or not alternative:
        found += [Name("email", text) for kind, text in pairs if kind == "E"]
    if strict:
        found += [Name("dns", text) for kind, text in pairs if kind == "CN" and HOST.match(text)]
    return found


def judge(limits, pairs, alternative):
    """What the constraints, a (permitted, excluded) pair for each CA, make of a client: the verdict
    to expect, and the rule that decides."""
    def good(strict):
        return all(allows(permitted, excluded, name) for permitted, excluded in limits
                   for name in names_of(pairs, alternative, strict))
    if good(True):
        return ACCEPT, RFC
    return "name_constraint", SUBJECT if good(False) else RFC


# --- the cases ---

def limit(permitted=(), excluded=()):
    return chains.constraints([name.der for name in permitted], [name.der for name in excluded])


def tenant(limits, issuer=None, name="Tenant", critical=True, **options):
    return ca(name, issuer, constraints=(limit(*limits), critical), **options)


def client(issuer, pairs, alternative):
    return leaf(issuer, name=subject(pairs), names=seq(*(name.der for name in alternative))
                if alternative else None)


@functools.lru_cache(maxsize=None)
def plain_client(pairs, alternative):
    """All CAs called Tenant have one key, so that one client is below each of them."""
    return client(ca("Tenant"), pairs, alternative)


def add(group, what, limits, pairs, alternative=()):
    expected, why = judge([limits], pairs, alternative)
    issuer = tenant(limits)
    group.add(what, expected, why, [plain_client(tuple(pairs), tuple(alternative)), issuer])


INSIDE, OUTSIDE = "d.tenant.example", "d.other.example"
NEAR, FAR = "192.0.2.7", "198.51.100.7"


def dns_and_addresses(group):
    """Every combination of common name, DNS name and address with constraints on both."""
    hosts = [(), (Name("dns", "tenant.example"),), (Name("dns", "other.example"),)]
    nets = [(), (Name("ip", "192.0.2.0/255.255.255.0"),),
            (Name("ip", "198.51.100.0/255.255.255.0"),)]
    people = [(("O", "Example"),), *((("CN", text),) for text in (INSIDE, OUTSIDE, "pump 1"))]
    dns_names = [(), (Name("dns", INSIDE),), (Name("dns", OUTSIDE),)]
    addresses = [(), (Name("ip", NEAR),), (Name("ip", FAR),)]
    number = itertools.count()
    for may_host, may_net, no_host, no_net in itertools.product(hosts, nets, hosts, nets):
        limits = (may_host + may_net, no_host + no_net)
        if not limits[0] + limits[1]:
            continue
        issuer = tenant(limits)
        for pairs, dns, address in itertools.product(people, dns_names, addresses):
            expected, why = judge([limits], pairs, dns + address)
            own = plain_client(pairs, dns + address)
            group.add(f"{next(number)}", expected, why, [own, issuer])


BASES = {
    "dns": ("tenant.example", ".tenant.example", "example", "TENANT.Example", "d.tenant.example",
            "", "tenant.example."),
    "email": ("tenant.example", ".tenant.example", "me@tenant.example", "ME@tenant.example",
              "TENANT.example"),
    "uri": ("tenant.example", ".tenant.example", "TENANT.example", "d.tenant.example"),
    "ip": ("192.0.2.0/255.255.255.0", "192.0.2.7/255.255.255.255", "0.0.0.0/0.0.0.0",
           "192.0.2.0/255.0.255.0", "2001:db8::/ffff:ffff::", "::/::"),
    "directory": ((("O", "Example"),), (("O", "EXAMPLE"),), (("O", "Example"), ("OU", "a")),
                  (("O", "Other"),), ()),
}
NAMES = {
    "dns": ("tenant.example", "d.tenant.example", "a.d.tenant.example", "other.example", "example",
            "xtenant.example", "tenant.example.org", "Tenant.EXAMPLE", "*.tenant.example",
            "*.example", "*.d.tenant.example", "tenant.example.", "a..tenant.example", "",
            "d_1.tenant.example", "a b.tenant.example"),
    "email": ("me@tenant.example", "Me@tenant.example", "you@tenant.example",
              "me@TENANT.example", "me@d.tenant.example", "me@other.example", "tenant.example",
              "@tenant.example", "me@", "a@b@tenant.example"),
    "uri": ("mqtts://tenant.example", "mqtts://tenant.example/a", "mqtts://d.tenant.example:8883/",
            "mqtts://me@tenant.example", "mqtts://other.example/tenant.example",
            "mqtts://tenant.example@other.example", "mqtts://TENANT.example", "urn:dev:1",
            "mqtts://192.0.2.7/", "mqtts:///a", "tenant.example"),
    "ip": ("192.0.2.7", "192.0.2.255", "192.0.3.7", "198.51.100.7", "2001:db8::1", "2001:db9::1",
           "::ffff:192.0.2.7"),
    "directory": ((("O", "Example"), ("CN", "x")), (("O", "example"), ("CN", "x")),
                  (("O", "Example"), ("OU", "a"), ("CN", "x")), (("CN", "x"), ("O", "Example")),
                  (("O", "Example Ltd"), ("CN", "x")), (("O", "Other"), ("CN", "x")),
                  (("O", " Example "), ("CN", "x"))),
}
NOBODY = (("CN", "pump 1"),)


def each_kind(group):
    for kind, bases in BASES.items():
        for at, base in enumerate(bases):
            bound = (Name(kind, base),)
            for limits, how in (((bound, ()), "permitted"), (((), bound), "excluded")):
                for number, value in enumerate(NAMES[kind]):
                    if kind == "directory":
                        add(group, f"{how} subject {at} {number}", limits, value)
                    alternative = (Name(kind, value),)
                    pairs = () if kind == "directory" else NOBODY
                    add(group, f"{how} {kind} {at} {number}", limits, pairs, alternative)
                other = Name("ip", NEAR) if kind == "dns" else Name("dns", INSIDE)
                add(group, f"{how} {kind} {at} absent", limits,
                    () if kind == "directory" else NOBODY, (other,))


def kinds_without_rules(group):
    """Constraints on names for which nobody has rules bind only certificates that have such."""
    values = {
        "other": oid("1.2.3.4") + tlv(0xA0, tlv(pki.UTF8, b"x")),
        "x400": seq(), "edi": tlv(0xA1, tlv(pki.UTF8, b"x")), "id": b"\x2a\x03\x04",
    }
    for kind, value in values.items():
        bound = (Name(kind, value),)
        for limits, how in (((bound, ()), "permitted"), (((), bound), "excluded")):
            add(group, f"{how} {kind} present", limits, NOBODY, bound)
            add(group, f"{how} {kind} absent", limits, NOBODY)
            add(group, f"{how} {kind} beside", limits, NOBODY, (Name("dns", INSIDE),))
            others = [k for k in values if k != kind]
            add(group, f"{how} {kind} another", limits, NOBODY,
                (Name(others[0], values[others[0]]),))


def common_names(group):
    """A common name is a name of the client, whatever else it has."""
    bound = (Name("dns", "tenant.example"),)
    people = ("tenant.example", INSIDE, OUTSIDE, "pump 1", "pump", "*.tenant.example",
              "a b.example", "Other.Example", "other.example.", "host_1.example", "192.0.2.1", "x",
              "")
    beside = {
        "alone": (), "DNS inside": (Name("dns", INSIDE),), "DNS outside": (Name("dns", OUTSIDE),),
        "address": (Name("ip", NEAR),), "URI": (Name("uri", "urn:x"),),
        "mail": (Name("email", "me@tenant.example"),), "id": (Name("id", b"\x2a\x03"),),
        "other": (Name("other", oid("1.2.3.4") + tlv(0xA0, tlv(pki.UTF8, b"x"))),),
    }
    for (place, alternative), text in itertools.product(beside.items(), people):
        for limits, how in (((bound, ()), "permitted"), (((), bound), "excluded")):
            add(group, f"{how} {text or 'empty'} {place}", limits, (("CN", text),), alternative)
    for limits, how in (((bound, ()), "permitted"), (((), bound), "excluded")):
        for two in itertools.product((INSIDE, OUTSIDE, "pump 1"), repeat=2):
            add(group, f"{how} two {' '.join(two)}", limits, tuple(("CN", text) for text in two))
    mail = (Name("email", "tenant.example"),)
    for limits, how in (((mail, ()), "permitted"), (((), mail), "excluded")):
        for text in NAMES["email"]:
            add(group, f"{how} mail in the subject {text}", limits, (("CN", "x"), ("E", text)))
            add(group, f"{how} mail in both {text}", limits, (("CN", "x"), ("E", text)),
                (Name("email", "me@tenant.example" if how == "permitted" else "a@b.example"),))


def several(group):
    """Two names, two bases, two CAs."""
    one, two = Name("dns", "tenant.example"), Name("dns", "other.example")
    inside, outside = Name("dns", INSIDE), Name("dns", OUTSIDE)
    sets = [(), (one,), (two,), (one, two)]
    for number, (may, never, has) in enumerate(itertools.product(
            sets, sets, [(inside,), (outside,), (inside, outside)])):
        if may + never:
            add(group, f"two bases {number}", (may, never), NOBODY, has)
    deeper = Name("dns", "d.tenant.example")
    places = [((), ()), ((one,), ()), ((two,), ()), ((deeper,), ()), ((), (one,)), ((), (deeper,))]
    for number, (upper, lower) in enumerate(itertools.product(places, repeat=2)):
        for has in ((inside,), (outside,), (Name("dns", "e.tenant.example"),), ()):
            high = tenant(upper, name="Upper") if upper != ((), ()) else ca("Upper")
            low = (tenant(lower, high, "Lower") if lower != ((), ()) else ca("Lower", high))
            expected, why = judge([upper, lower], NOBODY, has)
            text = has[0].value if has else "none"
            group.add(f"two CAs {number} {text}", expected, why,
                      [client(low, NOBODY, has), low, high])


def places(group):
    """Constraints bind all certificates below, CAs among them, unless these are self-issued."""
    bound = ((Name("dns", "tenant.example"),), ())
    inside, outside = (Name("dns", INSIDE),), (Name("dns", OUTSIDE),)
    for critical in (True, False):
        for has in (inside, outside):
            expected, why = judge([bound], NOBODY, has)
            what = f"{'critical' if critical else 'not critical'} {has[0].value}"
            one = tenant(bound, critical=critical)
            group.add(f"issuer {what}", expected, why, [client(one, NOBODY, has), one])
            below = ca("Below", one)
            group.add(f"middle {what}", expected, why, [client(below, NOBODY, has), below, one])
            free = ca("Free", below)
            group.add(f"top {what}", expected, why, [client(free, NOBODY, has), free, below, one])
            top = Node("Bound root", ca=True, constraints=(limit(*bound), critical))
            group.add(f"anchor {what}", expected, why, [client(top, NOBODY, has)], [top])
    one = tenant(bound)
    for has, expected in ((names(INSIDE), ACCEPT), (names(OUTSIDE), "name_constraint")):
        below = ca("Below", one, names=has)
        what = "inside" if expected == ACCEPT else "outside"
        group.add(f"a CA's own name {what}", expected, RFC, [client(below, NOBODY, ()), below, one])
        again = ca("Tenant", one, key=another_key(1), names=has)
        group.add(f"a self-issued CA's name {what}", ACCEPT, "RFC 5280 6.1.3 (b)",
                  [client(again, NOBODY, ()), again, one])
    people = ((Name("directory", (("O", "Example"),)),), ())
    one = tenant(people)
    for name, expected in (((("O", "Example"), ("CN", "Below")), ACCEPT),
                           ((("O", "Other"), ("CN", "Below")), "name_constraint")):
        below = ca(subject(name), one)
        group.add(f"a CA's subject {name[0][1]}", expected, RFC,
                  [client(below, (("O", "Example"),), ()), below, one])
    self_issued = leaf(one, name="Tenant")
    group.add("a client with its CA's name", "name_constraint", "RFC 5280 6.1.3 (b): not the last",
              [self_issued, one])


def spellings(group):
    """Constraints that nobody can apply refuse whatever they could be about."""
    dns = chains.dns("tenant.example")
    forms = {
        "nothing": seq(), "no list": seq(tlv(0xA0)), "two empty lists": seq(tlv(0xA0), tlv(0xA1)),
        "minimum 1": seq(tlv(0xA0, seq(dns, tlv(0x80, b"\x01")))),
        "maximum": seq(tlv(0xA0, seq(dns, tlv(0x81, b"\x05")))),
        "a third list": seq(tlv(0xA0, seq(dns)), tlv(0xA2, seq(dns))),
        "lists turned": seq(tlv(0xA1, seq(dns)), tlv(0xA0, seq(dns))),
        "a name of no kind": seq(tlv(0xA0, seq(tlv(0x89, b"x")))),
        "a name alone": seq(tlv(0xA0, dns)), "junk": b"\xff\xff", "text": tlv(pki.UTF8, b"x"),
        "an address of 5 octets": seq(tlv(0xA0, seq(tlv(0x87, b"\xc0\x00\x02\x00\xff")))),
    }
    for what, value in forms.items():
        one = ca("Tenant", constraints=(value, True))
        has = names("192.0.2.7") if "address" in what else names(INSIDE)
        group.add(f"spelled as {what}", ("name_constraint", "bad_encoding"),
                  "RFC 5280 4.2.1.10: minimum 0, no maximum; X.690", [leaf(one, names=has), one])
    twice = (extension(chains.NAME_CONSTRAINTS, limit((Name("dns", "other.example"),))),)
    one = tenant(((Name("dns", "tenant.example"),), ()), extra=twice)
    group.add("two extensions", "bad_encoding", "RFC 5280 4.2", [leaf(one, names=names(INSIDE)),
                                                                 one])
    past = tenant(((Name("dns", "tenant.example"),), ()), **EXPIRED)
    group.add("an expired CA with a way around its constraints", ACCEPT, "RFC 5280 6.1",
              [leaf(ca("Tenant"), names=names(OUTSIDE)), past, ca("Tenant")])


@functools.lru_cache(maxsize=None)
def groups():
    made = []
    for name, fill in {"names-grid": dns_and_addresses, "names-kinds": each_kind,
                       "names-without-rules": kinds_without_rules, "names-common": common_names,
                       "names-several": several, "names-places": places,
                       "names-spelling": spellings}.items():
        group = Group(name)
        fill(group)
        made.append(group)
    return made
