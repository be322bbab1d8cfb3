"""An ACME server on loopback, and clients that publish while certificates are renewed."""

import json
import os
import ssl
import subprocess
import threading
import time
import urllib.request

import pki
from clients import PATIENCE, wait_until
from kept_log import KeptLog
from ports import free_port


def until_port_free(run, complaint):
    """What run() gives once its `stdout` does not have this complaint any more: the client of
    another test may have the port for a while."""
    done, deadline = run(), time.monotonic() + 4 * PATIENCE
    while complaint in done.stdout and time.monotonic() < deadline:
        time.sleep(0.5)
        done = run()
    return done


class Pebble:
    """An ACME server on loopback, with a DNS server for which every name is 127.0.0.1.

    Its ports must be given to it, and another program may take one meanwhile: then it exits and is
    started with others. With `lifetime` its certificates last so many seconds."""

    def __init__(self, folder, attempts=5, lifetime=None):
        self.folder, self.lifetime = folder, lifetime
        pki.server().write(folder)
        self.ca = pki.write(os.path.join(folder, "acme-ca.pem"), pki.authority().pem)
        for _ in range(attempts):
            self.root = None
            self._start()
            try:
                wait_until(self._has_answered_or_ended, "pebble to answer")
            finally:
                if not self.root:
                    self.stop()
            if self.root:
                return
        raise AssertionError(f"pebble does not start:\n{self.log()}")

    def _start(self):
        self.acme, self.management, self.http, self.tls, self.dns = (free_port() for _ in range(5))
        config = pki.write(os.path.join(self.folder, "pebble.json"), json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{self.acme}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": os.path.join(self.folder, "cert.pem"),
            "privateKey": os.path.join(self.folder, "privkey.pem"),
            "httpPort": self.http, "tlsPort": self.tls, "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            **self._lifetime()}}))
        self._log = KeptLog()
        self._processes = [
            self._run("pebble-challtestsrv", *self._dns_server(), "-http01", "", "-https01", "",
                      "-tlsalpn01", "", "-defaultIPv6", "",
                      "-management", f"127.0.0.1:{free_port()}"),
            self._run("pebble", "-config", config, "-dnsserver", f"127.0.0.1:{self.dns}")]

    def _lifetime(self):
        """From 2.7 on pebble has it in a profile."""
        return {} if self.lifetime is None else {
            "certificateValidityPeriod": self.lifetime,
            "profiles": {"default": {"description": "", "validityPeriod": self.lifetime}}}

    def _dns_server(self):
        """Later versions call it so, and have another one over HTTPS."""
        options = subprocess.run(["pebble-challtestsrv", "-help"], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, check=False).stdout
        address = f"127.0.0.1:{self.dns}"
        if "-dnsserver" in options:
            return ["-dnsserver", address, "-doh", ""]
        return ["-dns01", address]

    def _has_answered_or_ended(self):
        self.root = self._fetch_root()
        return self.root or any(process.poll() is not None for process in self._processes)

    def _run(self, *command):
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log.file,
                                stderr=subprocess.STDOUT, env={
                                    **os.environ, "PEBBLE_VA_NOSLEEP": "1",
                                    "PEBBLE_WFE_NONCEREJECT": "0"})

    def _fetch_root(self):
        trust = ssl.create_default_context(cadata=pki.authority().pem)
        try:
            with urllib.request.urlopen(f"https://127.0.0.1:{self.management}/roots/0",
                                        context=trust, timeout=2) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def log(self):
        """Also after stop(), when the folder is gone."""
        return self._log.text()

    def stop(self):
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(PATIENCE)
        self._log.close()


class Publishers:
    """Clients that publish, each in its own thread, until finish() is called."""

    def __init__(self, clients):
        self.stop_now = threading.Event()
        self.published, self.errors = [0] * len(clients), []
        self._threads = [threading.Thread(target=self._publish, args=(number, client))
                         for number, client in enumerate(clients)]
        for thread in self._threads:
            thread.start()

    def _publish(self, number, client):
        try:
            while not self.stop_now.wait(0.05):
                client.publish(f"devices/{number}", "still here")
                self.published[number] += 1
        except Exception as error:  # each is a lost client, which the test reports
            self.errors.append((number, repr(error)))

    def progress(self, timeout=PATIENCE):
        """Waits until every client has published at least once more."""
        before = list(self.published)
        wait_until(lambda: self.errors or all(
            now > then for now, then in zip(self.published, before)), "clients to publish", timeout)

    def finish(self):
        self.stop_now.set()
        for thread in self._threads:
            thread.join(PATIENCE)
