"""A cluster under fire: the short runs of what `make chaos` does for as long as asked."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from e2e.app.databases import NotInstalled
from tests.faults.fire import Fire, Outcome, Setting

RUNS = {
    "mongodb": Setting(store="mongodb", seconds=44, seed=2, users=24, sidecars=3),
    "redis": Setting(store="redis", seconds=20, seed=16, users=24, sidecars=3),
}
"""In each every kind of fault comes, and in the long one a time of rest after them."""


async def burned(setting: Setting, folder: Path) -> Outcome:
    if setting.store == "mongodb" and importlib.util.find_spec("secantus") is None:
        pytest.skip("secantusdb is not installed")
    told: list[str] = []
    try:
        outcome = await Fire(setting, folder, told.append).run()
    except NotInstalled as error:
        pytest.skip(str(error))
    assert outcome.first_of_each_rule() == {}, (told, folder)
    return outcome


@pytest.mark.timeout(400)
@pytest.mark.parametrize("setting", RUNS.values(), ids=RUNS.keys())
async def test_no_promise_is_broken_under_fire(setting: Setting, tmp_path: Path) -> None:
    outcome = await burned(setting, tmp_path)
    assert outcome.sessions > 20
    assert outcome.operations.total() > 10 * setting.seconds
    assert outcome.faults.total() > 12
