"""What is left in the program's memory after a session, and where keys are while it runs.

As root, as someone would who has a core image of the process. What is searched for are eight bytes
in a row, in either order, of each secret: as many as fit a machine word, because a number may be
stored in words of any order, and because the rest of a freed block may be overwritten already.
"""

import os
import re
import secrets
import shutil
import subprocess
import unittest

import pki
from brokers import echo
from clients import mqtt_connect
from harness import PROGRAM, SANITIZED, Case, main, own_library

WORD = 8
PAGE = 4096


def words(secret):
    """Pieces of a secret that identify it: as it is, and as a number from its other end. Of a short
    one, from every byte on: a hash function swaps bytes in words that begin elsewhere."""
    step = 1 if len(secret) <= 66 else WORD
    pieces = {secret[at:at + WORD] for at in range(0, len(secret) - WORD + 1, step)}
    turned = secret[::-1]
    pieces |= {turned[at:at + WORD] for at in range(0, len(turned) - WORD + 1, step)}
    return {piece for piece in pieces if len(set(piece)) > 3}


def limbs(secret, bits):
    """The words of a number that is stored with so many bits in each."""
    number = int.from_bytes(secret, "big")
    found = set()
    while number:
        found.add((number & (1 << bits) - 1).to_bytes(WORD, "little"))
        number >>= bits
    return {piece for piece in found if len(set(piece)) > 4}


def der_items(data):
    """Contents of the INTEGERs and OCTET STRINGs in DER, at any depth."""
    at = 0
    while at + 2 <= len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7f
            length, at = int.from_bytes(data[at:at + size], "big"), at + size
        content, at = data[at:at + length], at + length
        if tag & 0x20:
            yield from der_items(content)
        elif tag in (2, 4):
            yield content.lstrip(b"\0")


def private_numbers(key):
    """RSA: d, p, q, d mod p-1, d mod q-1, 1/q mod p. An elliptic curve: d."""
    der = subprocess.run(["openssl", "pkey", "-in", key.path, "-outform", "DER", "-traditional"],
                         check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    numbers = [item for item in der_items(der) if len(item) > 16]
    return numbers[1:] if key.kind.startswith("rsa") else numbers[:1]


class Region:
    def __init__(self, start, end, rights, name):
        self.start, self.end, self.rights, self.name, self.flags = start, end, rights, name, ()

    def __str__(self):
        return self.name or hex(self.start)


def regions(pid):
    """What is mapped and may have been written, with the kernel's flags of each region (proc(5),
    VmFlags)."""
    found = []
    with open(f"/proc/{pid}/smaps", encoding="ascii") as file:
        for line in file:
            if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line):
                found.append(Region(int(match[1], 16), int(match[2], 16), match[3], match[4]))
            elif line.startswith("VmFlags:"):
                found[-1].flags = line.split()[1:]
    return [region for region in found if region.rights.startswith("rw")]


def runs(data):
    """(offset, bytes) of the stretches between pages of zeros, of which stacks mostly consist."""
    blank, start = bytes(PAGE), None
    for at in range(0, len(data), PAGE):
        is_blank = data[at:at + PAGE] == blank
        if not is_blank and start is None:
            start = at
        elif is_blank and start is not None:
            yield start, data[start:at]
            start = None
    if start is not None:
        yield start, data[start:]


def content(memory, region):
    """What is in it; zeros in place of guard pages, which glibc 2.43 has within a thread's stack."""
    def read(start, size):
        memory.seek(start)
        return memory.read(size)

    try:
        return read(region.start, region.end - region.start)
    except OSError:
        pages = bytearray()
        for start in range(region.start, region.end, PAGE):
            try:
                pages += read(start, PAGE)
            except OSError:
                pages += bytes(PAGE)
        return bytes(pages)


