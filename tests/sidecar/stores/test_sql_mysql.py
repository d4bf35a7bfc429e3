"""What MySQL has and MariaDB has not: its way to ask for passwords, and certificates of its own."""

import asyncio
import ssl
from pathlib import Path

import pytest
import uvloop
from moorline_sidecar.stores.diagnosis import Diagnosis
from moorline_sidecar.stores.sql import SqlStore

from e2e.app.mysql_server import MySQLServer
from tests.contract.backends import relational_store
from tests.sidecar.stores.certificates import self_signed
from tests.sidecar.stores.sql_cases import MYSQL, run

SECRET = "s3cret"

WAYS = {
    "no TLS": "",
    "TLS": "?ssl-mode=REQUIRED",
    "its authority": "?ssl-mode=VERIFY_CA&ssl-ca={data}/ca.pem",
    "a certificate of ours": (
        "?ssl-ca={data}/ca.pem&ssl-cert={data}/client-cert.pem&ssl-key={data}/client-key.pem"
    ),
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


def as_the_sidecar_runs(server: MySQLServer, name: str, password: str, way: str) -> Diagnosis:
    """What a new process finds, on the loop that it has."""

    async def found() -> Diagnosis:
        store = store_of(server, name, password, way)
        try:
            return await store.check()
        finally:
            await store.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(found())


def store_of(server: MySQLServer, name: str, password: str, way: str) -> SqlStore:
    uri = server.uri_of(name, password) + way.format(data=server.data)
    return relational_store(MYSQL.dialect, uri, name)


def make_user(server: MySQLServer, name: str, how: str) -> None:
    """One that the server has not met yet, so that it knows no hash of the password."""
    statements = (f"CREATE USER {name} IDENTIFIED {how}", f"GRANT ALL ON moorline.* TO {name}")
    asyncio.run(run(MYSQL, server.uri, *statements))


@ways
@pytest.mark.parametrize(
    "plugin", ["caching_sha2_password", "sha256_password", "mysql_native_password"]
)
def test_a_password_is_given_as_the_server_wants_it(
    mysql: MySQLServer, mongo_collection: str, plugin: str, way: str
) -> None:
    name = f"ada_{mongo_collection}"
    needs = " REQUIRE X509" if "ssl-cert" in way else ""
    make_user(mysql, name, f"WITH {plugin} BY '{SECRET}'{needs}")

    first, again, wrong = (
        as_the_sidecar_runs(mysql, name, password, way) for password in (SECRET, SECRET, "wr0ng")
    )

    # The second time it knows a hash, and asks for no more than that.
    assert (first.reason, again.reason) == ("Ready", "Ready")
    assert wrong.reason == "AuthenticationFailed"
    assert "wr0ng" not in wrong.detail


def test_who_has_to_come_with_a_certificate_does_not_come_without(
    mysql: MySQLServer, mongo_collection: str
) -> None:
    name = f"ada_{mongo_collection}"
    make_user(mysql, name, f"BY '{SECRET}' REQUIRE X509")

    diagnosis = as_the_sidecar_runs(mysql, name, SECRET, WAYS["its authority"])

    assert diagnosis.reason == "AuthenticationFailed"


async def test_what_was_asked_to_be_encrypted_is(mysql: MySQLServer) -> None:
    status = "SELECT variable_value FROM performance_schema.session_status WHERE variable_name = "
    for way, is_encrypted in (("", False), (WAYS["TLS"], True)):
        (cipher,) = await run(MYSQL, mysql.uri + way, f"{status}'Ssl_cipher'")
        assert bool(cipher) is is_encrypted


@pytest.mark.parametrize(
    "way",
    [
        pytest.param("?ssl-mode=VERIFY_IDENTITY&ssl-ca={data}/ca.pem", id="its name"),
        pytest.param("?ssl-mode=VERIFY_CA", id="the system's authorities"),
        pytest.param("?ssl-mode=VERIFY_CA&ssl-ca={other}", id="another authority"),
    ],
)
def test_a_server_that_is_not_known_learns_no_password(
    mysql: MySQLServer, tmp_path: Path, way: str
) -> None:
    other, _ = self_signed(tmp_path)

    diagnosis = as_the_sidecar_runs(
        mysql, "moorline", "moorline", way.replace("{other}", str(other))
    )

    assert diagnosis.reason == "TLSFailed"


def test_a_process_ends_in_order_though_the_server_does_not_say_goodbye(
    mysql: MySQLServer,
) -> None:
    async def leave() -> None:
        store = store_of(mysql, "moorline", "moorline", WAYS["TLS"])
        await store.now()
        mysql.pause()
        async with asyncio.timeout(10):
            await store.close()

    # A loop of uvloop does not end while a connection waits for the other end's last word.
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(leave())
    finally:
        mysql.resume()


def test_its_certificates_need_not_have_what_newer_pythons_want(
    mysql: MySQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ssl.create_default_context

    def as_newer_pythons_do(**options: str | None) -> ssl.SSLContext:
        context = plain(**options)  # type: ignore[arg-type] # one option of many
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", as_newer_pythons_do)

    diagnosis = as_the_sidecar_runs(mysql, "moorline", "moorline", WAYS["its authority"])

    assert diagnosis.reason == "Ready"
