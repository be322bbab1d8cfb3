"""The log in its three formats: the same facts in each, and nothing that a peer sends forges a line,
a pair or a field. (That each line is well formed, the harness checks for every test of the suite.)"""

import os
import re
import shutil
import socket
import subprocess
import threading
import unittest

from brokers import echo
from clients import Truncated, mqtt_connect, tls_context
from harness import (PATIENCE, PROGRAM, Case, is_well_formed, main, parse_line, pki, private_mounts,
                     wait_until)

GONE = (Truncated, OSError, AssertionError)
DEVICES = pki.authority("Device CA")
FORGERY = ('x\n2026-01-01T00:00:00.000Z handshake failed peer=192.0.2.66:1 reason=unknown_ca',
           'x"} \r\n{"time":"2026-01-01T00:00:00.000Z","level":"info","event":"forged"}',
           'x\nMESSAGE=forged\nPRIORITY=0\nPOSTERN_EVENT=forged\n', "\0\x1b[2J\x7f\x85\u2028",
           'é \\x0a" reason=client_closed', "a=b 'c' -", "-")
PLACE = "a" * 60 + "." + "a" * 60
# Its own mounts are the program's alone.
MOUNTED = ('mount -t tmpfs none /run && mkdir -p /run/systemd/journal && '
           'mount --bind "$JOURNAL" /run/systemd/journal && '
           'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$0" "$@"')


class Journal:
    """What receives datagrams in the journal's place."""

    def __init__(self, folder):
        self.entries, self._news = [], threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(os.path.join(folder, "socket"))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while data := self._socket.recv(65536):
            with self._news:
                self.entries.append(self.fields(data))
                self._news.notify_all()

    @staticmethod
    def fields(data):
        """Of one entry. Each must be a line NAME=value, and no name come twice."""
        pairs = [line.split("=", 1) for line in data.decode("utf-8").split("\n")[:-1]]
        assert data.endswith(b"\n") and all(len(pair) == 2 for pair in pairs), data
        assert len(dict(pairs)) == len(pairs), data
        return dict(pairs)

    def wait(self, event, count=1):
        with self._news:
            found = []
            assert self._news.wait_for(lambda: found.clear() or found.extend(
                e for e in self.entries if e["POSTERN_EVENT"] == event) or len(found) >= count,
                PATIENCE), f"no entry {event}: {self.entries}"
            return found

    def stop(self):
        self._socket.shutdown(socket.SHUT_RD)
        self._reader.join(PATIENCE)
        self._socket.close()


def unescaped(value):
    """A field's value as it was."""
    value = value.encode()
    return re.sub(rb"\\(?:x([0-9a-f]{2})|\\)",
                  lambda m: bytes([int(m[1], 16)]) if m[1] else b"\\", value).decode()


