"""An Infinispan server that speaks TLS alone, with a user who is no administrator."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from e2e.app.infinispan import InfinispanServer
from tests.sidecar.stores.certificates import self_signed

MODEST: Final = "modest"
"""A user who reads and writes in caches that are there; the name is the password, too."""

_STORE_PASSWORD: Final = "stored"
_IDENTITY: Final = f"""\
<security-realm name="default">
  <server-identities>
    <ssl><keystore path="server.p12" password="{_STORE_PASSWORD}"/></ssl>
  </server-identities>"""


class GuardedServer(InfinispanServer):
    """Its certificate is for `localhost`."""

    @property
    def certificate(self) -> Path:
        return self._folder / "server.crt"

    def uri_of(self, user: str, password: str, port: int | None = None) -> str:
        uri = f"hotrods://{user}:{password}@localhost:{port or self.port}"
        return f"{uri}?ca_file={self.certificate}"

    def make(self) -> None:
        super().make()
        conf = self._folder / "conf"
        (conf / "server.p12").write_bytes(_key_store(*self_signed(self._folder)))
        for name, before, after in self._edits():
            text = (conf / name).read_text()
            assert before in text
            (conf / name).write_text(text.replace(before, after, 1))

    def _edits(self) -> Sequence[tuple[str, str, str]]:
        return (
            ("infinispan.xml", '<security-realm name="default">', _IDENTITY),
            ("users.properties", "moorline=", f"{MODEST}={MODEST}\nmoorline="),
            ("groups.properties", "moorline=", f"{MODEST}=application\nmoorline="),
        )


def _key_store(certificate: Path, key: Path) -> bytes:
    """Both in one file, as Java takes them."""
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return pkcs12.serialize_key_and_certificates(
        b"server",
        private,
        x509.load_pem_x509_certificate(certificate.read_bytes()),
        None,
        serialization.BestAvailableEncryption(_STORE_PASSWORD.encode()),
    )
