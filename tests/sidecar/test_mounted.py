"""Processes with configuration and credentials mounted as in Kubernetes: late, and swapped."""

import http.client
import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.sidecar.commands import (
    FREE_PORTS,
    NOBODY,
    Process,
    ask,
    environ,
    run,
    started,
    text_of,
    until,
)
from tests.sidecar.mounts import Mount

KUBERNETES = {"MOORLINE_WORKER": "node3", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
RELOADED = "the configuration was reloaded"
REFUSED = "the configuration file cannot be used; the last one stays"
RESTART = "a restart is needed for what was changed"


def cluster_file(backend: object = None, **spec: object) -> dict[str, str]:
    whole = {"backend": backend or {"type": "Memory"}, **spec}
    document = {"cluster": {"name": "shop", "namespace": "web"}, "spec": whole}
    return {"cluster.json": json.dumps(document)}


def mongodb(collection: str = "sessions", key: str | None = None) -> dict[str, object]:
    reference = {"name": "shop-mongodb"} | ({} if key is None else {"key": key})
    member = {"connectionSecretRef": reference, "collection": collection}
    return {"type": "MongoDB", "mongodb": member}


@pytest.fixture
def config(tmp_path: Path) -> Mount:
    return Mount(tmp_path / "moorline")


@pytest.fixture
def secret(tmp_path: Path) -> Mount:
    return Mount(tmp_path / "moorline-backend")


def file_of(config: Mount) -> str:
    return str(config.folder / "cluster.json")


@contextmanager
def serving(config: Mount, secret: Mount | None = None, **more: str) -> Iterator[Process]:
    where = {} if secret is None else {"MOORLINE_BACKEND_URI_FILE": str(secret.folder)}
    env = environ(**KUBERNETES, **where, **more)
    with started("serve", "--config", file_of(config), *FREE_PORTS, env=env) as process:
        yield process


def told(process: Process, message: str) -> list[dict[str, Any]]:
    return [line for line in process.log if line.get("message") == message]


def next_of(process: Process, message: str, before: int = 0) -> dict[str, Any]:
    """The line with this message after so many others."""
    return until(lambda: told(process, message)[before:], process)[0]


def logins(address: str, stop: threading.Event, seen: Counter[tuple[int, str]]) -> None:
    """Ask for sessions until told to stop; counts statuses with the cookies that came."""
    connection = http.client.HTTPConnection(address)
    while not stop.is_set():
        connection.request("POST", "/v1/session")
        response = connection.getresponse()
        response.read()
        cookies = response.headers.get_all("Set-Cookie", [])
        seen[response.status, " | ".join(cookie.split("=")[0] for cookie in cookies)] += 1
    connection.close()


def test_a_change_is_followed_under_load_without_a_failure(config: Mount) -> None:
    config.show(cluster_file(cookie={"name": "OLD"}))
    stop, seen = threading.Event(), Counter[tuple[int, str]]()
    with serving(config) as process:
        where = process.wait_for("ready")
        clients = [
            threading.Thread(target=logins, args=(where["data"], stop, seen)) for _ in range(4)
        ]
        for client in clients:
            client.start()
        try:
            until(lambda: seen[201, "OLD | OLD_at"], process)
            config.show(
                cluster_file(
                    cookie={"name": "NEW", "hint": "Off"},
                    sessions={"maxIdle": "5m", "storeIds": "Plain"},
                    sidecar={"traceRatio": 0.5},
                )
            )
            reloaded = next_of(process, RELOADED)
            until(lambda: seen[201, "NEW"] > 100, process)
        finally:
            stop.set()
            for client in clients:
                client.join()
        assert seen.keys() == {(201, "OLD | OLD_at"), (201, "NEW")}
        waiting = ["spec.sidecar.traceRatio", "spec.sessions.storeIds"]
        assert next_of(process, RESTART)["settings"] == waiting
        assert ask(where["data"], "/v1/sessions", "POST")[1]["maxIdleSeconds"] == 300
        stats = ask(where["ops"], "/v1/stats")[1]
        assert stats["restartNeeded"] == ", ".join(waiting)
        assert stats["specHash"] == reloaded["spec_hash"]

        config.show({"cluster.json": '{"spec": {"backend"'})
        assert "neither JSON" in next_of(process, REFUSED)["mistakes"][0]
        config.show({})
        assert "ConfigMap" in next_of(process, REFUSED, before=1)["mistakes"][0]
        assert ask(where["data"], "/v1/sessions", "POST")[1]["maxIdleSeconds"] == 300
        config.show(cluster_file(sidecar={"logLevel": "warning"}))
        until(lambda: ask(where["ops"], "/v1/stats")[1]["restartNeeded"] == "", process)
        assert "moorline_config_restart_needed 0.0" in text_of(where["health"], "/metrics")
        text = text_of(where["health"], "/metrics")
        assert 'moorline_config_reloads_total{moorline_config_result="applied"} 2.0' in text
        assert 'moorline_config_reloads_total{moorline_config_result="refused"} 2.0' in text
        assert len(told(process, RESTART)) == 1
        assert process.end() == 0
        assert not told(process, "shutting down"), "the level of the log has changed"


def test_a_configuration_that_is_not_there_yet_is_waited_for(config: Mount) -> None:
    with serving(config, MOORLINE_CLUSTER="shop") as process:
        line = process.wait_for("waiting for the configuration file")
        assert "ConfigMap shop-moorline" in line["why"]
        assert ask(line["health"], "/healthz")[0] == 200
        status, answer = ask(line["health"], "/readyz")
        assert (status, answer["ready"], answer["worker"]) == (503, False, "node3")
        assert answer["reason"] == line["why"]
        config.show(cluster_file())
        where = process.wait_for("ready")
        assert ask(where["health"], "/readyz")[0] == 200
        assert ask(where["data"], "/v1/sessions", "POST")[0] == 201
        assert len(told(process, "waiting for the configuration file")) == 1
        assert process.end() == 0


def test_waiting_ends_with_a_signal(config: Mount) -> None:
    with serving(config) as process:
        process.wait_for("waiting for the configuration file")
        assert process.end(signal.SIGTERM) == 0


def test_a_file_that_comes_with_mistakes_is_2(config: Mount) -> None:
    with serving(config) as process:
        process.wait_for("waiting for the configuration file")
        config.show(cluster_file(cookies={}))
        assert process.wait() == 2
        assert "spec.cookies" in process.stderr[-1]


def test_a_missing_file_is_2_where_nobody_mounts_one(config: Mount) -> None:
    done = run("serve", "--config", file_of(config), *FREE_PORTS)
    assert done.code == 2
    assert "there is no such file" in done.stderr


def test_a_secret_that_is_not_there_yet_holds_up_no_start(
    config: Mount, secret: Mount, mongo_uri: str, mongo_collection: str
) -> None:
    config.show(cluster_file(mongodb(mongo_collection)))
    with serving(config, secret) as process:
        where = process.wait_for("ready")
        assert ask(where["health"], "/readyz")[0] == 200
        status, problem = ask(where["data"], "/v1/sessions", "POST")
        assert (status, problem["type"]) == (503, "urn:moorline:problem:store-unavailable")
        assert "Secret shop-mongodb" in process.wait_for("the store is out of reach")["why"]

        secret.show({"password": "not a URI's key"})
        secret.show({"uri": mongo_uri})
        until(lambda: ask(where["data"], "/v1/sessions", "POST")[0] == 201, process)
        assert process.end() == 0


class Case(Struct):
    """What the Secret holds, the key that is asked for, and what is told."""

    content: dict[str, str]
    reason: str
    detail: str
    key: str | None = None


ANY_KEY = "uri, connectionString.standardSrv, connectionString.standard"
SECRETS = [
    pytest.param(Case({}, "SecretNotFound", ANY_KEY), id="no Secret"),
    pytest.param(Case({"password": "x"}, "SecretKeyMissing", ANY_KEY), id="none of the keys"),
    pytest.param(Case({"uri": NOBODY}, "SecretKeyMissing", "dsn", "dsn"), id="not the named key"),
    pytest.param(Case({"uri": ""}, "SecretKeyMissing", ANY_KEY), id="an empty key"),
]


@pytest.mark.parametrize("command", [("check",), ("purge", "--time-limit=1")], ids=lambda c: c[0])
@pytest.mark.parametrize("case", SECRETS)
def test_a_secret_that_is_missing_is_the_reason(
    config: Mount, secret: Mount, command: tuple[str, ...], case: Case
) -> None:
    config.show(cluster_file(mongodb(key=case.key)))
    secret.show(case.content)
    result_file = config.folder.parent / "termination-log"
    result_file.touch()
    arguments = (*command, "--config", file_of(config), "--result-file", str(result_file))
    env = environ(KUBERNETES_SERVICE_HOST="10.0.0.1", MOORLINE_BACKEND_URI_FILE=str(secret.folder))
    done = run(*arguments, env=env)
    assert done.code == 3
    assert done.result["reason"] == case.reason
    assert "the Secret shop-mongodb of spec.backend.mongodb" in done.result["detail"]
    assert case.detail in done.result["detail"]
    assert json.loads(result_file.read_text()) == done.result


@pytest.mark.parametrize("command", ["check", "purge"])
def test_a_configuration_that_is_missing_is_the_reason(config: Mount, command: str) -> None:
    result_file = config.folder.parent / "termination-log"
    arguments = (command, "--config", file_of(config), "--result-file", str(result_file))
    env = environ(KUBERNETES_SERVICE_HOST="10.0.0.1", MOORLINE_CLUSTER="shop")
    done = run(*arguments, env=env)
    assert done.code == 2
    assert done.result["reason"] == "InvalidConfiguration"
    assert "ConfigMap shop-moorline" in done.result["detail"]
    assert json.loads(result_file.read_text()) == done.result


def test_a_result_that_cannot_be_written_is_1_and_said(config: Mount) -> None:
    config.show(cluster_file())
    result_file = config.folder / "nowhere" / "result"
    done = run("check", "--config", file_of(config), "--result-file", str(result_file))
    assert done.code == 1
    assert done.result["ok"] is True
    assert f"Error: --result-file: {result_file}: No such file" in done.stderr


def test_what_is_no_plain_file_is_written_to_and_stays(config: Mount, tmp_path: Path) -> None:
    config.show(cluster_file())
    target, link = tmp_path / "target", tmp_path / "stdout"
    link.symlink_to(target)
    done = run("check", "--config", file_of(config), "--result-file", str(link))
    assert done.code == 0
    assert link.is_symlink()
    assert json.loads(target.read_text()) == done.result
