"""Certificates of connection URIs: the system's where none is named, and files that are."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from moorline_api import BackendType, decode_spec
from moorline_sidecar.checking import CheckResult, check
from moorline_sidecar.config.secrets import SecretText
from moorline_sidecar.stores.connection import FixedSource, UriConnection
from moorline_sidecar.stores.opening import open_store
from moorline_sidecar.stores.sql_engine import Engines
from moorline_sidecar.stores.sql_mysql import MySQL
from moorline_sidecar.stores.sql_postgresql_tls import Tls
from moorline_sidecar.stores.uri_source import UriMissing

from e2e.app.databases import PostgreSQLServer
from tests.sidecar.stores.certificates import self_signed
from tests.stores_fixtures import running_database

SECRET = "s3cret"


class TlsServer(PostgreSQLServer):
    """PostgreSQL that speaks TLS, too, as `localhost`."""

    def make(self) -> None:
        super().make()
        for file in self_signed(self._data):
            file.chmod(0o600)
            if self._user is not None:
                shutil.chown(file, self._user)

    @property
    def certificate(self) -> bytes:
        return (self._data / "server.crt").read_bytes()


@pytest.fixture(scope="module")
def tls() -> Iterator[TlsServer]:
    with running_database(TlsServer, "ssl=on", "fsync=off") as server:
        yield server


@pytest.fixture
def system(tls: TlsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is the only authority that the system has."""
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes(tls.certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))


async def checked(kind: BackendType, uri: str) -> CheckResult:
    spec = decode_spec({"backend": {"type": kind.value, kind.member: {}}})
    store = open_store(spec.backend, SecretText(uri), "shop")
    try:
        return await check(store)
    finally:
        await store.close()


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize(
    ("host", "options", "reason"),
    [
        ("localhost", "sslmode=verify-full", "Ready"),
        ("localhost", "sslrootcert=system", "Ready"),
        ("127.0.0.1", "sslmode=verify-ca", "Ready"),
        ("127.0.0.1", "sslmode=verify-full", "TLSFailed"),
        ("127.0.0.1", "sslrootcert=system", "TLSFailed"),
        ("localhost", "sslmode=require&sslrootcert=system", "TLSFailed"),
    ],
)
async def test_postgresql_is_trusted_by_the_authorities_of_the_system(
    tls: TlsServer, host: str, options: str, reason: str
) -> None:
    uri = tls.uri.replace("127.0.0.1", host)

    found = await checked(BackendType.POSTGRESQL, f"{uri}?{options}")

    assert (found.reason, found.ok) == (reason, reason == "Ready")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("sslmode=verify-full", "TLSFailed"),
        ("sslmode=verify-ca", "TLSFailed"),
        ("sslmode=require", "Ready"),
    ],
)
async def test_postgresql_is_not_trusted_by_those_of_the_system_who_do_not_know_it(
    tls: TlsServer, options: str, reason: str
) -> None:
    uri = tls.uri.replace("127.0.0.1", "localhost")

    found = await checked(BackendType.POSTGRESQL, f"{uri}?{options}")

    assert (found.reason, found.ok) == (reason, reason == "Ready")


@pytest.mark.usefixtures("system")
async def test_postgresql_is_shown_a_certificate_beside_the_systems_authorities(
    tls: TlsServer, tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path, "ada")
    uri = f"{tls.uri.replace('127.0.0.1', 'localhost')}?sslmode=verify-full&sslcert={certificate}"

    with_key = await checked(BackendType.POSTGRESQL, f"{uri}&sslkey={key}")
    without = await checked(BackendType.POSTGRESQL, uri)
    too_old = await checked(BackendType.POSTGRESQL, f"{uri}&ssl_min_protocol_version={SECRET}")

    assert with_key.ok
    assert (without.reason, "sslcert" in without.detail) == ("TLSFailed", True)
    assert SECRET not in too_old.detail


