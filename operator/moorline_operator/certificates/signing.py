"""Makes authorities and the certificates that they sign: ECDSA on P-256."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from moorline_operator.certificates.material import Pair

BACKDATE: Final = timedelta(minutes=5)
"""Certificates are valid from so long before: the API server's clock may be behind."""

_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def new_authority(now: datetime, life: timedelta, token: str = "") -> Pair:
    """An authority that signs itself; `token` says which wish for a rotation it fulfils."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # Every authority has a name of its own: verifiers look for the issuer by name.
    names = [x509.NameAttribute(NameOID.COMMON_NAME, f"moorline webhook {serial:x}"[:40])]
    if token:
        names.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, token))
    name = x509.Name(names)
    public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _begun(name, name, key.public_key(), serial)
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(public, critical=False)
        .sign(key, SHA256())
    )
    return Pair(certificate, key)


def token_of(authority: x509.Certificate) -> str:
    """The token that it was made with."""
    found = authority.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    return str(found[0].value) if found else ""


def new_leaf(authority: Pair, names: Sequence[str], now: datetime, life: timedelta) -> Pair:
    """A server's certificate for DNS names; it never outlives its authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "moorline webhook")])
    certificate = (
        _begun(subject, issuer.subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(min(now + life, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
        .add_extension(_issuer_key(authority), critical=False)
        .sign(authority.key, SHA256())
    )
    return Pair(certificate, key)


def _issuer_key(authority: Pair) -> x509.AuthorityKeyIdentifier:
    """The key as the authority names it; one that was not made here may do without a name."""
    try:
        found = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def key_pem(pair: Pair) -> str:
    return pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, serial: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
    )


def _usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in allowed for usage in _USAGES})