@unittest.skipIf(os.geteuid() != 0, "only root can read the memory of the process")
@unittest.skipIf(SANITIZED, "sanitizers keep freed memory, and what was in it")
class Memory(Case):
    def postern(self, *arguments, **options):
        """The allocator neither overwrites what is freed, as Meson has it do, nor gives it back to
        the system: either would hide what the program does not wipe."""
        kept = {name: value for name, value in os.environ.items() if name != "MALLOC_PERTURB_"}
        for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
            kept[name] = str(1 << 30)
        return super().postern(*arguments, env=kept, **options)

    def found(self, postern, pieces, locked=False):
        """Where one of the pieces is, in regions that are locked or in those that are not."""
        places = []
        with open(f"/proc/{postern.pid}/mem", "rb", buffering=0) as memory:
            for region in regions(postern.pid):
                if ("lo" in region.flags) != locked:
                    continue
                for offset, data in runs(content(memory, region)):
                    for piece in pieces:
                        at = data.find(piece)
                        if at >= 0:
                            places.append((str(region), hex(region.start + offset + at)))
        return places

    def assert_nowhere(self, postern, pieces, what):
        self.assertGreater(len(pieces), 0)
        places = self.found(postern, pieces)
        count = {name: sum(name == place for place, _ in places) for name, _ in places}
        self.assertEqual(count, {}, f"pieces of {what} are in memory: {places[:5]}")

    # Passwords.

    def check_password(self, listener, pieces=lambda packet: [packet], slow=False, version=None):
        answered = b"\x20\x02\x00\x00"

        def broker(peer):
            got = b""
            while not got.endswith(b"end"):
                data = peer.recv()
                if not data:
                    return  # it was only tried whether the broker is back
                got = got[-2:] + data
            peer.send(answered + secret_answer)
            peer.recv_all()

        secret_answer = secrets.token_hex(32).encode()
        password = secrets.token_hex(32).encode()
        served = self.fake_broker(broker, up=not slow)
        postern = self.postern(served, listener=listener)
        client = self.client(postern, version=version)
        packet = mqtt_connect("device", "name", password) + b"\x30\x05\x00\x00end"
        for piece in pieces(packet):
            client.send(piece)
        if slow:
            self.wait_until(lambda: self.found(postern, words(password)), "the password to come")
            served.up()
        self.assertEqual(client.recv_exactly(4 + len(secret_answer)), answered + secret_answer)
        client.close()
        postern.end_of(client)
        self.wait_until(lambda: not self.found(postern, words(password)),
                        "the password to go from memory")
        self.assert_nowhere(postern, words(password), "the password")
        self.assert_nowhere(postern, words(secret_answer), "what the broker said")

    def test_a_password_is_gone_after_the_session(self):
        for mqtt in ("off", "check"):
            for version in ("1.2", "1.3"):
                with self.subTest(mqtt=mqtt, version=version):
                    self.check_password({"mqtt": mqtt}, version=version)

    def test_a_password_that_comes_in_pieces_is_gone(self):
        def pieces(packet):
            return [packet[at:at + 7] for at in range(0, len(packet), 7)]

        def large(packet):
            return [packet, *([b"\x30\x80\x08\x00\x00" + bytes(1021)] * 20), b"\x30\x05\x00\x00end"]

        self.check_password({"mqtt": "check"}, pieces)
        self.check_password({"mqtt": "off"}, large)

    def test_a_password_that_waited_for_the_broker_is_gone(self):
        self.check_password({"mqtt": "check", "connect_timeout": "20s"}, slow=True)

    def test_a_password_that_the_broker_took_slowly_is_gone(self):
        """What waits for a broker that does not read is plaintext as well."""
        password = secrets.token_hex(32).encode()
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"dial": "first-byte"})
        client = self.client(postern)
        client.sock.settimeout(2)
        client.send(b"x")
        peer = broker.accept()
        filler = password * (16384 // len(password))
        try:
            for _ in range(2000):
                client.send(filler)
        except OSError:
            pass  # both sides are full
        self.wait_until(lambda: self.found(postern, words(password)), "the password to come")
        client.cut()
        peer.reset()
        postern.end_of(client)
        self.wait_until(lambda: not self.found(postern, words(password)),
                        "the password to go from memory")

    # Keys.

    def serve_all_versions(self, postern):
        for version in ("1.2", "1.3") * 3:
            client = self.client(postern, version=version)
            client.send(b"x")
            client.recv_exactly(1)
            client.close()
            postern.end_of(client)

    def key_pieces(self, key):
        numbers = private_numbers(key)
        pieces = set().union(*(words(number) for number in numbers))
        return pieces | set().union(*(limbs(number, 52) for number in numbers)) \
            | set().union(*(limbs(number, 57) for number in numbers))

    @unittest.skipUnless(own_library(), "the distribution's library keeps keys in its own memory")
    def test_keys_are_in_locked_pages_and_nowhere_else(self):
        for kind in ("rsa", "ecdsa", "ecdsa384", "rsa3072"):
            with self.subTest(kind):
                certificate = pki.authority().issue(own_key=pki.key(kind, "secrets"), kind=kind)
                postern = self.postern(self.fake_broker(echo), certificate=certificate)
                self.serve_all_versions(postern)
                pieces = self.key_pieces(certificate.key)
                self.assertGreater(len(self.found(postern, pieces, locked=True)), 0)
                self.assert_nowhere(postern, pieces, "the private key")

    @unittest.skipUnless(own_library(), "the distribution's library keeps keys in its own memory")
    def test_a_key_that_a_reload_replaced_is_gone(self):
        old = pki.authority().issue(own_key=pki.key("rsa", "old"), kind="rsa")
        postern = self.postern(self.fake_broker(echo), certificate=old)
        self.serve_all_versions(postern)
        pki.authority().issue().write(self.path("main"))
        self.assertEqual(postern.reload().name, "reload done")
        self.serve_all_versions(postern)
        pieces = self.key_pieces(old.key)
        self.assert_nowhere(postern, pieces, "the old key")
        self.assertEqual(self.found(postern, pieces, locked=True), [])

    def test_ticket_keys_are_in_locked_pages_and_nowhere_else(self):
        key = secrets.token_bytes(32)
        file = self.write("tickets", key.hex() + "\n" + secrets.token_hex(32) + "\n")
        postern = self.postern(self.fake_broker(echo), main={"ticket_keys": file})
        self.serve_all_versions(postern)
        self.assertEqual(postern.reload().name, "reload done")
        self.serve_all_versions(postern)
        self.assertGreater(len(self.found(postern, words(key), locked=True)), 0)
        self.assert_nowhere(postern, words(key), "the ticket key")
        self.assert_nowhere(postern, words(key.hex().encode()), "the ticket key in its file")

    @unittest.skipUnless(own_library(), "pre-shared keys come with our own build of the library")
    def test_pre_shared_keys_are_in_locked_pages_until_a_reload_drops_them(self):
        """Those of devices that are not connected: the library has a copy during a handshake."""
        here, others = secrets.token_bytes(32), [secrets.token_bytes(32) for _ in range(20)]
        text = "".join(f"sensor-{i}:{key.hex()}\n" for i, key in enumerate([here, *others]))
        self.write("keys", text)
        postern = self.postern(self.fake_broker(echo), listener={"psk_file": "keys"})
        self.serve_all_versions(postern)
        for key in others:
            self.assertGreater(len(self.found(postern, words(key), locked=True)), 0)
            self.assert_nowhere(postern, words(key), "a pre-shared key")
            self.assert_nowhere(postern, words(key.hex().encode()), "a pre-shared key in its file")
        self.write("keys", text.splitlines()[0] + "\n")
        self.assertEqual(postern.reload().name, "reload done")
        self.serve_all_versions(postern)
        for key in others:
            self.assertEqual(self.found(postern, words(key), locked=True), [])
            self.assert_nowhere(postern, words(key), "a pre-shared key that was removed")

    @unittest.skipUnless(shutil.which("gcore"), "gdb is not installed")
    @unittest.skipUnless(own_library(), "the distribution's library keeps keys in its own memory")
    def test_a_core_image_made_by_root_does_not_hold_the_key(self):
        certificate = pki.authority().issue(own_key=pki.key("rsa", "core"), kind="rsa")
        postern = self.postern(self.fake_broker(echo), certificate=certificate)
        self.serve_all_versions(postern)
        done = subprocess.run(["gcore", "-o", self.path("core"), str(postern.pid)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            self.skipTest(f"gcore: {done.stdout[-200:]}")
        with open(self.path(f"core.{postern.pid}"), "rb") as file:
            core = b"".join(data for _, data in runs(file.read()))
        self.assertTrue(self.folder.encode() in core, "it is an image of the program's memory")
        found = [piece.hex() for piece in self.key_pieces(certificate.key) if piece in core]
        self.assertEqual(found, [])


class Process(Case):
    def started(self, core_dumps):
        """As an ordinary user, also if root runs the test; what root starts is never traceable."""
        text = self.config(self.fake_broker(), main={"core_dumps": core_dumps})
        file, wrapper = self.write("postern.conf", text), []
        if os.geteuid() == 0:
            wrapper = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"]
            for folder, _, names in os.walk(self.folder):
                os.chmod(folder, 0o755)
                for name in names:
                    os.chmod(os.path.join(folder, name), 0o644)
        return self.start(file, wrapper=[*wrapper, os.path.abspath(PROGRAM)])

    @unittest.skipIf(SANITIZED, "the leak detector has to trace the program")
    @unittest.skipUnless(shutil.which("setpriv"), "setpriv is not installed")
    def test_there_are_no_core_files_unless_they_are_wanted(self):
        user = os.geteuid() or 12345
        for core_dumps, owner in (("off", 0), ("on", user)):
            postern = self.started(core_dumps)
            # The kernel gives the files of a process that may not be traced to root.
            self.assertEqual(os.stat(f"/proc/{postern.pid}/mem").st_uid, owner)
            with open(f"/proc/{postern.pid}/limits", encoding="ascii") as file:
                size = re.search(r"Max core file size +(\S+)", file.read())[1]
            self.assertTrue(core_dumps == "on" or size == "0", size)


if __name__ == "__main__":
    main()