NOWHERE = "/nowhere/file.pem"
FILES = [
    (BackendType.POSTGRESQL, "postgresql", "sslmode=verify-full&", "sslrootcert"),
    (BackendType.POSTGRESQL, "postgresql", "sslmode=verify-full&", "sslcert"),
    (BackendType.POSTGRESQL, "postgresql", "sslmode=require&", "sslcert"),
    (BackendType.POSTGRESQL, "postgresql", "sslmode=verify-full&", "sslcrl"),
    (BackendType.MYSQL, "mysql", "", "ssl-ca"),
    (BackendType.MYSQL, "mysql", "ssl-mode=REQUIRED&", "ssl-cert"),
    (BackendType.REDIS, "rediss", "", "ssl_ca_certs"),
    (BackendType.REDIS, "rediss", "", "ssl_certfile"),
    (BackendType.MONGODB, "mongodb", "tls=true&", "tlsCAFile"),
    (BackendType.MONGODB, "mongodb", "tls=true&", "tlsCertificateKeyFile"),
]


@pytest.mark.parametrize(
    ("kind", "scheme", "options", "option"), FILES, ids=[f"{each[2]}{each[3]}" for each in FILES]
)
async def test_a_file_that_is_not_there_is_named_by_its_option(
    kind: BackendType, scheme: str, options: str, option: str
) -> None:
    path = "0" if kind is BackendType.REDIS else "shop"
    uri = f"{scheme}://ada:{SECRET}@127.0.0.1:1/{path}?{options}{option}={NOWHERE}"

    found = await checked(kind, uri)

    assert found.reason == "TLSFailed"
    assert option in found.detail
    assert "No such file" in found.detail
    assert SECRET not in found.detail


async def test_a_file_that_holds_no_certificate_is_named_by_its_option(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no certificate")
    uri = f"mysql://ada:{SECRET}@127.0.0.1:1/shop?ssl-ca={tmp_path / 'text'}"

    found = await checked(BackendType.MYSQL, uri)

    assert found.reason == "TLSFailed"
    assert "ssl-ca" in found.detail


class Client:
    """What is opened for a URI, as far as a connection cares."""

    async def close(self) -> None:
        """There is nothing to close."""


async def test_a_file_that_is_renewed_is_read_when_a_call_fails(tmp_path: Path) -> None:
    authorities, key = tmp_path / "ca.crt", tmp_path / "tls.key"
    authorities.write_text("old")
    uri = f"mysql://db:3306/shop?ssl-ca={authorities}&ssl-key={key}&ssl-mode=VERIFY_CA"
    connection = UriConnection(FixedSource(uri), lambda _: Client())

    async def is_opened_anew() -> bool:
        async with connection.use() as client:
            return await connection.refresh(client)

    assert not await is_opened_anew()
    authorities.write_text("newer")
    assert await is_opened_anew()
    assert not await is_opened_anew()
    key.write_text("came later")
    assert await is_opened_anew()
    assert not await is_opened_anew()
    await connection.close()


def test_the_systems_authorities_are_read_once_for_the_connections_to_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    certificate, key = self_signed(tmp_path, "ada")
    tls = Tls(f"postgresql://db/shop?sslmode=verify-full&sslcert={certificate}&sslkey={key.name}")

    first = tls.arguments()["ssl"]
    assert tls.arguments()["ssl"] is first
    key.write_bytes(key.read_bytes() + b"\n")
    assert tls.arguments()["ssl"] is not first
    certificate.unlink()
    for _ in range(2):
        with pytest.raises(UriMissing, match="sslcert"):
            tls.arguments()


async def test_what_works_is_kept_while_a_file_is_broken(tmp_path: Path) -> None:
    authorities, _ = self_signed(tmp_path)
    certificate = authorities.read_bytes()
    uri = f"mysql://ada:{SECRET}@127.0.0.1:1/shop?ssl-ca={authorities}"
    connection = UriConnection(FixedSource(uri), partial(Engines, MySQL()))
    async with connection.use() as engines:
        authorities.write_text("half")
        assert not await connection.refresh(engines)
        authorities.write_bytes(certificate)
        assert await connection.refresh(engines)
    await connection.close()