class Formats(Case):
    def setUp(self):
        super().setUp()
        self.write("client-ca.pem", DEVICES.pem)
        self.listener = {"client_auth": "required", "client_ca": "client-ca.pem",
                         "mqtt": "identity", "client_id": "identity", "tls_min": "1.3"}

    def hello(self, postern, name):
        """A ClientHello with a server name that no library sends; tls_min refuses it."""
        client = self.client(postern, context=tls_context(version="1.2"), handshake=False,
                             server_name=PLACE)
        padded = name.encode().ljust(len(PLACE))[:len(PLACE)]
        client.raw_send(client.hello().replace(PLACE.encode(), padded))
        client.raw_end()

    def session(self, postern, cert, client_id):
        client = self.client(postern, handshake=False, cert=cert)
        try:
            client.handshake()
            client.send(mqtt_connect(client_id))
            client.recv_all()
        except GONE:
            pass
        client.cut()

    def provoke(self, postern):
        """Lines with what peers choose; returns how many of each event."""
        other = pki.Authority("Other CA")
        device = DEVICES.issue("gerät-1", usage="client")
        for text in FORGERY:
            self.hello(postern, text)
            outsider = other.issue(pki.common_names(text.encode()[:64]), usage="client")
            self.session(postern, outsider, "c")
            self.session(postern, device, text)
        return {"handshake failed": 2 * len(FORGERY), "session end": len(FORGERY)}

    @staticmethod
    def facts(pairs):
        """What does not differ from run to run."""
        return {k: str(v).replace("None", "-") for k, v in pairs.items()
                if k not in ("time", "level", "peer", "seconds", "listen", "backend", "up", "down")}

    def logged(self, log_format):
        postern = self.postern(self.fake_broker(echo), listener=self.listener,
                               main={"log_format": log_format, "workers": "1"})
        counts, found = self.provoke(postern), {}
        for event, count in counts.items():
            self.wait_until(lambda e=event, n=count: len(postern.all(e)) == n, f"{count} {event}")
            found[event] = [self.facts(e) for e in postern.all(event)]
        return found

    def test_text_and_json_say_the_same(self):
        text, json = self.logged("text"), self.logged("json")
        self.assertEqual({e["reason"] for e in text["handshake failed"]},
                         {"unsupported_version", "unknown_ca"})
        self.assertEqual({e["reason"] for e in text["session end"]}, {"bad_client_id", "not_mqtt"})
        self.assertEqual({e["identity"] for e in text["session end"]}, {"gerät-1"})
        for event, lines in text.items():
            self.assertEqual(lines, json[event])

    @unittest.skipUnless(private_mounts(), "needs a mount namespace")
    def test_the_journal_gets_the_same_in_fields(self):
        text = self.logged("text")
        os.mkdir(self.path("journal"))
        journal = Journal(self.path("journal"))
        postern = self.start(self.write("postern.conf", self.config(
            self.fake_broker(echo), listener=self.listener, main={"workers": "1"})), ready=False,
            wrapper=(*private_mounts(), "sh", "-c", MOUNTED, os.path.abspath(shutil.which(PROGRAM))),
            env={**os.environ, "JOURNAL": self.path("journal")})
        self.addCleanup(journal.stop)
        host, port = journal.wait("ready")[0]["POSTERN_LISTEN"].split(":")
        postern.addresses = [("mqtt", host, int(port))]
        for event, count in self.provoke(postern).items():
            entries = journal.wait(event, count)
            self.assertEqual(len(entries), count)
            for entry, line in zip(entries, text[event]):
                message = "<6>" + entry.pop("MESSAGE")
                self.assertTrue(is_well_formed(message.encode() + b"\n"), message)
                pairs = {k[len("POSTERN_"):].lower(): unescaped(v) for k, v in entry.items()
                         if k.startswith("POSTERN_")}
                parsed = parse_line(message)
                self.assertEqual(pairs.pop("event"), parsed.name)
                self.assertEqual(pairs, {k: v for k, v in parsed.items() if v != "-"}
                                 | {k: v for k, v in pairs.items() if v == "-"})
                self.assertEqual(self.facts(parsed), line)
                self.assertEqual([entry[k] for k in ("PRIORITY", "SYSLOG_IDENTIFIER")],
                                 ["6", "postern"])
        self.assertEqual(postern.log(), "", "nothing on standard error")
        postern.signal(1)
        self.assertEqual(journal.wait("reload done")[0]["PRIORITY"], "6")

    @unittest.skipUnless(private_mounts(), "needs a mount namespace")
    def test_what_is_wrong_before_the_configuration_is_read_is_in_the_journal_too(self):
        os.mkdir(self.path("journal"))
        journal = Journal(self.path("journal"))
        self.addCleanup(journal.stop)
        done = subprocess.run(
            [*private_mounts(), "sh", "-c", MOUNTED, os.path.abspath(shutil.which(PROGRAM)), "-c",
             self.write("postern.conf", "bakend = x\n")], capture_output=True, check=False,
            env={**os.environ, "JOURNAL": self.path("journal")})
        self.assertEqual((done.returncode, done.stderr), (1, b""))
        entry = journal.wait("cannot start")[0]
        self.assertEqual(entry["PRIORITY"], "3")
        self.assertIn("postern.conf:1", entry["POSTERN_MESSAGE"])


class Files(Case):
    def read(self):
        with open(self.path("log"), "rb") as file:
            return file.read()

    def test_an_emptied_file_is_continued_at_its_beginning(self):
        """As logrotate's copytruncate empties it, with 2>>file."""
        postern = self.start(self.write("postern.conf", self.config(self.fake_broker(echo))),
                             ready=False, env={**os.environ, "LOG": self.path("log")},
                             wrapper=("sh", "-c", 'exec "$0" "$@" 2>>"$LOG"', PROGRAM))
        wait_until(lambda: os.path.exists(self.path("log")) and b" ready " in self.read(), "ready")
        before = self.read()
        shutil.copy(self.path("log"), self.path("log.1"))
        os.truncate(self.path("log"), 0)
        postern.signal(1)
        wait_until(lambda: b" reload done " in self.read(), "reload done")
        lines = (before + self.read()).splitlines(keepends=True)
        self.assertTrue(all(map(is_well_formed, lines)), lines)
        self.assertNotIn(b" ready ", self.read())


if __name__ == "__main__":
    main()
