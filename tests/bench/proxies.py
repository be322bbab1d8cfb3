"""The proxies that are compared, each configured as its experts would for this job.

All get: as many workers as asked for, TLS 1.2 and 1.3, the same suites and curves, session tickets
and a session cache where they have one, a long listen queue, no delay on small segments, no access
log, and no limit that the bench would meet.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

# Most of the programs are where an ordinary user's PATH does not lead.
os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"

SUITES = ("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
          "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305")
SUITES13 = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
CURVES = "X25519:prime256v1"
BACKLOG = 4096


def _version(command, pattern):
    said = subprocess.run(command, capture_output=True, text=True)
    found = re.search(pattern, said.stdout + said.stderr)
    return found.group(1) if found else "?"


class Proxy:
    """One kind of proxy. `command` writes what configuration it needs and returns argv."""

    name = ""
    program = ""

    def present(self):
        return shutil.which(self.program) is not None

    def version(self):
        raise NotImplementedError

    def command(self, job):
        raise NotImplementedError


class Job:
    """What a proxy is to do; `folder` is its own."""

    def __init__(self, folder, port, backend_port, certificate, workers):
        self.folder = Path(folder)
        self.port = port
        self.backend_port = backend_port
        self.certificate = certificate
        self.workers = workers

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)


class Postern(Proxy):
    name = "Postern"

    def __init__(self, program):
        self.program = program

    def version(self):
        return _version([self.program, "--version"], r"[Pp]ostern (\S+)")

    def command(self, job):
        return [self.program, "-c", job.write("postern.conf", f"""
[postern]
workers = {job.workers}
log_level = warning
[listener mqtt]
listen = 127.0.0.1:{job.port}
backend = 127.0.0.1:{job.backend_port}
certificates = main
[certificate main]
cert = {job.certificate.fullchain}
key = {job.certificate.key}
""")]


class HAProxy(Proxy):
    name = "HAProxy"
    program = "haproxy"

    def version(self):
        return _version([self.program, "-v"], r"version (\d+\.\d+\.\d+)")

    def command(self, job):
        # shards: a listening socket for each thread, as more than one thread is best served
        shards = " shards by-thread" if job.workers > 1 else ""
        return [self.program, "-db", "-f", job.write("haproxy.cfg", f"""
global
    nbthread {job.workers}
    maxconn 9600
    tune.ssl.cachesize 50000
    ssl-default-bind-options ssl-min-ver TLSv1.2
    ssl-default-bind-ciphers {SUITES}
    ssl-default-bind-ciphersuites {SUITES13}
    ssl-default-bind-curves {CURVES}
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend mqtts
    bind 127.0.0.1:{job.port} ssl crt {job.certificate.combined} backlog {BACKLOG}{shards}
    default_backend broker
backend broker
    server broker 127.0.0.1:{job.backend_port}
""")]


class Nginx(Proxy):
    name = "nginx"
    program = "nginx"
    module = "/usr/lib/nginx/modules/ngx_stream_module.so"

    def present(self):
        return super().present() and os.path.exists(self.module)

    def version(self):
        return _version([self.program, "-v"], r"nginx/(\S+)")

    def command(self, job):
        reuseport = " reuseport" if job.workers > 1 else ""
        user = "user root;" if os.geteuid() == 0 else ""
        return [self.program, "-e", "stderr", "-p", str(job.folder), "-c",
                job.write("nginx.conf", f"""
load_module {self.module};
{user}
daemon off;
pid nginx.pid;
error_log stderr crit;
worker_processes {job.workers};
worker_rlimit_nofile 20000;
events {{ worker_connections 19900; }}
stream {{
    access_log off;
    proxy_buffer_size 16k;
    proxy_timeout 1h;
    ssl_certificate {job.certificate.fullchain};
    ssl_certificate_key {job.certificate.key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers {SUITES};
    ssl_prefer_server_ciphers on;
    ssl_ecdh_curve {CURVES};
    ssl_session_cache shared:tls:20m;
    ssl_session_timeout 1h;
    ssl_session_tickets on;
    server {{
        listen 127.0.0.1:{job.port} ssl backlog={BACKLOG}{reuseport};
        proxy_pass 127.0.0.1:{job.backend_port};
    }}
}}
""")]


class Hitch(Proxy):
    name = "Hitch"
    program = "hitch"

    def version(self):
        return _version([self.program, "--version"], r"hitch (\S+)")

    def command(self, job):
        user = 'user = "nobody"\ngroup = "nogroup"' if os.geteuid() == 0 else ""
        return [self.program, "--config=" + job.write("hitch.conf", f"""
frontend = "[127.0.0.1]:{job.port}"
backend = "[127.0.0.1]:{job.backend_port}"
pem-file = "{job.certificate.combined}"
{user}
workers = {job.workers}
backlog = {BACKLOG}
tls-protos = TLSv1.2 TLSv1.3
ciphers = "{SUITES}"
ciphersuites = "{SUITES13}"
ecdh-curve = "{CURVES}"
prefer-server-ciphers = on
log-level = 1
daemon = off
""")]


class Stunnel(Proxy):
    name = "stunnel"
    program = "stunnel"

    def version(self):
        return _version([self.program, "-version"], r"stunnel (\d\S*)")

    def command(self, job):
        # its threads are as many as its connections, whatever the number of workers
        return [self.program, job.write("stunnel.conf", f"""
foreground = yes
pid =
debug = err
syslog = no
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[mqtts]
accept = 127.0.0.1:{job.port}
connect = 127.0.0.1:{job.backend_port}
cert = {job.certificate.fullchain}
key = {job.certificate.key}
sslVersionMin = TLSv1.2
ciphers = {SUITES}
ciphersuites = {SUITES13}
curves = X25519:P-256
sessionCacheSize = 20000
sessionCacheTimeout = 3600
TIMEOUTidle = 43200
""")]


PEERS = [HAProxy(), Nginx(), Hitch(), Stunnel()]
