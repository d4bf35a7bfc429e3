import asyncio
import json
import re
import signal
import socket
from pathlib import Path

import pytest
from moorline_api import BackendSpec, BackendType, MongoDBSpec
from moorline_sidecar.config import SecretText
from moorline_sidecar.stores.base import SessionStore
from moorline_sidecar.stores.embedded import EmbeddedServer
from moorline_sidecar.stores.opening import open_store

from tests.contract.sessions import a_session, an_end, inserted, written
from tests.sidecar.commands import (
    FREE_PORTS,
    NOBODY,
    ask,
    config_file,
    environ,
    run,
    started,
    text_of,
    until,
)
from tests.stores_fixtures import running_server

DAY = 86_400_000
MEMORY = {"backend": {"type": "Memory"}}
MONGODB = {"backend": {"type": "MongoDB", "mongodb": {}}}


def mongodb(collection: str) -> dict[str, object]:
    return {"backend": {"type": "MongoDB", "mongodb": {"collection": collection}}}


@pytest.mark.parametrize("arguments", [(), ("serve",), ("purge",), ("check",)])
def test_help_is_there(arguments: tuple[str, ...]) -> None:
    done = run(*arguments, "--help")
    assert done.code == 0
    assert "Usage:" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("sing",),
        ("serve", "--colour"),
        ("serve", "--listen"),
        ("purge", "--limit=-1"),
        ("purge", "--limit=many"),
        ("purge", "--time-limit=0"),
        ("check", "--dev"),
    ],
)
def test_wrong_usage_is_2(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["serve", "purge", "check"])
def test_every_mistake_of_the_configuration_is_named(tmp_path: Path, command: str) -> None:
    file = config_file(tmp_path, {**MONGODB, "cookie": {"secure": "yes"}, "x": 1}, clutter={})
    done = run(command, "--config", file, env=environ(MOORLINE_SHUTDOWN_SECONDS="-1"))
    assert done.code == 2
    paths = {line.split(": ")[1] for line in done.stderr.splitlines()}
    assert paths == {
        "clutter",
        "spec.cookie.secure",
        "spec.x",
        "MOORLINE_SHUTDOWN_SECONDS",
    }


def test_a_uri_that_is_none_is_2_and_not_shown(tmp_path: Path) -> None:
    done = run("serve", "--config", config_file(tmp_path, MONGODB), env=environ("http://u:pa55@h"))
    assert done.code == 2
    assert "URI" in done.stderr
    assert "pa55" not in done.stderr + done.stdout


def test_check_tells_the_operator_of_a_configuration_of_no_use(tmp_path: Path) -> None:
    result_file = tmp_path / "result"
    done = run("check", "--config", "/nowhere.json", "--result-file", str(result_file))
    assert done.code == 2
    assert done.result["ok"] is False
    assert "/nowhere.json" in done.result["detail"]
    assert json.loads(result_file.read_text()) == done.result


def test_a_port_that_is_taken_is_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for option in ("--listen", "--health", "--ops"):
            file = config_file(tmp_path, MEMORY)
            done = run("serve", "--config", file, *FREE_PORTS, option, address)
            assert done.code == 1
            assert "in use" in done.stderr
            assert "Traceback" not in done.stderr


def test_it_serves_and_ends_in_good_order(tmp_path: Path) -> None:
    file = config_file(tmp_path, MEMORY)
    with started("serve", "--config", file, *FREE_PORTS) as process:
        where = process.wait_for("ready")
        status, session = ask(where["data"], "/v1/sessions", "POST")
        assert status == 201
        assert ask(where["data"], f"/v1/sessions/{session['id']}")[0] == 200
        assert ask(where["health"], "/readyz")[0] == 200
        assert ask(where["ops"], "/v1/stats")[1]["sessionsCurrent"] == 1
        assert process.end() == 0
        assert not process.stdout, "nobody reads along"
        assert session["id"] not in "".join(process.stderr)


def test_metrics_come_up_by_themselves(tmp_path: Path) -> None:
    file = config_file(tmp_path, MEMORY)
    with started("serve", "--config", file, *FREE_PORTS) as process:
        where = process.wait_for("ready")
        text = until(lambda: text_of(where["health"], "/metrics"), process)
        assert "moorline_cache_sessions 0.0" in text
        assert 'moorline_http_responses_total{http_response_status_class="2xx"}' in text


