"""Signatures for the certificates of tests: by Python's cryptography where that is installed, as it
takes microseconds, else and for keys that it does not read by the openssl command."""

import functools
import subprocess
import tempfile

try:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    AVAILABLE = True
except ImportError:
    AVAILABLE = False


@functools.lru_cache(maxsize=None)
def _load(pem):
    """The private key, or None: more than two primes, or a curve that the library does not have."""
    try:
        return serialization.load_pem_private_key(pem.encode(), None)
    except (ValueError, UnsupportedAlgorithm):
        return None


def _in_process(private, data, digest, salt):
    if isinstance(private, rsa.RSAPrivateKey):
        made = getattr(hashes, digest.upper())()
        scheme = (padding.PKCS1v15() if salt is None
                  else padding.PSS(padding.MGF1(made), salt))
        return private.sign(data, scheme, made)
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return private.sign(data, ec.ECDSA(getattr(hashes, digest.upper())()))
    return private.sign(data)  # Ed25519 and Ed448 have a hash of their own


def _by_command(key, data, digest, salt):
    if key.kind in ("ed25519", "ed448"):
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            command = ["pkeyutl", "-sign", "-rawin", "-inkey", key.path, "-in", file.name]
            return subprocess.run(["openssl", *command], check=True, stdout=subprocess.PIPE).stdout
    options = [] if salt is None else ["-sigopt", "rsa_padding_mode:pss", "-sigopt",
                                       f"rsa_pss_saltlen:{salt}"]
    return subprocess.run(["openssl", "dgst", f"-{digest}", "-sign", key.path, *options],
                          input=data, check=True, stdout=subprocess.PIPE).stdout


def sign(key, data, digest="sha256", salt=None):
    """The signature over data. key: a pki.Key; salt: the length of RSA-PSS's, None for the usual
    padding."""
    private = _load(key.pem) if AVAILABLE else None
    if private is None:
        return _by_command(key, data, digest, salt)
    try:
        return _in_process(private, data, digest, salt)
    except UnsupportedAlgorithm:
        return _by_command(key, data, digest, salt)
