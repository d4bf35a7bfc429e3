"""What the Secret holds, as texts in PEM; and certificates with their keys, read from it."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from msgspec import Struct, structs


class Material(Struct, frozen=True, kw_only=True):
    """The Secret's content; what is not there is empty."""

    bundle: str = ""
    authority_key: str = ""
    leaf: str = ""
    leaf_key: str = ""
    next_authority: str = ""
    next_key: str = ""
    first_leaf: str = ""


_KEYS = {
    "bundle": "ca.crt",
    "authority_key": "ca.key",
    "leaf": "tls.crt",
    "leaf_key": "tls.key",
    "next_authority": "next.crt",
    "next_key": "next.key",
    "first_leaf": "first.crt",
}


class Pair(Struct, frozen=True):
    """A certificate and the key that belongs to it."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey


def read_material(secret: Mapping[str, object]) -> Material:
    """The material in a Secret; what is no text counts as not there."""
    data = secret.get("data")
    if not isinstance(data, Mapping):
        return Material()
    return Material(**{field: _text(data.get(key)) for field, key in _KEYS.items()})


def data_of(material: Material) -> dict[str, str]:
    """The `data` of the Secret."""
    texts = structs.asdict(material)
    return {key: encoded(texts[field]) for field, key in _KEYS.items() if texts[field]}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _text(value: object) -> str:
    try:
        return base64.b64decode(str(value or ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def pair_of(certificate: str, key: str) -> Pair | None:
    """Both, if both can be read and belong together; of several certificates the first counts."""
    certificates = certificates_in(certificate)
    try:
        private = load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not certificates or not isinstance(private, EllipticCurvePrivateKey):
        return None
    is_match = certificates[0].public_key() == private.public_key()
    return Pair(certificates[0], private) if is_match else None


def certificates_in(text: str) -> list[x509.Certificate]:
    """Every certificate, or none where one of them cannot be read."""
    try:
        return x509.load_pem_x509_certificates(text.encode()) if text else []
    except ValueError:
        return []


def pem(certificates: Sequence[x509.Certificate]) -> str:
    """The certificates one after the other, each once."""
    texts = [one.public_bytes(Encoding.PEM).decode() for one in certificates]
    return "".join(dict.fromkeys(texts))


def is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc
