import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from moorline_operator.certificates import ServingCertificate, handshake_fault
from moorline_operator.certificates.material import Material
from moorline_operator.certificates.rotation import Published, step
from msgspec import structs

from tests.operator.certificates.samples import SERVER, TERMS, a_secret


def fresh() -> Material:
    return step(Material(), dt.datetime.now(dt.UTC), Published(), TERMS).material


@asynccontextmanager
async def echo(certificate: ServingCertificate) -> AsyncIterator[int]:
    """A server that sends back what it gets; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        except OSError:
            pass  # the other side went away
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=certificate.context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def trusting(bundle: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=bundle)
    return context


async def test_a_handshake_through_the_bundle_proves_itself() -> None:
    certificate, material = ServingCertificate(), fresh()
    certificate.update(a_secret(material))
    async with echo(certificate) as port:
        assert await handshake_fault(material.bundle, SERVER, port) is None


@pytest.mark.parametrize(
    ("bundle", "name", "words"),
    [
        pytest.param(fresh().bundle, SERVER, "verify failed", id="another bundle"),
        pytest.param(None, "other.system.svc", "other.system.svc", id="another name"),
        pytest.param("", SERVER, "", id="no bundle"),
        pytest.param("\ufffd", SERVER, "ASCII", id="somebody's bytes"),
    ],
)
async def test_a_handshake_that_fails_says_why(bundle: str | None, name: str, words: str) -> None:
    certificate, material = ServingCertificate(), fresh()
    certificate.update(a_secret(material))
    async with echo(certificate) as port:
        trusts = material.bundle if bundle is None else bundle
        assert words in (await handshake_fault(trusts, name, port) or "it worked")


async def test_without_a_certificate_or_a_listener_there_is_no_handshake() -> None:
    certificate, material = ServingCertificate(), fresh()
    async with echo(certificate) as port:
        assert await handshake_fault(material.bundle, SERVER, port)
    assert await handshake_fault(material.bundle, SERVER, port)
    assert certificate.ends is None


async def test_the_certificate_changes_under_open_connections() -> None:
    certificate, old, new = ServingCertificate(), fresh(), fresh()
    certificate.update(a_secret(old))
    async with echo(certificate) as port:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trusting(old.bundle), server_hostname=SERVER
        )
        certificate.update(a_secret(new))
        assert await handshake_fault(new.bundle, SERVER, port) is None
        assert await handshake_fault(old.bundle, SERVER, port)
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        writer.transport.abort()


async def test_a_client_that_names_no_server_gets_the_certificate_too() -> None:
    certificate, material = ServingCertificate(), fresh()
    certificate.update(a_secret(material))
    context = trusting(material.bundle)
    context.check_hostname = False
    async with echo(certificate) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.transport.abort()


async def test_a_certificate_with_a_key_of_another_algorithm_takes_over() -> None:
    certificate, foreign = ServingCertificate(), by_rsa()
    certificate.update(a_secret(foreign))
    async with echo(certificate) as port:
        assert await handshake_fault(foreign.bundle, SERVER, port) is None
        own = fresh()
        certificate.update(a_secret(own))
        assert await handshake_fault(own.bundle, SERVER, port) is None


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"leaf_key": fresh().leaf_key}, id="key of another"),
        pytest.param({"leaf_key": "x"}, id="no key"),
        pytest.param({"leaf": "x"}, id="no certificate"),
        pytest.param({"leaf": ""}, id="empty"),
    ],
)
async def test_what_cannot_be_used_changes_nothing(damage: dict[str, str]) -> None:
    certificate, material = ServingCertificate(), fresh()
    certificate.update(a_secret(material))
    ends = certificate.ends
    certificate.update(a_secret(structs.replace(fresh(), **damage)))
    assert certificate.ends == ends
    async with echo(certificate) as port:
        assert await handshake_fault(material.bundle, SERVER, port) is None


async def test_older_versions_of_tls_are_refused() -> None:
    certificate, material = ServingCertificate(), fresh()
    certificate.update(a_secret(material))
    assert certificate.context.minimum_version is ssl.TLSVersion.TLSv1_2


def by_rsa() -> Material:
    """What another software may put into the Secret: a certificate that signs itself."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rsa")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER)]), critical=False)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return Material(bundle=certificate, leaf=certificate, leaf_key=text)
