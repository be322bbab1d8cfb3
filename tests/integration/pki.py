"""Certificates for tests: built here byte by byte, keys made by openssl, signatures by signing.py.

Writing the DER ourselves allows what no command line makes: a name with a NUL in it, a certificate
that expired an hour ago, a revocation list of any age. Keys are made once per process.
"""

import atexit
import base64
import datetime
import functools
import hashlib
import ipaddress
import itertools
import os
import shutil
import subprocess
import tempfile

import signing

UTF8, TELETEX, BMP = 0x0C, 0x14, 0x1E
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
_serials = itertools.count(0x1001)


# DER -----------------------------------------------------------------------------------------

def tlv(tag, *parts):
    body = b"".join(parts)
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    raw = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(raw)]) + raw + body


def seq(*parts):
    return tlv(0x30, *parts)


def integer(value):
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(dotted):
    first, second, *rest = (int(n) for n in dotted.split("."))
    out = bytearray([first * 40 + second])
    for number in rest:
        group = [number & 0x7F]
        while number := number >> 7:
            group.append(0x80 | number & 0x7F)
        out += bytes(reversed(group))
    return tlv(0x06, bytes(out))


def bits(data, unused=0):
    return tlv(0x03, bytes([unused]), data)


def when(moment):
    if moment.year < 2050:
        return tlv(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())
    return tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode())


def distinguished_name(names):
    """names: common name as text, or a list of (attribute OID, bytes, string type)."""
    if isinstance(names, str):
        names = [("2.5.4.3", names.encode(), UTF8)]
    return seq(*(tlv(0x31, seq(oid(kind), tlv(tag, value))) for kind, value, tag in names))


def common_names(*values):
    """A subject of several, or of odd, common names (bytes)."""
    return [("2.5.4.3", value, UTF8) for value in values]


def extension(dotted, value, critical=False):
    return seq(oid(dotted), b"\x01\x01\xff" if critical else b"", tlv(0x04, value))


def alternative_name(name):
    """'host', '192.0.2.1', 'uri:...', or (tag, bytes) for anything else."""
    if isinstance(name, tuple):
        return tlv(*name)
    if name.startswith("uri:"):
        return tlv(0x86, name[4:].encode())
    try:
        return tlv(0x87, ipaddress.ip_address(name).packed)
    except ValueError:
        return tlv(0x82, name.encode())


def pem(label, der):
    text = base64.encodebytes(der).decode()
    lines = text.replace("\n", "")
    body = "\n".join(lines[i:i + 64] for i in range(0, len(lines), 64))
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"


def parse(der):
    """The first value in der: (tag, content, what follows)."""
    size, start = der[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(der[2:start], "big")
    return der[0], der[start:start + size], der[start + size:]


def serial_of(der):
    """A certificate's serial in upper-case hex."""
    _, _, rest = parse(parse(parse(der)[1])[1])  # what follows the version
    return f"{int.from_bytes(parse(rest)[1], 'big'):X}"


# Keys ----------------------------------------------------------------------------------------

@functools.lru_cache(maxsize=None)
def _folder():
    folder = tempfile.mkdtemp(prefix="postern-pki-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Key:
    KINDS = {
        "ecdsa": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "ecdsa384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        "ecdsa521": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
        "ed25519": ["-algorithm", "ED25519"],
        "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        "rsa4096": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
        "rsa3072": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
        "rsa1024": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
        # Five primes are found much faster than two large ones.
        "rsa8192": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:8192", "-pkeyopt",
                    "rsa_keygen_primes:5"],
        "rsa_exponent": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt",
                         "rsa_keygen_pubexp:18446744073709551853"],
        "ed448": ["-algorithm", "ED448"],
        "secp256k1": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
    }

    def __init__(self, kind):
        self.kind = kind
        handle, self.path = tempfile.mkstemp(dir=_folder(), suffix=".key")
        os.close(handle)
        subprocess.run(["openssl", "genpkey", *self.KINDS[kind], "-out", self.path], check=True,
                       stderr=subprocess.DEVNULL)
        with open(self.path, encoding="ascii") as file:
            self.pem = file.read()
        self.public = subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout", "-outform",
                                      "DER"], check=True, stdout=subprocess.PIPE).stdout
        # The identifier covers the bit string alone, RFC 5280 4.2.1.2: any unique value does.
        self.identifier = hashlib.sha1(self.public).digest()

    def algorithm(self):
        if self.kind.startswith("rsa"):
            return seq(oid("1.2.840.113549.1.1.11"), b"\x05\x00")
        if self.kind in ("ed25519", "ed448"):
            return seq(oid("1.3.101.112" if self.kind == "ed25519" else "1.3.101.113"))
        return seq(oid("1.2.840.10045.4.3.2"))

    def sign(self, data):
        return seq(data, self.algorithm(), bits(signing.sign(self, data)))


