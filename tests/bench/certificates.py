"""A small CA of each kind, and a server certificate from each, by the openssl command."""

import subprocess

KINDS = {
    "ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:named_curve"],
    "rsa": ["rsa", "-pkeyopt", "rsa_keygen_bits:2048"],
}

AUTHORITY = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
SERVER = ("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
          "extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n")
CLIENT = ("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
          "extendedKeyUsage=clientAuth\n")


class Certificate:
    """Paths: `key`, `fullchain` (leaf and its issuer), `combined` (key and full chain), `root`."""

    def __init__(self, folder, kind, name=None, extensions=SERVER):
        name = name or kind
        self.kind = kind
        self.extensions = extensions
        self._stem = folder / name
        self.key = folder / f"{name}.key"
        self.fullchain = folder / f"{name}.fullchain"
        self.combined = folder / f"{name}.combined"
        self._make()

    @classmethod
    def of_a_client(cls, folder):
        return cls(folder, "ecdsa", "client", CLIENT)

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    def _issue(self, name, subject, extensions, issuer):
        """One key and its certificate; without an issuer it signs itself."""
        key, certificate = self._stem.with_suffix(f".{name}key"), self._stem.with_suffix(f".{name}")
        request, wanted = self._stem.with_suffix(".request"), self._stem.with_suffix(".wanted")
        wanted.write_text(extensions)
        self._openssl("genpkey", "-algorithm", *KINDS[self.kind], "-out", key)
        self._openssl("req", "-new", "-key", key, "-subj", subject, "-out", request)
        signer = ["-CA", issuer[1], "-CAkey", issuer[0], "-CAcreateserial"] if issuer \
            else ["-signkey", key]
        self._openssl("x509", "-req", "-in", request, "-sha256", "-days", 30, "-extfile", wanted,
                      "-out", certificate, *signer)
        return key, certificate

    def _make(self):
        root = self._issue("root", "/CN=Bench Root", AUTHORITY, None)
        self.root = root[1]
        middle = self._issue("middle", "/CN=Bench Intermediate", AUTHORITY, root)
        key, leaf = self._issue("leaf", "/CN=localhost", self.extensions, middle)
        key.rename(self.key)
        self.fullchain.write_text(leaf.read_text() + middle[1].read_text())
        self.combined.write_text(self.key.read_text() + self.fullchain.read_text())
