"""A TLS client by hand: it makes each message of its handshake itself, so that a test can leave one
out, change it after it was signed, or send it in another place. X25519, AES-128-GCM and SHA-256
only; what the server says of itself is not checked."""

import contextlib
import hashlib
import hmac
import os
import struct

from clients import TcpClient

try:
    from cryptography.hazmat.primitives.asymmetric import x25519
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    AVAILABLE = True
except ImportError:
    AVAILABLE = False

CHANGE, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
(CLIENT_HELLO, SERVER_HELLO, CERTIFICATE, SERVER_EXCHANGE, SERVER_DONE, CERTIFICATE_VERIFY,
 CLIENT_EXCHANGE, FINISHED) = 1, 2, 11, 12, 14, 15, 16, 20
ECDSA_P256, RSA_PSS = b"\x04\x03", b"\x08\x04"
KEY_SHARE = 51


class Refused(Exception):
    """An alert came, by its number; None: the connection ended without one."""

    def __init__(self, alert):
        super().__init__(f"alert {alert}")
        self.alert = alert


def vector(size, *parts):
    body = b"".join(parts)
    return len(body).to_bytes(size, "big") + body


def message(kind, *parts):
    return bytes([kind]) + vector(3, *parts)


def extension(number, *parts):
    return struct.pack(">H", number) + vector(2, *parts)


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def digest(data):
    return hashlib.sha256(data).digest()


