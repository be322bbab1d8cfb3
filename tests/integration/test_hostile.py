"""Malicious clients and brokers: nothing hangs, starves others or outlives its time limit."""

import ctypes
import signal
import socket
import threading
import time

from brokers import echo
from clients import TcpClient, format_peer, mqtt_connect
from harness import PATIENCE, SLOW, Case, main, pki, tls_context, wait_until


class KeyUpdater(TcpClient):
    """A TLS 1.3 client that asks for new keys as often as it likes, which Python's ssl cannot.

    Each request makes the server answer, whether its answers are read or not."""

    UPDATE_REQUESTED = 1

    def __init__(self, address):
        self.sock = socket.socket()
        self.sock.settimeout(PATIENCE)
        self.sock.connect(address)
        self.peer = format_peer(self.sock.getsockname())
        self.lib, crypto = ctypes.CDLL("libssl.so.3"), ctypes.CDLL("libcrypto.so.3")
        for function in (self.lib.TLS_client_method, self.lib.SSL_CTX_new, self.lib.SSL_new,
                         crypto.BIO_new, crypto.BIO_s_mem):
            function.restype = ctypes.c_void_p
        pointer = ctypes.c_void_p
        context = pointer(self.lib.SSL_CTX_new(pointer(self.lib.TLS_client_method())))
        self.tls, self.crypto = pointer(self.lib.SSL_new(context)), crypto
        self.lib.SSL_CTX_free(context)
        memory = pointer(crypto.BIO_s_mem())
        self.incoming = pointer(crypto.BIO_new(memory))
        self.outgoing = pointer(crypto.BIO_new(memory))
        self.lib.SSL_set_bio(self.tls, self.incoming, self.outgoing)
        self.lib.SSL_set_connect_state(self.tls)
        while self.lib.SSL_do_handshake(self.tls) != 1:
            self.raw_send(self.output())
            data = self.raw_recv()
            crypto.BIO_write(self.incoming, data, len(data))
        self.raw_send(self.output())

    def output(self):
        out, piece = b"", ctypes.create_string_buffer(65536)
        while (size := self.crypto.BIO_read(self.outgoing, piece, len(piece))) > 0:
            out += piece.raw[:size]
        return out

    def updates(self, count):
        for _ in range(count):
            assert self.lib.SSL_key_update(self.tls, self.UPDATE_REQUESTED) == 1
            assert self.lib.SSL_do_handshake(self.tls) == 1
        return self.output()

    def cut(self):
        super().cut()
        if self.tls:
            self.lib.SSL_free(self.tls)
            self.tls = None


class LeavingClients(Case):
    def test_clients_that_leave_during_a_signature_do_not_affect_others(self):
        """A signature with a large key takes a hundred turns of the loop, and these clients leave
        during it."""
        postern = self.postern(self.fake_broker(echo), certificate=pki.server("rsa4096"),
                               main={"workers": "1"})
        context = tls_context(pki.authority().pem)
        inside = self.client(postern)
        for number in range(40):
            leaver = self.client(postern, context=context, handshake=False)
            leaver.raw_send(leaver.hello())
            leaver.reset()
            if number % 8 == 7:
                newcomer = self.client(postern)
                for client in (inside, newcomer):
                    client.send(b"x")
                    self.assertEqual(client.recv_exactly(1), b"x")


class Stops(Case):
    def test_a_stop_in_the_middle_of_signatures_ends_cleanly(self):
        """The step that a session leaves has to end on the thread that began it."""
        for _ in range(5):
            postern = self.postern(self.fake_broker(echo), certificate=pki.server("rsa4096"))
            for _ in range(6):
                client = self.client(postern, context=tls_context(pki.authority().pem),
                                     handshake=False)
                client.raw_send(client.hello())
            postern.signal(signal.SIGTERM)
            self.assertEqual(postern.process.wait(timeout=PATIENCE), 0)


