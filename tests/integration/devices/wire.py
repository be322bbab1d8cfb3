"""A relay between a client and Postern that also parses what it relays: what the ClientHello asks
for, and how large the server's records are. It changes nothing; what a client reports about itself
is not relied on.
"""

import select
import socket
import struct
import threading

from clients import PATIENCE, format_peer

HANDSHAKE, APPLICATION_DATA = 22, 23
CLIENT_HELLO, SERVER_HELLO = 1, 2
MAX_FRAGMENT_LENGTH, ALPN, SESSION_TICKET, PRE_SHARED_KEY, KEY_SHARE = 1, 16, 35, 41, 51


class Hello:
    """What matters here of a ClientHello."""

    def __init__(self, body):
        self.session_id, rest = self._vector(body[34:], 1)
        _suites, rest = self._vector(rest, 2)
        _compression, rest = self._vector(rest, 1)
        self.extensions = {}
        rest, _ = self._vector(rest, 2) if rest else (b"", b"")
        while rest:
            kind = struct.unpack("!H", rest[:2])[0]
            self.extensions[kind], rest = self._vector(rest[2:], 2)

    @staticmethod
    def _vector(data, width):
        size = int.from_bytes(data[:width], "big")
        return data[width:width + size], data[width + size:]

    @property
    def fragment_length(self):
        """The max_fragment_length asked for, in bytes; None without."""
        value = self.extensions.get(MAX_FRAGMENT_LENGTH)
        return None if value is None else 256 << value[0]

    @property
    def shares(self):
        """The groups that the client has sent a key of."""
        groups, rest = set(), self._vector(self.extensions.get(KEY_SHARE, b""), 2)[0]
        while rest:
            groups.add(struct.unpack("!H", rest[:2])[0])
            _key, rest = self._vector(rest[2:], 2)
        return groups

    @property
    def protocols(self):
        """The application protocols that it offers."""
        names, rest = [], self._vector(self.extensions.get(ALPN, b""), 2)[0]
        while rest:
            name, rest = self._vector(rest, 1)
            names.append(name.decode())
        return names

    def asks(self, issued):
        """How the client asks to resume: 'ticket', 'ID', or 'full' if it does not. issued: session
        IDs that it may have; TLS 1.3 sends others, for middleboxes' sake."""
        if PRE_SHARED_KEY in self.extensions or self.extensions.get(SESSION_TICKET):
            return "ticket"
        return "ID" if self.session_id in issued else "full"


class Connection:
    """One relayed connection."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.peer = format_peer(server.getsockname())  # as Postern's log names it
        self._up, self._down = bytearray(), bytearray()
        self.records = []  # the server's: (type, length)
        self.issued = b""  # the session ID in its ServerHello

    def hello(self):
        """The ClientHello; an AssertionError if none came."""
        message, data = b"", bytes(self._up)
        while len(data) >= 5 and data[0] == HANDSHAKE:
            size = struct.unpack("!H", data[3:5])[0]
            message, data = message + data[5:5 + size], data[5 + size:]
            if len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4], "big"):
                break
        assert message[:1] == bytes([CLIENT_HELLO]), f"no ClientHello: {bytes(self._up)[:20]!r}"
        return Hello(message[4:])

    def largest(self, *types):
        return max((size for kind, size in self.records if kind in types), default=0)

    def passing(self, data, upwards):
        if upwards:
            if len(self._up) < 16384:
                self._up += data
            return
        self._down += data
        while len(self._down) >= 5:
            kind, _, size = struct.unpack("!BHH", self._down[:5])
            if len(self._down) < 5 + size:
                break
            self.records.append((kind, size))
            if not self.issued and kind == HANDSHAKE and self._down[5] == SERVER_HELLO:
                self.issued = bytes(self._down[44:44 + self._down[43]])
            del self._down[:5 + size]


class Wire:
    """Listens on a port of its own and relays to address, which is that listener's."""

    def __init__(self, address, listener=None):
        self.address, self.listener = address, listener
        self.connections = []
        self._wake_read, self._wake_write = socket.socketpair()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        other = {}
        while True:
            ready = select.select([self._listener, self._wake_read, *other], [], [])[0]
            if self._wake_read in ready:
                break
            for sock in ready:
                if sock is self._listener:
                    self._accept(other)
                elif sock in other:
                    self._pass(sock, other)
        for sock in other:
            sock.close()

    def _accept(self, other):
        client = self._listener.accept()[0]
        server = socket.create_connection(self.address, PATIENCE)
        for sock in (client, server):
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(client, server)
        self.connections.append(connection)
        other[client], other[server] = connection, connection

    @staticmethod
    def _pass(sock, other):
        connection = other[sock]
        upwards = sock is connection.client
        target = connection.server if upwards else connection.client
        try:
            data = sock.recv(65536)
            if data:
                connection.passing(data, upwards)
                target.sendall(data)
                return
            target.shutdown(socket.SHUT_WR)
        except OSError:
            # A reset is relayed as one in both directions: neither side must wait for the other.
            for end in (connection.client, connection.server):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                other.pop(end, None)
                end.close()
            return
        del other[sock]
        if target not in other:
            sock.close()
            target.close()

    def resumption(self, number=-1):
        """How that connection asked to resume: 'ticket', 'ID', or 'full' if it did not."""
        issued = [c.issued for c in self.connections[:number] if c.issued]
        return self.connections[number].hello().asks(issued)

    def cut(self):
        """Ends what is connected, without close_notify; the relay goes on listening."""
        for connection in self.connections:
            for end in (connection.client, connection.server):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # has ended by itself

    def stop(self):
        self._wake_write.send(b"x")
        self._thread.join(PATIENCE)
        for sock in (self._listener, self._wake_read, self._wake_write):
            sock.close()