@functools.lru_cache(maxsize=None)
def key(kind, which=0):
    """The same key for the same arguments, within one process."""
    return Key(kind)


# Certificates --------------------------------------------------------------------------------

class Certificate:
    def __init__(self, der, own_key, serial, chain=()):
        self.der = der
        self.pem = pem("CERTIFICATE", der)
        self.key = own_key
        self.key_pem = own_key.pem
        self.serial = serial
        self.serial_hex = f"{serial:X}"
        self.chain = "".join(c.pem for c in chain)
        self.fingerprint = hashlib.sha256(der).hexdigest()

    def write(self, folder, cert="cert.pem", chain="chain.pem", key_name="privkey.pem"):
        """The three files as certbot writes them; returns the folder."""
        os.makedirs(folder, exist_ok=True)
        write(os.path.join(folder, cert), self.pem)
        if self.chain:
            write(os.path.join(folder, chain), self.chain)
        write(os.path.join(folder, key_name), self.key_pem)
        return folder


class Authority:
    def __init__(self, name="Test CA", kind="ecdsa", parent=None, which=None, identifier="own",
                 **options):
        """identifier: of its key; other bytes than its own, or None to leave it out."""
        self.subject = distinguished_name(name)
        self.key = key(kind, which if which is not None else ("ca", name))
        self.identifier = self.key.identifier if identifier == "own" else identifier
        self.parent = parent
        signer = parent or self
        self.certificate = signer.issue(name, own_key=self.key, authority=True,
                                        identifier=self.identifier, **options)
        self.pem = self.certificate.pem

    def issue(self, subject="localhost", names=None, kind="ecdsa", own_key=None, authority=False,
              usage="server", start=NOW - DAY, end=NOW + 90 * DAY, serial=None, identifier="own",
              extra=()):
        """names: alternative names (a server's default is localhost and loopback). extra: more
        extensions."""
        own_key = own_key or key(kind)
        serial = next(_serials) if serial is None else serial
        if names is None:
            names = ["localhost", "127.0.0.1", "::1"] if usage == "server" else []
        identifier = own_key.identifier if identifier == "own" else identifier
        extensions = []
        if identifier:
            extensions.append(extension("2.5.29.14", tlv(0x04, identifier)))
        if self.identifier:
            extensions.append(extension("2.5.29.35", seq(tlv(0x80, self.identifier))))
        if authority:
            extensions += [extension("2.5.29.19", seq(b"\x01\x01\xff"), True),
                           extension("2.5.29.15", bits(b"\x06", 1), True)]
        else:
            purpose = {"server": "1.3.6.1.5.5.7.3.1", "client": "1.3.6.1.5.5.7.3.2"}[usage]
            extensions += [extension("2.5.29.15", bits(b"\x80", 7), True),
                           extension("2.5.29.37", seq(oid(purpose)))]
            if names:
                extensions.append(extension("2.5.29.17", seq(*map(alternative_name, names))))
        extensions += extra
        body = seq(tlv(0xA0, integer(2)), integer(serial), self.key.algorithm(), self.subject,
                   seq(when(start), when(end)), distinguished_name(subject), own_key.public,
                   tlv(0xA3, seq(*extensions)))
        return Certificate(self.key.sign(body), own_key, serial, self.chain())

    def chain(self):
        """The intermediates that a leaf of this authority needs: not the root."""
        if getattr(self, "certificate", None) is None or self.parent is None:
            return []
        return [self.certificate, *self.parent.chain()]

    def crl(self, revoked=(), start=NOW - DAY, end=NOW + 30 * DAY, number=1):
        entries = [seq(integer(getattr(c, "serial", c)), when(start)) for c in revoked]
        body = seq(integer(1), self.key.algorithm(), self.subject, when(start), when(end),
                   seq(*entries) if entries else b"",
                   tlv(0xA0, seq(extension("2.5.29.35", seq(tlv(0x80, self.identifier))),
                                 extension("2.5.29.20", integer(number)))))
        return pem("X509 CRL", self.key.sign(body))


@functools.lru_cache(maxsize=None)
def authority(name="Test CA", kind="ecdsa"):
    """A root, the same one for the same name within one process."""
    return Authority(name, kind)


@functools.lru_cache(maxsize=None)
def server(kind="ecdsa"):
    """The server certificate that most tests serve."""
    return authority().issue(kind=kind)


@functools.lru_cache(maxsize=None)
def client(name="device-1", kind="ecdsa"):
    """A client certificate of the usual client authority."""
    return authority("Device CA").issue(name, usage="client", kind=kind,
                                        own_key=key(kind, "client"))


def write(path, text, mode=0o600):
    """Replaces a file in one step, as a careful administrator would."""
    temporary = f"{path}.new"
    with open(temporary, "w" if isinstance(text, str) else "wb") as file:
        file.write(text)
    os.chmod(temporary, mode)
    os.replace(temporary, path)
    return path
