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
BACKLOG = 4096
# An ordinary user cannot see the memory and descriptors of a Postern without it.
MEASURABLE = "core_dumps = on" if os.geteuid() != 0 else ""


def in_its_root(inside, path):
    """Where an absolute path leads for what is `inside` another system's root, such as a program in
    /srv/trixie/usr/sbin: the nearest folder around it that has such a file is the root. Without one
    the path leads where it says."""
    for folder in Path(inside).absolute().parents:
        if (folder / path.lstrip("/")).exists():
            return str(folder / path.lstrip("/"))
    return path


def loaded(program, libraries):
    """The command that starts a program with those shared libraries (a folder, or None). Where the
    C library is among them, as in another system's root, its own loader goes with it, and the
    settings of its OpenSSL."""
    if libraries is None:
        return [program]
    loader = Path(libraries) / "ld-linux-x86-64.so.2"
    if loader.exists():
        settings = in_its_root(loader, "/etc/ssl/openssl.cnf")
        return ["env", f"OPENSSL_CONF={settings}", str(loader), "--library-path", str(libraries),
                program]
    return ["env", f"LD_LIBRARY_PATH={libraries}", program]


def openssl_in(libraries):
    """The version of the OpenSSL in that folder, as it names itself, or None."""
    try:
        content = (Path(libraries) / "libcrypto.so.3").read_bytes()
    except OSError:
        return None
    found = re.search(rb"OpenSSL \d+\.\d+\.\d+\S* +\d+ \w+ \d{4}", content)
    return found.group().decode() if found else None


class Proxy:
    """One kind of proxy. `command` writes what configuration it needs and returns argv.

    `name` is the column's; `libraries`, where the program's shared ones are, or None."""

    name = ""
    program = ""
    libraries = None
    broker = False  # it terminates TLS for itself, and is compared with the others before a broker

    def present(self):
        return shutil.which(self.program) is not None

    def run(self, *arguments):
        return [*loaded(shutil.which(self.program) or self.program, self.libraries), *arguments]

    def _says(self, pattern, *arguments):
        said = subprocess.run(self.run(*arguments), capture_output=True, text=True, check=False)
        found = re.search(pattern, said.stdout + said.stderr)
        return found.group(1) if found else None

    def own_version(self):
        raise NotImplementedError

    def tls_library(self):
        """As the program names it; None where it does not."""
        return None

    def version(self):
        """Of the program and, where it is not the system's, of its TLS library."""
        own = self.own_version() or "?"
        library = self.tls_library() or (self.libraries and openssl_in(self.libraries))
        words = library.split()[:2] if library else []
        # The line above the table names the system's OpenSSL, which most peers use.
        return own if words in ([], _system_openssl()) else f"{own}, {' '.join(words)}"

    def may_have_hybrid(self):
        """False: its library has no X25519MLKEM768, but it starts all the same."""
        return True

    def command(self, job):
        raise NotImplementedError


class Job:
    """What a proxy is to do; `folder` is its own.

    `hybrid`: X25519MLKEM768 is to be preferred. `client_ca`: clients must have a certificate of
    that CA (a file), or None."""

    def __init__(self, folder, port, backend_port, certificate, workers, hybrid=False,
                 client_ca=None):
        self.folder = Path(folder)
        self.port = port
        self.backend_port = backend_port
        self.certificate = certificate
        self.workers = workers
        self.hybrid = hybrid
        self.client_ca = client_ca

    def curves(self, x25519="X25519", p256="prime256v1"):
        return ":".join((["X25519MLKEM768"] if self.hybrid else []) + [x25519, p256])

    def with_clients(self, text):
        """That, where clients have certificates; else nothing."""
        return text if self.client_ca else ""

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return str(path)


def _system_openssl():
    said = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=False)
    return said.stdout.split()[:2]