class HandMade(TcpClient):
    """What both versions share. say() sends one message of the handshake."""

    def __init__(self, address):
        super().__init__(address)
        self.transcript = b""
        self.private = x25519.X25519PrivateKey.generate()
        self.random = os.urandom(32)
        self.shake()

    @staticmethod
    def new_share(private=None):
        private = private or x25519.X25519PrivateKey.generate()
        return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def agree(self, share):
        return self.private.exchange(x25519.X25519PublicKey.from_public_bytes(share))

    # Records.

    def exactly(self, size):
        got = b""
        while len(got) < size:
            try:
                piece = self.sock.recv(size - len(got))
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise Refused(None)
            got += piece
        return got

    def record(self):
        """The next one's type and content, decrypted as soon as it is encrypted."""
        head = self.exactly(5)
        kind, content = self.unseal(head, self.exactly(struct.unpack(">H", head[3:])[0]))
        if kind == ALERT:
            raise Refused(content[1])
        return kind, content

    def messages(self, last):
        """The server's, up to the one of this type."""
        waiting = b""
        while True:
            kind, content = self.record()
            waiting += content if kind == HANDSHAKE else b""
            while len(waiting) >= 4 and len(waiting) >= 4 + int.from_bytes(waiting[1:4], "big"):
                size = 4 + int.from_bytes(waiting[1:4], "big")
                one, waiting = waiting[:size], waiting[size:]
                self.transcript += one
                yield one
                if one[0] == last:
                    return

    def raw_send(self, data):
        """The server may have refused already; record() has its alert."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().raw_send(data)

    def say(self, sent, heard=None):
        """heard: what this client believes to have sent instead."""
        self.transcript += sent if heard is None else heard
        self.raw_send(self.seal(HANDSHAKE, sent))

    def ask(self, data):
        """Finishes the handshake and sends data: what comes back, unless it raises Refused."""
        self.finish()
        self.raw_send(self.seal(DATA, data))
        while True:
            kind, content = self.record()
            if kind == DATA:
                return content

    def verify(self, private, over=None, scheme=ECDSA_P256):
        """CertificateVerify; private: signs bytes."""
        made = private(self.to_sign() if over is None else over)
        return message(CERTIFICATE_VERIFY, scheme, vector(2, made))


class Tls12(HandMade):
    version = "1.2"

    def shake(self):
        self.sealing, self.opening, self.sent, self.received = None, None, 0, 0
        hello = message(CLIENT_HELLO, b"\x03\x03", self.random, vector(1), vector(2, b"\xc0\x2b"),
                        vector(1, b"\0"), vector(
                            2, extension(13, vector(2, ECDSA_P256, RSA_PSS)),
                            extension(10, vector(2, b"\x00\x1d")), extension(11, vector(1, b"\0"))))
        self.say(hello)
        for one in self.messages(SERVER_DONE):
            if one[0] == SERVER_HELLO:
                server_random = one[6:38]
            elif one[0] == SERVER_EXCHANGE:
                share = one[8:8 + one[7]]
        self.master = self.expand(self.agree(share), b"master secret", self.random + server_random,
                                  48)
        keys = self.expand(self.master, b"key expansion", server_random + self.random, 40)
        self.keys = keys[:16], keys[32:36], keys[16:32], keys[36:40]

    @staticmethod
    def expand(secret, label, seed, size):
        """RFC 5246 5."""
        seed = round_ = label + seed
        made = b""
        while len(made) < size:
            round_ = mac(secret, round_)
            made += mac(secret, round_ + seed)
        return made[:size]

    def seal(self, kind, data):
        head = bytes([kind]) + b"\x03\x03"
        if self.sealing is None:
            return head + vector(2, data)
        key, salt = self.sealing
        number = struct.pack(">Q", self.sent)
        self.sent += 1
        sealed = AESGCM(key).encrypt(salt + number, data, number + head + vector(2, data)[:2])
        return head + vector(2, number, sealed)

    def unseal(self, head, content):
        if head[0] == CHANGE:
            self.opening = self.keys[2:]
            return CHANGE, content
        if self.opening is None:
            return head[0], content
        key, salt = self.opening
        number = struct.pack(">Q", self.received)
        self.received += 1
        size = struct.pack(">H", len(content) - 24)
        plain = AESGCM(key).decrypt(salt + content[:8], content[8:], number + head[:3] + size)
        return head[0], plain

    @staticmethod
    def certificate(*chain):
        return message(CERTIFICATE, vector(3, *(vector(3, der) for der in chain)))

    def exchange(self, share=None):
        self.say(message(CLIENT_EXCHANGE, vector(1, share or self.new_share(self.private))))

    def to_sign(self):
        return self.transcript

    def finish(self, verify_data=None):
        self.raw_send(self.seal(CHANGE, b"\x01"))
        self.sealing = self.keys[:2]
        made = self.expand(self.master, b"client finished", digest(self.transcript), 12)
        self.say(message(FINISHED, verify_data or made))


class Tls13(HandMade):
    version = "1.3"

    def shake(self):
        self.sealing = self.opening = None
        hello = message(CLIENT_HELLO, b"\x03\x03", self.random, vector(1, os.urandom(32)),
                        vector(2, b"\x13\x01"), vector(1, b"\0"), vector(
                            2, extension(43, vector(1, b"\x03\x04")),
                            extension(13, vector(2, ECDSA_P256, RSA_PSS)),
                            extension(10, vector(2, b"\x00\x1d")),
                            extension(KEY_SHARE, vector(2, b"\x00\x1d",
                                                        vector(2, self.new_share(self.private))))))
        self.say(hello)
        for one in self.messages(FINISHED):
            if one[0] == SERVER_HELLO:
                self.derive_handshake(self.agree(self.share_in(one)))
        self.sealing = self.handshake_keys(self.client_secret)
        self.client_data = self.derive(self.master, b"c ap traffic")
        self.opening = self.handshake_keys(self.derive(self.master, b"s ap traffic"))

    @staticmethod
    def share_in(hello):
        at = 39 + hello[38] + 3  # after the random, the session ID, the suite and compression
        end = at + 2 + int.from_bytes(hello[at:at + 2], "big")
        at += 2
        while at < end:
            number, size = struct.unpack(">HH", hello[at:at + 4])
            if number == KEY_SHARE:
                return hello[at + 8:at + 4 + size]
            at += 4 + size
        raise AssertionError("no key share")

    # RFC 8446 7.1.

    @staticmethod
    def expand(secret, label, context, size):
        info = struct.pack(">H", size) + vector(1, b"tls13 " + label) + vector(1, context)
        return mac(secret, info + b"\x01")[:size]

    def derive(self, secret, label, transcript=None):
        return self.expand(secret, label, digest(self.transcript if transcript is None
                                                 else transcript), 32)

    def derive_handshake(self, shared):
        nothing = bytes(32)
        secret = mac(self.derive(mac(nothing, nothing), b"derived", b""), shared)
        self.client_secret = self.derive(secret, b"c hs traffic")
        self.opening = self.handshake_keys(self.derive(secret, b"s hs traffic"))
        self.master = mac(self.derive(secret, b"derived", b""), nothing)

    def handshake_keys(self, secret):
        """[cipher, IV, number of the next record]"""
        key, iv = self.expand(secret, b"key", b"", 16), self.expand(secret, b"iv", b"", 12)
        return [AESGCM(key), iv, 0]

    @staticmethod
    def next_nonce(keys):
        nonce = int.from_bytes(keys[1], "big") ^ keys[2]
        keys[2] += 1
        return nonce.to_bytes(12, "big")

    def seal(self, kind, data):
        if self.sealing is None:
            return bytes([kind]) + b"\x03\x01" + vector(2, data)
        head = b"\x17\x03\x03" + struct.pack(">H", len(data) + 17)
        nonce = self.next_nonce(self.sealing)
        return head + self.sealing[0].encrypt(nonce, data + bytes([kind]), head)

    def unseal(self, head, content):
        if head[0] != DATA:
            return head[0], content
        plain = self.opening[0].decrypt(self.next_nonce(self.opening), content, head).rstrip(b"\0")
        return plain[-1], plain[:-1]

    @staticmethod
    def certificate(*chain):
        return message(CERTIFICATE, b"\0",
                       vector(3, *(vector(3, der) + b"\0\0" for der in chain)))

    def exchange(self, share=None):
        """It was part of the hello."""

    def to_sign(self, role=b"client"):
        return (b" " * 64 + b"TLS 1.3, " + role + b" CertificateVerify\0" + digest(self.transcript))

    def finish(self, verify_data=None):
        made = mac(self.expand(self.client_secret, b"finished", b"", 32), digest(self.transcript))
        self.say(message(FINISHED, verify_data or made))
        self.sealing = self.handshake_keys(self.client_data)
