"""The commands of the usual howtos, as they stand there: each makes a CA, a server's certificate and
a client's, Postern serves with them and asks clients for certificates, and mosquitto_pub publishes.

Tools that are not installed are skipped, but not by ./dev test --all, which installs them.
"""

import json
import os
import shutil
import subprocess
import unittest

from devices.field import Plain
from harness import ALL, PATIENCE, SLOW, Case, Mqtt, main

EASYRSA = "/usr/share/easy-rsa/easyrsa"
TOPIC = "howto"


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    return unittest.skipIf(missing and not ALL, f"not installed: {', '.join(missing)}")


class Howto(Case):
    def setUp(self):
        super().setUp()
        self.broker = self.mosquitto()
        plain = Plain(self.broker.port)
        self.addCleanup(plain.close)
        self.subscriber = Mqtt(plain)
        self.assertEqual(self.subscriber.connect(), 0)
        self.subscriber.subscribe(TOPIC, qos=0)

    def shell(self, script, **environment):
        """Runs the howto's commands in the test's folder."""
        done = subprocess.run(["sh", "-euc", script], cwd=self.folder, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=4 * PATIENCE * SLOW, env={**os.environ, **environment})
        self.assertEqual(done.returncode, 0, done.stdout)

    def json(self, name, value):
        self.write(name, json.dumps(value))

    def serve(self, ca, server, crl=None):
        """Postern with the CA, and the certificate and key of the server: names of files."""
        keys = {"certificates": "main", "client_auth": "required", "client_ca": ca}
        if crl:
            keys["client_crl"] = crl
        cert, key = server
        self.ca = ca
        self.server = self.postern(self.broker, listener=keys,
                                   more=f"[certificate main]\ncert = {cert}\nkey = {key}\n")

    def publish(self, version, *options):
        # With QoS 1 it waits for the broker's answer, and so for a refusal: in TLS 1.3 that comes
        # after its own part of the handshake.
        return subprocess.run(
            ["mosquitto_pub", "-h", "localhost", "-p", str(self.server.port), "--cafile",
             self.path(self.ca), "--tls-version", version, *options, "-q", "1", "-t", TOPIC, "-m",
             version], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=PATIENCE * SLOW)

    def publishes(self, cert, key):
        for version in ("tlsv1.2", "tlsv1.3"):
            done = self.publish(version, "--cert", self.path(cert), "--key", self.path(key))
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertEqual(self.subscriber.receive(), (TOPIC, version.encode()))

    def is_refused(self, reason, *options):
        for version in ("tlsv1.2", "tlsv1.3"):
            mark = self.server.mark()
            self.assertNotEqual(self.publish(version, *options).returncode, 0)
            self.server.wait("handshake failed", since=mark, reason=reason)

    def clients_without_certificates_are_refused(self):
        self.is_refused("no_certificate_given")

    def revoked_is_refused(self, cert, key):
        self.is_refused("revoked", "--cert", self.path(cert), "--key", self.path(key))