class Postern(Proxy):
    name = "Postern"
    program = "postern"
    log_level = "warning"

    def __init__(self, program="postern"):
        self.program = program

    def own_version(self):
        return self._says(r"[Pp]ostern (\S+)", "--version")

    def may_have_hybrid(self):
        return self._says(r"(of the distribution)", "--version") is None

    def command(self, job):
        clients = job.with_clients(f"client_auth = required\nclient_ca = {job.client_ca}")
        return self.run("-c", job.write("postern.conf", f"""
[postern]
workers = {job.workers}
log_level = {self.log_level}
{MEASURABLE}
[listener mqtt]
listen = 127.0.0.1:{job.port}
backend = 127.0.0.1:{job.backend_port}
certificates = main
{clients}
[certificate main]
cert = {job.certificate.fullchain}
key = {job.certificate.key}
"""))


class HAProxy(Proxy):
    name = "HAProxy"
    program = "haproxy"

    def own_version(self):
        return self._says(r"version (\d+\.\d+[-.]\w+)", "-v")

    def tls_library(self):
        return self._says(r"Running on SSL library version : (.*)", "-vv")

    def command(self, job):
        # shards: a listening socket for each thread, as more than one thread is best served
        shards = " shards by-thread" if job.workers > 1 else ""
        clients = job.with_clients(f" ca-file {job.client_ca} verify required")
        return self.run("-db", "-f", job.write("haproxy.cfg", f"""
global
    nbthread {job.workers}
    maxconn 9600
    tune.ssl.cachesize 50000
    ssl-default-bind-options ssl-min-ver TLSv1.2
    ssl-default-bind-ciphers {SUITES}
    ssl-default-bind-ciphersuites {SUITES13}
    ssl-default-bind-curves {job.curves()}
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend mqtts
    bind 127.0.0.1:{job.port} ssl crt {job.certificate.combined}{clients} backlog {BACKLOG}{shards}
    default_backend broker
backend broker
    server broker 127.0.0.1:{job.backend_port}
"""))


class Nginx(Proxy):
    name = "nginx"
    program = "nginx"

    def _module(self):
        """The file that has `stream`, or "" where the program itself has it."""
        if self._says(r"(--with-stream(?!\S))", "-V"):
            return ""
        folder = self._says(r"--modules-path=(\S+)", "-V") or "/usr/lib/nginx/modules"
        return in_its_root(shutil.which(self.program), folder + "/ngx_stream_module.so")

    def present(self):
        if not super().present():
            return False
        module = self._module()
        return module == "" or os.path.exists(module)

    def own_version(self):
        return self._says(r"nginx/(\S+)", "-v")

    def tls_library(self):
        return self._says(r"running with ([^)]*)", "-V") \
            or self._says(r"built with (.*SSL.*|AWS-LC.*)", "-V")

    def command(self, job):
        reuseport = " reuseport" if job.workers > 1 else ""
        user = "user root;" if os.geteuid() == 0 else ""
        module = self._module()
        load = f"load_module {module};" if module else ""
        clients = job.with_clients(f"ssl_client_certificate {job.client_ca}; "
                                   "ssl_verify_client on; ssl_verify_depth 3;")
        return self.run("-e", "stderr", "-p", str(job.folder), "-c",
                        job.write("nginx.conf", f"""
{load}
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
    ssl_ecdh_curve {job.curves()};
    ssl_session_cache shared:tls:20m;
    ssl_session_timeout 1h;
    ssl_session_tickets on;
    server {{
        listen 127.0.0.1:{job.port} ssl backlog={BACKLOG}{reuseport};
        proxy_pass 127.0.0.1:{job.backend_port};
        {clients}
    }}
}}
"""))


class Hitch(Proxy):
    name = "Hitch"
    program = "hitch"

    def own_version(self):
        return self._says(r"hitch (\S+)", "--version")

    def command(self, job):
        user = 'user = "nobody"\ngroup = "nogroup"' if os.geteuid() == 0 else ""
        clients = job.with_clients('client-verify = required\n'
                                   f'client-verify-ca = "{job.client_ca}"')
        return self.run("--config=" + job.write("hitch.conf", f"""
frontend = "[127.0.0.1]:{job.port}"
backend = "[127.0.0.1]:{job.backend_port}"
pem-file = "{job.certificate.combined}"
{user}
workers = {job.workers}
backlog = {BACKLOG}
tls-protos = TLSv1.2 TLSv1.3
ciphers = "{SUITES}"
ciphersuites = "{SUITES13}"
ecdh-curve = "{job.curves()}"
prefer-server-ciphers = on
log-level = 1
daemon = off
{clients}
"""))


