"""Certificates of every kind for the tables of client certificates: each part of one can be chosen,
also wrongly. pki.py makes the usual ones."""

import dataclasses
import functools
import hashlib

import pki
import signing
from pki import DAY, NOW, bits, extension, integer, oid, seq, tlv

SKI, KEY_USAGE, SAN, BASIC, NAME_CONSTRAINTS, POLICIES, AKI, POLICY_CONSTRAINTS, PURPOSES = (
    f"2.5.29.{n}" for n in (14, 15, 17, 19, 30, 32, 35, 36, 37))
CLIENT, SERVER, CODE, ANY = ("1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.3",
                             "2.5.29.37.0")
PRINTABLE, IA5 = 0x13, 0x16
USUAL = object()  # what a certificate of its kind usually has

DIGESTS = {"sha1": ("5", "1"), "md5": ("4", None), "sha224": ("14", "3.1"), "sha256": ("11", "3.2"),
           "sha384": ("12", "3.3"), "sha512": ("13", "3.4")}
SIGNATURE, SIGN_CERTIFICATES, SIGN_LISTS = 0, 5, 6


def usage(*numbers):
    """keyUsage with these bits."""
    value = sum(0x80 >> n for n in numbers)
    return bits(bytes([value]), (value & -value).bit_length() - 1 if value else 0)


def basic(authority=True, length=None):
    return seq(b"\x01\x01\xff" if authority else b"", b"" if length is None else integer(length))


def purposes(*dotted):
    return seq(*map(oid, dotted))


def names(*values):
    """subjectAltName, or the list inside of it, as pki.alternative_name has it."""
    return seq(*map(pki.alternative_name, values))


def constraints(permitted=(), excluded=()):
    """nameConstraints: of DER GeneralNames."""
    lists = [tlv(0xA0 | n, *(seq(name) for name in trees))
             for n, trees in enumerate((permitted, excluded)) if trees]
    return seq(*lists)


def dns(name):
    return tlv(0x82, name.encode())


def attributes(*pairs, tag=pki.UTF8):
    """A Name of (attribute OID, text) pairs, one RDN each."""
    encoding = "utf-16-be" if tag == pki.BMP else "utf-8"
    return pki.distinguished_name([(kind, value.encode(encoding), tag) for kind, value in pairs])


def common_name(text, tag=pki.UTF8):
    return attributes(("2.5.4.3", text), tag=tag)


def algorithm(key, digest):
    pkcs1, ecdsa = DIGESTS[digest]
    if key.kind in ("ed25519", "ed448"):
        return key.algorithm()
    if key.kind.startswith("rsa"):
        return seq(oid(f"1.2.840.113549.1.1.{pkcs1}"), b"\x05\x00")
    return seq(oid("1.2.840.10045.4." + ecdsa))


def pss(digest_number, salt):
    """RSASSA-PSS's AlgorithmIdentifier: 1 to 3 for SHA-256 to SHA-512."""
    digest = seq(oid(f"2.16.840.1.101.3.4.2.{digest_number}"))
    return seq(oid("1.2.840.113549.1.1.10"),
               seq(tlv(0xA0, digest), tlv(0xA1, seq(oid("1.2.840.113549.1.1.8"), digest)),
                   tlv(0xA2, integer(salt))))


def key_identifier(key):
    """SHA-1 of the bit string alone (RFC 5280 4.2.1.2, method 1), as most CAs compute it."""
    _, info, _ = pki.parse(key.public)
    _, _, rest = pki.parse(info)
    return hashlib.sha1(pki.parse(rest)[1][1:]).digest()