class Openssl(Howto):
    def test_mosquittos_manual(self):
        """mosquitto-tls(7)."""
        self.shell("""
            openssl req -new -x509 -days 30 -extensions v3_ca -keyout ca.key -out ca.crt \
                -passout pass:secret -subj /CN=howto-ca
            for name in server client; do
                openssl genrsa -out $name.key 2048
            done
            openssl req -out server.csr -key server.key -new -subj /CN=localhost
            openssl req -out client.csr -key client.key -new -subj /CN=device-1
            for name in server client; do
                openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial \
                    -out $name.crt -days 30 -passin pass:secret
            done""")
        self.serve("ca.crt", ("server.crt", "server.key"))
        self.publishes("client.crt", "client.key")
        self.clients_without_certificates_are_refused()

    def authority(self):
        """openssl-ca(1) with the configuration that comes with openssl."""
        self.shell("""
            mkdir -p demoCA/private demoCA/newcerts
            touch demoCA/index.txt
            echo 01 >demoCA/serial
            echo 01 >demoCA/crlnumber
            openssl req -new -x509 -extensions v3_ca -newkey rsa:2048 -nodes -days 30 \
                -keyout demoCA/private/cakey.pem -out demoCA/cacert.pem \
                -subj /C=DE/ST=Hessen/O=Howto/CN=ca
            for name in localhost device-1 device-2; do
                openssl req -new -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr \
                    -subj /C=DE/ST=Hessen/O=Howto/CN=$name
                openssl ca -batch -in $name.csr -out $name.pem -days 30
            done
            openssl ca -revoke device-2.pem""")

    def test_openssl_ca(self):
        self.authority()
        self.shell("openssl ca -gencrl -out crl.pem")
        self.serve("demoCA/cacert.pem", ("localhost.pem", "localhost.key"), "crl.pem")
        self.publishes("device-1.pem", "device-1.key")
        self.revoked_is_refused("device-2.pem", "device-2.key")
        self.clients_without_certificates_are_refused()

    def test_a_revocation_list_as_step_ca_writes_it(self):
        """In DER, of version 2, with a critical issuing distribution point: the address of the list,
        and that it is about certificates of users."""
        self.authority()
        self.write("list.cnf", """
            [list]
            authorityKeyIdentifier = keyid
            issuingDistributionPoint = critical, @point
            [point]
            fullname = URI:https://ca.example.org/1.0/crl
            onlyuser = TRUE
            """)
        self.shell("""
            cat "$(openssl version -d | cut -d '"' -f 2)/openssl.cnf" list.cnf >all.cnf
            openssl ca -gencrl -config all.cnf -crlexts list -out crl.pem
            openssl crl -in crl.pem -outform DER -out crl.der
            openssl crl -inform DER -in crl.der -out crl.pem
            openssl crl -in crl.pem -noout -text | grep 'Issuing Distribution Point: critical'""")
        self.serve("demoCA/cacert.pem", ("localhost.pem", "localhost.key"), "crl.pem")
        self.publishes("device-1.pem", "device-1.key")
        self.revoked_is_refused("device-2.pem", "device-2.key")


