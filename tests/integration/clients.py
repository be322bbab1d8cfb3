"""What connects to Postern: TLS clients whose every byte a test controls, and a small MQTT client.

TLS runs over memory buffers, not over ssl.SSLSocket: so a test can send a handshake byte by byte,
end one direction only, vanish without close_notify, or stop reading.
"""

import os
import socket
import ssl
import struct
import tempfile
import threading
import time

import pki

# How much longer than usual everything may take: with sanitizers, or in an emulator.
SLOW = int(os.environ.get("POSTERN_SLOW") or (4 if os.environ.get("POSTERN_SANITIZED") == "1" else 1))
PATIENCE = 15 * SLOW  # seconds until a test gives up waiting for something that should come
VERSIONS = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1,
            "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Truncated(Exception):
    """The TCP connection ended without close_notify."""


def wait_until(condition, what, timeout=PATIENCE):
    """Polls until condition() is true and returns its value; fails with what was awaited."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain: {what}")
        time.sleep(0.01)


def tls_context(ca_pem=None, version=None, cert=None, ciphers=None, groups=None):
    """A client's context. cert: a pki.Certificate to send. Without ca_pem nothing is verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_pem:
        context.load_verify_locations(cadata=ca_pem)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if version in ("1.0", "1.1"):
        ciphers = ciphers or "ALL:@SECLEVEL=0"
    if ciphers:
        context.set_ciphers(ciphers)
    if groups:
        context.set_ecdh_curve(groups)
    if version:
        context.minimum_version = VERSIONS[version]
        context.maximum_version = VERSIONS[version]
    if cert:
        load_identity(context, cert)
    return context


def load_identity(context, cert):
    """ssl wants files; they exist only while it reads them."""
    with tempfile.NamedTemporaryFile("w") as certs, tempfile.NamedTemporaryFile("w") as key:
        certs.write(cert.pem + cert.chain)
        certs.flush()
        key.write(cert.key_pem)
        key.flush()
        context.load_cert_chain(certs.name, key.name)


def format_peer(address):
    """An address as the log writes it."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class TcpClient:
    """A TCP connection with deadlines; the base of all clients, and plain ones as they are."""

    since = 0  # where the server's log was before it came (Postern.mark), for Postern.end_of

    def __init__(self, address, source=None, receive_buffer=None):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.sock.bind((source, 0))
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peer = format_peer(self.sock.getsockname())

    def raw_send(self, data):
        self.sock.sendall(data)

    def raw_recv(self, size=65536):
        return self.sock.recv(size)

    def raw_end(self, timeout=PATIENCE):
        """Reads until the other side ends; returns what came and how it ended: 'fin', 'reset'."""
        self.sock.settimeout(timeout)
        got = bytearray()
        try:
            while data := self.sock.recv(65536):
                got += data
            return bytes(got), "fin"
        except ConnectionResetError:
            return bytes(got), "reset"

    def reset(self):
        """Leaves with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def cut(self):
        """Closes the TCP connection without close_notify."""
        self.sock.close()


class TlsClient(TcpClient):
    def __init__(self, address, context, server_name="localhost", session=None, handshake=True,
                 **tcp):
        super().__init__(address, **tcp)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name,
                                    session=session)
        # One thread may send while another receives: the object is under one lock, the order of
        # what leaves under another, taken first.
        self._tls_lock, self._send_lock = threading.Lock(), threading.Lock()
        if handshake:
            try:
                self.handshake()
            except BaseException:
                self.sock.close()
                raise

    # The handshake, in pieces where a test wants that.

    def hello(self):
        """The bytes of our ClientHello, which the test then sends as it likes."""
        assert self.step() is False
        return self._outgoing.read()

    def step(self, data=b""):
        """One handshake step with data from the server: whether it is complete."""
        if data:
            self._incoming.write(data)
        try:
            self.tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False

    def pending_output(self):
        return self._outgoing.read()

    def handshake(self):
        try:
            while not self.step():
                self._flush()
                data = self.sock.recv(65536)
                if not data:
                    raise Truncated("the server ended the connection during the handshake")
                self._incoming.write(data)
        finally:
            self._flush_quietly()
        return self

    def _flush(self):
        if out := self._outgoing.read():
            self.sock.sendall(out)

    def _flush_quietly(self):
        try:
            self._flush()
        except OSError:
            pass  # the earlier failure matters; it is being raised

    # Data.

    @property
    def version(self):
        return self.tls.version()[len("TLSv"):]

    def peer_serial(self):
        """The serial of the certificate that the server presented: upper-case hex."""
        return pki.serial_of(self.tls.getpeercert(binary_form=True))

    def send(self, data, piece=65536):
        view = memoryview(data)
        for start in range(0, len(view), piece):
            with self._send_lock:
                with self._tls_lock:
                    self.tls.write(view[start:start + piece])
                    out = self._outgoing.read()
                self.sock.sendall(out)

    def recv(self, size=65536):
        """Some bytes; b'' after close_notify; Truncated if TCP ended without it."""
        while True:
            with self._tls_lock:
                try:
                    return self.tls.read(size)
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLZeroReturnError:
                    return b""
            data = self.sock.recv(262144)
            if not data:
                raise Truncated("TCP ended without close_notify")
            with self._tls_lock:
                self._incoming.write(data)

    def recv_exactly(self, size):
        got = bytearray()
        while len(got) < size:
            data = self.recv(min(size - len(got), 262144))
            if not data:
                raise AssertionError(f"closed after {len(got)} of {size} bytes")
            got += data
        return bytes(got)

    def recv_all(self):
        """Everything until close_notify."""
        got = bytearray()
        while data := self.recv():
            got += data
        return bytes(got)

    def await_verdict(self):
        """After a TLS 1.3 handshake: raises the alert if the server refuses our certificate (which
        it does after our side of the handshake is complete). Returns the first data otherwise."""
        return self.recv()

    def end_sending(self):
        """close_notify, nothing else: we may still receive."""
        with self._send_lock:
            with self._tls_lock:
                try:
                    self.tls.unwrap()
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError as error:
                    if "APPLICATION_DATA_AFTER_CLOSE_NOTIFY" not in str(error):
                        raise
                out = self._outgoing.read()
            self.sock.sendall(out)

    def close(self):
        """Closes in order. What has come and was not read is read first: else the kernel would
        make it a reset."""
        try:
            self.end_sending()
            self.sock.setblocking(False)
            while self.sock.recv(262144):
                pass
        except (OSError, ssl.SSLError):
            pass
        self.sock.close()