@dataclasses.dataclass(eq=False)
class Node:
    """A certificate with its key. `issuer` None: self-signed. Extension values are DER, None leaves
    the extension out; a pair (value, critical) chooses that too."""
    name: object = "device"  # text, or a DER Name
    issuer: "Node" = None
    ca: bool = False
    kind: str = "ecdsa"
    key: object = USUAL
    version: int = 3
    serial: object = USUAL  # a number, or the INTEGER's content
    start: object = NOW - DAY
    end: object = NOW + 90 * DAY
    times: object = pki.when
    issuer_name: object = USUAL
    signer: object = USUAL  # another key than the issuer's
    digest: str = "sha256"
    padding: object = None
    inner: object = USUAL  # the AlgorithmIdentifier within what is signed
    damage: bool = False   # the signature
    basic: object = USUAL
    usage: object = USUAL
    purposes: object = None
    ski: object = USUAL
    aki: object = USUAL
    names: object = None
    constraints: object = None
    extra: tuple = ()

    def __post_init__(self):
        which = ("node", self.name if self.ca else "leaf", self.ca)
        self.key = pki.key(self.kind, which) if self.key is USUAL else self.key
        self.subject = self.name if isinstance(self.name, bytes) else common_name(self.name)
        signer = self.issuer or self
        key = signer.key if self.signer is USUAL else self.signer
        scheme = self._scheme(key)
        body = self._body(signer, scheme if self.inner is USUAL else self.inner)
        made = signing.sign(key, body, self.digest, self.padding)
        if self.damage:
            made = made[:-1] + bytes([made[-1] ^ 1])
        self.der = seq(body, scheme, bits(made))
        self.pem = pki.pem("CERTIFICATE", self.der)
        self.key_pem = self.key.pem
        self.chain = ""

    def _scheme(self, key):
        if self.padding is not None:
            return pss({"sha256": 1, "sha384": 2, "sha512": 3}[self.digest], self.padding)
        return algorithm(key, self.digest)

    def _body(self, signer, scheme):
        issuer_name = signer.subject if self.issuer_name is USUAL else self.issuer_name
        parts = [integer(next(pki._serials)) if self.serial is USUAL else self.serial, scheme,
                 issuer_name, seq(self.times(self.start), self.times(self.end)), self.subject,
                 self.key.public]
        if self.version > 1:
            parts.insert(0, tlv(0xA0, integer(self.version - 1)))
        if self.version == 3:
            parts.append(tlv(0xA3, seq(*self._extensions(signer))))
        return seq(*parts)

    def _extensions(self, signer):
        usual = [
            (SKI, self.ski, tlv(4, self.identifier)),
            (AKI, self.aki, seq(tlv(0x80, signer.identifier)) if self.issuer else None),
            (BASIC, self.basic, (basic(), True) if self.ca else None),
            (KEY_USAGE, self.usage, (usage(SIGN_CERTIFICATES, SIGN_LISTS) if self.ca
                                     else usage(SIGNATURE), True)),
            (PURPOSES, self.purposes, None),
            (SAN, self.names, None),
            (NAME_CONSTRAINTS, self.constraints, None),
        ]
        for dotted, value, default in usual:
            value = default if value is USUAL else value
            if value is not None:
                value, critical = value if isinstance(value, tuple) else (value, False)
                yield extension(dotted, value, critical)
        yield from self.extra

    @property
    def identifier(self):
        return key_identifier(self.key)


@functools.lru_cache(maxsize=None)
def authority(name, issuer=None):
    """A usual CA, the same one for the same arguments."""
    return Node(name, authority(issuer) if issuer else None, ca=True)


def crl(issuer, revoked=(), start=NOW - DAY, end=NOW + 30 * DAY, number=1, extra=(), padding=None):
    """A list by this CA; revoked: serials. number None: none."""
    scheme = pss(1, padding) if padding is not None else algorithm(issuer.key, "sha256")
    entries = [seq(integer(serial), pki.when(start)) for serial in revoked]
    extensions = [] if number is None else [extension("2.5.29.20", integer(number))]
    body = seq(integer(1), scheme, issuer.subject, pki.when(start), pki.when(end),
               seq(*entries) if entries else b"",
               tlv(0xA0, seq(*extensions, *extra)) if extensions or extra else b"")
    return pki.pem("X509 CRL", seq(body, scheme, bits(signing.sign(issuer.key, body,
                                                                   salt=padding))))