class Tools(Howto):
    @unittest.skipUnless(ALL or os.path.exists(EASYRSA), "not installed: easy-rsa")
    def test_easy_rsa(self):
        self.shell(f"""
            {EASYRSA} init-pki
            EASYRSA_REQ_CN=howto-ca {EASYRSA} build-ca nopass
            {EASYRSA} build-server-full localhost nopass
            {EASYRSA} build-client-full device-1 nopass
            {EASYRSA} build-client-full device-2 nopass
            {EASYRSA} revoke device-2
            {EASYRSA} gen-crl""", EASYRSA_BATCH="1")
        self.serve("pki/ca.crt", ("pki/issued/localhost.crt", "pki/private/localhost.key"),
                   "pki/crl.pem")
        self.publishes("pki/issued/device-1.crt", "pki/private/device-1.key")
        moved = [os.path.join(folder, *os.listdir(self.path(folder))) for folder in (
            "pki/revoked/certs_by_serial", "pki/revoked/private_by_serial")]
        self.revoked_is_refused(*moved)
        self.clients_without_certificates_are_refused()

    @needs("cfssl", "cfssljson")
    def test_cfssl(self):
        key = {"algo": "ecdsa", "size": 256}
        self.json("ca-csr.json", {"CN": "howto-ca", "key": key, "names": [{"O": "Howto"}]})
        self.json("ca-config.json", {"signing": {"default": {"expiry": "720h"}, "profiles": {
            kind: {"expiry": "720h", "usages": ["signing", "key encipherment", f"{kind} auth"]}
            for kind in ("server", "client")}}})
        self.json("server.json", {"CN": "localhost", "hosts": ["localhost", "127.0.0.1"],
                                  "key": key})
        self.json("client.json", {"CN": "device-1", "hosts": [""], "key": key})
        self.shell("""
            cfssl gencert -initca ca-csr.json | cfssljson -bare ca
            for name in server client; do
                cfssl gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json \
                    -profile=$name $name.json | cfssljson -bare $name
            done""")
        self.serve("ca.pem", ("server.pem", "server-key.pem"))
        self.publishes("client.pem", "client-key.pem")
        self.clients_without_certificates_are_refused()

    @needs("mkcert")
    def test_mkcert(self):
        self.shell("""
            mkcert -cert-file server.pem -key-file server-key.pem localhost 127.0.0.1 ::1
            mkcert -client -cert-file client.pem -key-file client-key.pem device-1
            """, CAROOT=self.path("."))
        self.serve("rootCA.pem", ("server.pem", "server-key.pem"))
        self.publishes("client.pem", "client-key.pem")
        self.clients_without_certificates_are_refused()

    @needs("certtool")
    def test_certtool(self):
        self.write("ca.tmpl", "cn = howto-ca\nca\ncert_signing_key\ncrl_signing_key\n"
                   "expiration_days = 30\n")
        self.write("server.tmpl", "cn = localhost\ndns_name = localhost\ntls_www_server\n"
                   "signing_key\nencryption_key\nexpiration_days = 30\n")
        self.write("client.tmpl", "cn = device-1\ntls_www_client\nsigning_key\n"
                   "expiration_days = 30\n")
        self.write("revoked.tmpl", "cn = device-2\ntls_www_client\nsigning_key\n"
                   "expiration_days = 30\n")
        self.write("crl.tmpl", "crl_next_update = 30\ncrl_number = 1\n")
        self.shell("""
            certtool --generate-privkey --outfile ca-key.pem
            certtool --generate-self-signed --load-privkey ca-key.pem --template ca.tmpl \
                --outfile ca.pem
            for name in server client revoked; do
                certtool --generate-privkey --sec-param medium --outfile $name-key.pem
                certtool --generate-certificate --load-privkey $name-key.pem \
                    --load-ca-certificate ca.pem --load-ca-privkey ca-key.pem \
                    --template $name.tmpl --outfile $name.pem
            done
            certtool --generate-crl --load-ca-privkey ca-key.pem --load-ca-certificate ca.pem \
                --load-certificate revoked.pem --template crl.tmpl --outfile crl.pem""")
        self.serve("ca.pem", ("server.pem", "server-key.pem"), "crl.pem")
        self.publishes("client.pem", "client-key.pem")
        self.revoked_is_refused("revoked.pem", "revoked-key.pem")
        self.clients_without_certificates_are_refused()

    @needs("keytool")
    def test_keytool(self):
        self.shell("""
            keytool() {
                command keytool "$@" -storetype PKCS12 -storepass changeit
            }
            keytool -genkeypair -keystore ca.p12 -alias ca -keyalg RSA -keysize 2048 \
                -dname CN=howto-ca -ext bc:c -ext ku:c=keyCertSign,cRLSign -validity 30
            keytool -exportcert -keystore ca.p12 -alias ca -rfc >ca.pem
            for name in server client; do
                case $name in
                server) dname=CN=localhost san="-ext san=dns:localhost" eku=serverAuth ;;
                client) dname=CN=device-1 san= eku=clientAuth ;;
                esac
                keytool -genkeypair -keystore $name.p12 -alias $name -keyalg EC \
                    -groupname secp256r1 -dname $dname
                keytool -certreq -keystore $name.p12 -alias $name >$name.csr
                keytool -gencert -keystore ca.p12 -alias ca -infile $name.csr -rfc \
                    -ext ku:c=digitalSignature -ext eku=$eku $san -validity 30 >$name.pem
                openssl pkcs12 -in $name.p12 -nocerts -nodes -passin pass:changeit -out $name-key.pem
            done""")
        self.serve("ca.pem", ("server.pem", "server-key.pem"))
        self.publishes("client.pem", "client-key.pem")
        self.clients_without_certificates_are_refused()


if __name__ == "__main__":
    main()