# MQTT ----------------------------------------------------------------------------------------

def mqtt_length(size):
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(out)


def mqtt_packet(first, body):
    return bytes([first]) + mqtt_length(len(body)) + body


def mqtt_text(value):
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(raw)) + raw


def mqtt_connect(client_id="", username=None, password=None, level=4, clean=True, keepalive=60,
                 will=None, properties=b""):
    """A CONNECT packet. level: 3 (MQTT 3.1), 4 (3.1.1), 5; a bridge sets bit 0x80."""
    flags = 0x02 if clean else 0
    payload = mqtt_text(client_id)
    if will:
        flags |= 0x04
        payload += (b"\x00" if level == 5 else b"") + mqtt_text(will[0]) + mqtt_text(will[1])
    if username is not None:
        flags |= 0x80
        payload += mqtt_text(username)
    if password is not None:
        flags |= 0x40
        payload += mqtt_text(password)
    name = "MQIsdp" if level & 0x7F == 3 else "MQTT"
    body = mqtt_text(name) + bytes([level, flags]) + struct.pack("!H", keepalive)
    if level == 5:
        body += mqtt_length(len(properties)) + properties
    return mqtt_packet(0x10, body + payload)


class Mqtt:
    """A small MQTT client over anything with send() and recv_exactly()."""

    def __init__(self, stream, level=4):
        self.stream, self.level, self._next_id = stream, level, 0

    def read(self):
        """One packet: (first byte, body)."""
        first = self.stream.recv_exactly(1)[0]
        size = shift = 0
        while True:
            digit = self.stream.recv_exactly(1)[0]
            size |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                break
        return first, self.stream.recv_exactly(size) if size else b""

    def _id(self):
        self._next_id = self._next_id % 65535 + 1
        return struct.pack("!H", self._next_id)

    def connect(self, client_id="", **options):
        """Returns the return code of CONNACK."""
        self.stream.send(mqtt_connect(client_id, level=self.level, **options))
        return self.connack()

    def connack(self):
        first, body = self.read()
        assert first == 0x20, f"expected CONNACK, got {first:#x}"
        return body[1]

    def subscribe(self, topic, qos=1):
        self.stream.send(mqtt_packet(0x82, self._id() + (b"\x00" if self.level == 5 else b"")
                                     + mqtt_text(topic) + bytes([qos])))
        first, body = self.read()
        assert first == 0x90, f"expected SUBACK, got {first:#x}"
        return body[-1]

    def send_publish(self, topic, payload, qos=1, retain=False):
        payload = payload.encode() if isinstance(payload, str) else payload
        head = mqtt_text(topic) + (self._id() if qos else b"")
        head += b"\x00" if self.level == 5 else b""
        self.stream.send(mqtt_packet(0x30 | qos << 1 | retain, head + payload))

    def publish(self, topic, payload, **options):
        """QoS 1, until acknowledged. Only on a client that subscribes to nothing."""
        self.send_publish(topic, payload, **options)
        first, body = self.read()
        assert first == 0x40, f"expected PUBACK, got {first:#x}"
        return body

    def parse_publish(self, first, body):
        size = struct.unpack("!H", body[:2])[0]
        topic, rest = body[2:2 + size].decode(), body[2 + size:]
        if first & 0x06:
            self.stream.send(mqtt_packet(0x40, rest[:2]))
            rest = rest[2:]
        if self.level == 5:
            rest = rest[1 + rest[0]:]
        return topic, rest

    def receive(self):
        """The next message: (topic, payload); acknowledges it."""
        while True:
            first, body = self.read()
            if first & 0xF0 == 0x30:
                return self.parse_publish(first, body)

    def ping(self):
        self.stream.send(b"\xc0\x00")
        first, _ = self.read()
        assert first == 0xD0, f"expected PINGRESP, got {first:#x}"