def test_a_unix_socket_is_served_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "run" / "moorline.sock"
    file = config_file(tmp_path, {**MEMORY, "sidecar": {"socket": True}})
    env = environ(MOORLINE_SOCKET=str(path))
    with started("serve", "--config", file, *FREE_PORTS, env=env) as process:
        process.wait_for("ready")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(
                b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
            )
            assert client.recv(4096).startswith(b"HTTP/1.1 201 ")
        assert process.end() == 0
        assert not path.exists()


def test_it_is_ready_without_a_store_and_ends_in_time(tmp_path: Path) -> None:
    file = config_file(tmp_path, MONGODB)
    env = environ(NOBODY, MOORLINE_SHUTDOWN_SECONDS="3")
    with started("serve", "--config", file, *FREE_PORTS, env=env) as process:
        where = process.wait_for("ready")
        assert ask(where["health"], "/readyz")[0] == 200
        status, problem = ask(where["data"], "/v1/sessions", "POST")
        assert (status, problem["type"]) == (503, "urn:moorline:problem:store-unavailable")
        assert ask(where["ops"], "/v1/stats")[1]["storeCount"] is None
        process.end()


def test_a_store_that_goes_away_holds_up_no_end(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        file = config_file(tmp_path, MONGODB)
        env = environ(server.uri, MOORLINE_SHUTDOWN_SECONDS="4")
        with started("serve", "--config", file, *FREE_PORTS, env=env) as process:
            where = process.wait_for("ready")["data"]
            _, session = ask(where, "/v1/sessions", "POST")
            assert ask(where, f"/v1/sessions/{session['id']}")[0] == 200
            server.kill()
            assert process.end() == 1
            assert process.wait_for("the store stayed away until the end")["lost_times"] == 1


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    file = config_file(tmp_path, MEMORY)
    with started("serve", "--config", file, *FREE_PORTS) as process:
        where = process.wait_for("ready")
        host, _, port = where["data"].rpartition(":")
        with socket.create_connection((host, int(port))) as slow:
            # A body that does not come holds the shutdown up.
            slow.sendall(b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n")
            slow.sendall(b"Content-Type: application/json\r\n\r\n{")
            until(lambda: ask(where["ops"], "/v1/workers")[1]["workers"][0]["connections"], process)
            process.send(signal.SIGINT)
            process.wait_for("shutting down")
            assert process.end() == 1
        assert "at once" in process.stderr[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_either_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    with started("serve", "--config", config_file(tmp_path, MEMORY), *FREE_PORTS) as process:
        process.wait_for("ready")
        assert process.end(number) == 0


def test_what_one_process_saved_the_next_one_serves(
    tmp_path: Path, mongo_uri: str, mongo_collection: str
) -> None:
    file = config_file(tmp_path, mongodb(mongo_collection))
    arguments = ("serve", "--config", file, *FREE_PORTS)
    with started(*arguments, env=environ(mongo_uri)) as process:
        body = {"attributes": {"user": "ada"}}
        _, session = ask(process.wait_for("ready")["data"], "/v1/sessions", "POST", body)
        assert process.end() == 0
    with started(*arguments, env=environ(mongo_uri)) as process:
        where = process.wait_for("ready")["data"]
        _, again = ask(where, f"/v1/sessions/{session['id']}")
        assert again["attributes"] == {"user": "ada"}


def test_dev_needs_nothing_and_says_what_to_try(mongo_server: EmbeddedServer) -> None:
    del mongo_server  # where it is not installed, the test is skipped by this fixture
    with started("serve", "--dev", *FREE_PORTS) as process:
        process.wait_for("ready")
        told = until(lambda: "".join(process.stdout) if len(process.stdout) >= 3 else "", process)
        found = re.search(r"curl -i -X POST http://(\S+?)(/\S+)", told)
        assert found is not None
        assert ask(found[1], found[2], "POST")[0] == 201
        assert process.end() == 0


def prepared(uri: str, collection: str) -> SessionStore:
    backend = BackendSpec(type=BackendType.MONGODB, mongodb=MongoDBSpec(collection=collection))
    return open_store(backend, SecretText(uri), "moorline")


async def fill(uri: str, collection: str, *, ended: int, live: int) -> None:
    store = prepared(uri, collection)
    now = await store.now()
    for number in range(ended):
        await inserted(store, f"ended-{number}")
        await written(store, an_end(f"ended-{number}", now=now - 2 * DAY))
    for number in range(live):
        await store.insert(a_session(f"live-{number}", accessed=now, expiry=now + DAY))
    await store.close()


async def count(uri: str, collection: str) -> int:
    store = prepared(uri, collection)
    try:
        return await store.count()
    finally:
        await store.close()


def test_purge_deletes_and_reports(tmp_path: Path, mongo_uri: str, mongo_collection: str) -> None:
    asyncio.run(fill(mongo_uri, mongo_collection, ended=5, live=2))
    file = config_file(tmp_path, mongodb(mongo_collection))
    result_file = tmp_path / "result.json"
    env = environ(mongo_uri, KUBERNETES_SERVICE_HOST="10.0.0.1")
    arguments = ("purge", "--config", file, "--result-file", str(result_file))

    dry = run(*arguments, "--dry-run", env=env)
    assert (dry.code, dry.result["invalidDeleted"], dry.result["dryRun"]) == (0, 5, True)
    some = run(*arguments, "--limit", "2", env=env)
    assert (some.code, some.result["invalidDeleted"], some.result["complete"]) == (0, 2, True)
    rest = run(*arguments, "--full", "--time-limit", "30", env=env)
    assert (rest.code, rest.result["invalidDeleted"]) == (0, 3)
    assert json.loads(result_file.read_text()) == rest.result
    assert [each.name for each in tmp_path.iterdir() if "result" in each.name] == ["result.json"]
    assert asyncio.run(count(mongo_uri, mongo_collection)) == 2


def test_purge_without_a_store_is_3_and_still_reports(tmp_path: Path) -> None:
    file = config_file(tmp_path, MONGODB)
    done = run("purge", "--config", file, "--time-limit", "1", env=environ(NOBODY))
    assert done.code == 3
    assert done.result["complete"] is False


def test_purge_ends_cleanly_when_told_to(tmp_path: Path) -> None:
    file = config_file(tmp_path, MONGODB)
    with started("purge", "--config", file, env=environ(NOBODY)) as process:
        process.wait_for("the store is out of reach")
        assert process.end() == 3
        assert json.loads(process.stdout[-1])["complete"] is False


def test_check_makes_indexes(tmp_path: Path, mongo_uri: str, mongo_collection: str) -> None:
    file = config_file(tmp_path, mongodb(mongo_collection))
    result_file = tmp_path / "result.json"
    arguments = ("check", "--config", file, "--result-file", str(result_file))
    for _ in range(2):
        done = run(*arguments, env=environ(mongo_uri))
        assert done.code == 0
        assert (done.result["ok"], done.result["reason"]) == (True, "Ready")
        assert done.result["indexes"]
        assert json.loads(result_file.read_text()) == done.result


def test_check_without_a_store_is_3_and_says_why(tmp_path: Path) -> None:
    done = run("check", "--config", config_file(tmp_path, MONGODB), env=environ(NOBODY))
    assert done.code == 3
    assert (done.result["ok"], done.result["reason"]) == (False, "Unreachable")
    assert len(done.stdout.splitlines()[-1].encode()) <= 2048


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "SecretNotFound"), ("other", "SecretKeyMissing")]
)
def test_check_names_a_secret_that_is_missing(
    tmp_path: Path, content: str | None, reason: str
) -> None:
    folder = tmp_path / "secret"
    folder.mkdir()
    if content is not None:
        (folder / content).write_text("x")
    file = config_file(tmp_path, MONGODB)
    done = run("check", "--config", file, env=environ(MOORLINE_BACKEND_URI_FILE=str(folder)))
    assert done.code == 3
    assert done.result["reason"] == reason


def test_a_result_file_that_can_only_be_written_in_place(tmp_path: Path) -> None:
    """As Kubernetes mounts a termination log: one file, in a folder that is not ours."""
    result_file = Path("/dev/fd/1")
    file = config_file(tmp_path, MEMORY)
    done = run("check", "--config", file, "--result-file", str(result_file))
    assert done.code == 0
    first, second = done.stdout.splitlines()
    assert json.loads(first) == json.loads(second)