class Stunnel(Proxy):
    name = "stunnel"
    program = "stunnel"

    def own_version(self):
        return self._says(r"stunnel (\d\S*)", "-version")

    def command(self, job):
        # its threads are as many as its connections, whatever the number of workers
        clients = job.with_clients(f"verifyChain = yes\nCAfile = {job.client_ca}")
        return self.run(job.write("stunnel.conf", f"""
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
curves = {job.curves(p256="P-256")}
sessionCacheSize = 20000
sessionCacheTimeout = 3600
TIMEOUTidle = 43200
{clients}
"""))


class Ghostunnel(Proxy):
    name = "ghostunnel"
    program = "ghostunnel"

    def own_version(self):
        return self._says(r"v?(\d\S*)", "--version")

    def command(self, job):
        # its groups are Go's, the hybrid among them, and cannot be chosen
        who = ["--allow-all", f"--cacert={job.client_ca}"] if job.client_ca \
            else ["--disable-authentication"]
        return ["env", f"GOMAXPROCS={job.workers}", *self.run(
            "server", f"--listen=127.0.0.1:{job.port}", f"--target=127.0.0.1:{job.backend_port}",
            f"--cert={job.certificate.fullchain}", f"--key={job.certificate.key}",
            "--quiet=all", *who)]


class Mosquitto(Proxy):
    """The broker with its own TLS listener, which connects to nothing."""

    name = "Mosquitto"
    program = "mosquitto"
    broker = True

    def own_version(self):
        return self._says(r"mosquitto version (\S+)", "-h")

    def _listening(self, folder, port, tls):
        path = Path(folder) / f"mosquitto-{port}.conf"
        path.write_text(f"""
{"user root" if os.geteuid() == 0 else ""}
log_dest none
persistence false
allow_anonymous true
set_tcp_nodelay true
listener {port} 127.0.0.1
{tls}
""")
        return self.run("-c", str(path))

    def plain_command(self, folder, port):
        """As the broker that a proxy connects to."""
        return self._listening(folder, port, "")

    def command(self, job):
        clients = job.with_clients(f"cafile {job.client_ca}\nrequire_certificate true")
        return self._listening(job.folder, job.port, f"""
certfile {job.certificate.fullchain}
keyfile {job.certificate.key}
ciphers {SUITES}
ciphers_tls1.3 {SUITES13}
{clients}
""")


KINDS = [HAProxy, Nginx, Hitch, Stunnel, Ghostunnel, Mosquitto]
PEERS = [kind() for kind in KINDS]


def parse_peer(text):
    """A peer from NAME=PROGRAM[,LIBDIR]. Its kind is in the file's name, or else in NAME, as in
    "nginx+AWS-LC". Another build of Postern is one too, of which NAME says so: the report does not
    compare Postern with it. ValueError with what is wrong."""
    name, equals, rest = text.partition("=")
    program, comma, libraries = rest.partition(",")
    if not name or not equals or not program or (comma and not libraries):
        raise ValueError(f"{text!r} is not NAME=PROGRAM[,LIBDIR]")
    for where in (Path(program).name, name):
        for kind in [*KINDS, Postern]:
            if kind.program in where.lower():
                if kind is Postern and not name.startswith(Postern.name):
                    raise ValueError(f"{text!r}: the name of a Postern begins with {Postern.name}")
                peer = kind()
                peer.name, peer.program = name, program
                peer.libraries = libraries or None
                return peer
    known = ", ".join(kind.program for kind in KINDS)
    raise ValueError(f"{text!r} is none of {known} by its program's name or its own")
