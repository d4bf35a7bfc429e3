"""What is followed of a configuration file that changes, and what is told of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from moorline_sidecar.config import Configuration, ConfigurationSource, Options, Watch
from structlog.testing import capture_logs

from tests.sidecar.mounts import Mount

MEMORY: dict[str, Any] = {"backend": {"type": "Memory"}}
RELOADED = "the configuration was reloaded"
REFUSED = "the configuration file cannot be used; the last one stays"
WAITING = "a restart is needed for what was changed"


def written(**spec: object) -> str:
    return json.dumps({"spec": {**MEMORY, **spec}})


class Watched:
    """A watched file, what was applied of it, and what was told."""

    def __init__(self, folder: Path, text: str, environ: Mapping[str, str] | None = None) -> None:
        self.file = folder / "cluster.json"
        self.file.write_text(text)
        options = Options(config=str(self.file))
        told = {"MOORLINE_WORKER": "node3"} if environ is None else environ
        source = ConfigurationSource(options=options, environ=told, hostname="host")
        self.applied: list[Configuration] = []
        self.watch = Watch(source, source.read(), self.applied.append)

    async def look(self, text: str | None = None, times: int = 2) -> list[dict[str, Any]]:
        """What is told when the file has become `text` and is looked at so often."""
        if text is not None:
            self.file.write_text(text)
        with capture_logs() as told:
            for _ in range(times):
                await self.watch.look()
        return [dict(line) for line in told]

    def counts(self) -> tuple[float, float, float]:
        """Reloads applied and refused; settings that wait for a restart."""
        applied, refused, waiting = self.watch.readings().values()
        return applied, refused, waiting


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path, written())


async def test_a_change_is_followed_once(watched: Watched) -> None:
    (line,) = await watched.look(written(sessions={"maxIdle": "5m"}))
    (configuration,) = watched.applied
    assert configuration.policy.max_idle_ms == 300_000
    assert watched.watch.running is configuration
    assert (line["event"], line["spec_hash"]) == (RELOADED, configuration.spec_hash)
    assert watched.counts() == (1, 0, 0)


async def test_a_change_before_the_first_look_is_not_overlooked(watched: Watched) -> None:
    watched.file.write_text(written(cookie={"name": "S"}))
    await watched.look(times=1)
    assert [each.cookies.name for each in watched.applied] == ["S"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="nothing"),
        pytest.param(json.dumps({"spec": MEMORY}, indent=2), id="white space"),
        pytest.param(written(cookie={"name": "SESSION"}), id="a default spelled out"),
    ],
)
async def test_what_means_the_same_changes_nothing(watched: Watched, text: str | None) -> None:
    assert await watched.look(text) == []
    assert (watched.applied, watched.counts()) == ([], (0, 0, 0))


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        pytest.param("", ["spec.backend"], id="empty"),
        pytest.param('{"spec": {"backend": {"ty', ["neither JSON"], id="half-written"),
        pytest.param('{"a":' * 5_000, ["nested too deeply"], id="nested too deeply"),
        pytest.param("\x00", ["neither JSON"], id="no text"),
        pytest.param(
            written(cookie={"name": "__Host-S", "secure": False}), ["__Host-"], id="a rule"
        ),
        pytest.param(
            written(cache={"evict": "Now"}, cookies={}),
            ["spec.cookies", "spec.cache.evict"],
            id="every mistake",
        ),
    ],
)
async def test_a_file_of_no_use_changes_nothing_and_is_told_once(
    watched: Watched, text: str, mistakes: list[str]
) -> None:
    (line,) = await watched.look(text, times=3)
    assert (line["event"], line["log_level"]) == (REFUSED, "error")
    assert len(line["mistakes"]) == len(mistakes)
    assert all(part in told for part, told in zip(mistakes, line["mistakes"], strict=True))
    assert (watched.applied, watched.counts()) == ([], (0, 1, 0))


async def test_a_file_that_is_gone_changes_nothing_and_is_told_once(watched: Watched) -> None:
    await watched.look()
    watched.file.unlink()
    (line,) = await watched.look(times=3)
    assert line["event"] == REFUSED
    assert "there is no such file" in line["mistakes"][0]
    assert watched.applied == []


async def test_a_repaired_file_is_followed(watched: Watched) -> None:
    await watched.look("{")
    (line,) = await watched.look(written(sessions={"maxIdle": "5m"}))
    assert line["event"] == RELOADED
    assert watched.counts() == (1, 1, 0)


async def test_what_needs_a_restart_is_named_once_and_the_rest_is_followed(
    watched: Watched,
) -> None:
    port = {"sidecar": {"port": 9999}}
    reloaded, waiting = await watched.look(written(**port, sessions={"maxIdle": "5m"}))
    assert [reloaded["event"], waiting["event"]] == [RELOADED, WAITING]
    assert waiting["settings"] == ["spec.sidecar.port"]
    assert watched.applied[-1].policy.max_idle_ms == 300_000
    assert watched.applied[-1].listen.port == 7070
    assert watched.counts() == (1, 0, 1)

    (reloaded,) = await watched.look(written(**port, sessions={"maxIdle": "6m"}))
    assert reloaded["event"] == RELOADED
    assert watched.counts() == (2, 0, 1)


async def test_what_is_undone_needs_no_restart_any_more(watched: Watched) -> None:
    await watched.look(written(sidecar={"port": 9999}))
    (line,) = await watched.look(written())
    assert line["event"] == RELOADED
    assert watched.counts() == (2, 0, 0)


async def test_a_token_that_only_a_new_pod_gets_holds_up_nothing_else(watched: Watched) -> None:
    token = {"tokenSecretRef": {"name": "shop-token"}}
    await watched.look(written(sidecar=token, sessions={"maxIdle": "5m"}))
    assert watched.applied[-1].policy.max_idle_ms == 300_000
    assert watched.applied[-1].token is None
    assert watched.watch.waiting == ("spec.sidecar.tokenSecretRef",)


async def test_a_name_that_was_made_up_is_kept(tmp_path: Path) -> None:
    watched = Watched(tmp_path, written(), environ={})
    (line,) = await watched.look(written(sessions={"maxIdle": "5m"}))
    assert line["event"] == RELOADED


async def test_a_swap_is_seen_whose_file_is_as_long_and_as_old(tmp_path: Path) -> None:
    mount = Mount(tmp_path / "etc")
    mount.show({"cluster.json": written(cookie={"name": "A"})})
    options = Options(config=str(mount.folder / "cluster.json"))
    source = ConfigurationSource(
        options=options, environ={"MOORLINE_WORKER": "node3"}, hostname="host"
    )
    applied: list[Configuration] = []
    watch = Watch(source, source.read(), applied.append)
    await watch.look()
    mount.show({"cluster.json": written(cookie={"name": "B"})})
    await watch.look()
    assert [each.cookies.name for each in applied] == ["B"]


def test_a_file_is_awaited_only_where_it_may_be_mounted(tmp_path: Path) -> None:
    def is_awaited(file: str, worker: str = "node3", *, is_dev: bool = False) -> bool:
        environ = {"MOORLINE_WORKER": worker}
        options = Options(config=str(tmp_path / file), is_dev=is_dev)
        return ConfigurationSource(options=options, environ=environ, hostname="host").is_awaited

    assert is_awaited("cluster.json")
    assert not is_awaited("cluster.json", worker=""), "nobody gave it a name: a mistake"
    assert not is_awaited("nowhere/cluster.json"), "a mounted folder is there"
    assert not is_awaited("cluster.json", is_dev=True)
    (tmp_path / "cluster.json").touch()
    assert not is_awaited("cluster.json")


def test_the_object_that_is_missing_is_named(tmp_path: Path) -> None:
    source = ConfigurationSource(
        options=Options(config=str(tmp_path / "cluster.json")),
        environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1", "MOORLINE_CLUSTER": "shop"},
        hostname="host",
    )
    assert "ConfigMap shop-moorline, which the operator makes" in source.missing
    unnamed = msgspec.structs.replace(source, environ={"KUBERNETES_SERVICE_HOST": "10.0.0.1"})
    assert "ConfigMap <SessionCluster>-moorline" in unnamed.missing