class TimeLimits(Case):
    def test_a_client_that_sends_only_key_updates_is_disconnected(self):
        """Each key update costs the client next to nothing, but the server a record and time."""
        for mode in ("off", "check"):
            with self.subTest(mqtt=mode):
                postern = self.postern(self.fake_broker(echo), listener={"mqtt": mode})
                client = KeyUpdater(postern.address())
                self.addCleanup(client.cut)
                client.raw_send(client.updates(30))
                client.raw_send(client.updates(30))
                self.assertEqual(postern.end_of(client)["reason"], "tls_error")

    def test_a_broker_that_answers_once_and_then_reads_nothing_times_out(self):
        broker = self.fake_broker(path=self.path("broker.sock"))
        postern = self.postern(broker, listener={"mqtt": "check", "write_timeout": "500ms",
                                                 "connect_timeout": "60s"})
        client = self.client(postern)
        client.send(mqtt_connect("id"))
        peer = broker.accept()
        threading.Thread(target=self.send_much, args=(client,), daemon=True).start()
        wait_until(lambda: self.is_full(peer), "the broker's end to be full")
        peer.send(b"\x20\x02\x00\x00")
        self.assertEqual(postern.end_of(client)["reason"], "write_timeout")

    @staticmethod
    def is_full(peer):
        """Whether data waits for the broker, and its amount has stopped growing."""
        def waiting():
            return len(peer.sock.recv(1 << 20, socket.MSG_PEEK))
        before = waiting()
        time.sleep(0.2 * SLOW)
        return before > 1000 and waiting() == before

    @staticmethod
    def send_much(client):
        try:
            client.send(bytes(64 << 20))
        except OSError:
            pass


class Ends(Case):
    def test_a_stop_ends_clients_that_stay_while_their_broker_is_dialled(self):
        postern = self.postern(self.silent_port(), listener={"connect_timeout": "60s"})
        before = postern.descriptors()
        client = self.client(postern)
        client.send(b"x")
        wait_until(lambda: postern.descriptors() == before + 2, "the broker to be dialled")
        postern.signal(signal.SIGTERM)
        self.assertEqual(postern.end_of(client)["reason"], "drained")
        self.assertEqual(postern.wait_exit(), 0)  # although the client never closes


class BusyBroker(Case):
    def test_a_broker_whose_queue_is_full_is_not_marked_as_down(self):
        path = self.path("broker.sock")
        broker = self.fake_broker(path=path, up=False)
        broker.listener.listen(0)
        postern = self.postern(broker, listener={"connect_timeout": "500ms"})
        in_the_way = socket.socket(socket.AF_UNIX)
        self.addCleanup(in_the_way.close)
        in_the_way.connect(path)
        late = self.client(postern)
        event = postern.end_of(late)
        self.assertEqual(event["reason"], "broker_timeout")
        self.assertIn("queue", event["error"])
        self.assertEqual(postern.all("backend down"), [])
        broker.listener.setblocking(True)
        broker.listener.accept()[0].close()
        client = self.client(postern)
        client.send(b"now there is room")
        self.assertEqual(broker.accept().recv_exactly(17), b"now there is room")
        client.close()


class BigPackets(Case):
    def test_a_connect_of_the_largest_size_reaches_a_broker_that_is_slow_to_read(self):
        broker = self.fake_broker(path=self.path("broker.sock"))
        postern = self.postern(broker, listener={"mqtt": "check", "max_connect_size": "1M"})
        client = self.client(postern)
        property_ = b"\x26" + b"\xff\x00" + b"k" * 0xff00 + b"\x00\x01v"
        packet = mqtt_connect("id", level=5, properties=property_ * 15)
        client.send(packet)
        peer = broker.accept()
        time.sleep(0.3)  # by now Postern queues far more than the socket holds
        self.assertEqual(peer.recv_exactly(len(packet)), packet)
        client.close()


if __name__ == "__main__":
    main()
