"""A cluster under fire: the short run of what `make chaos` does for as long as asked."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.faults.fire import Fire, Setting

SEED = 2
SECONDS = 44
"""In which every kind of fault comes, and then a time of rest."""
SIDECARS = 3


@pytest.mark.timeout(400)
async def test_no_promise_is_broken_under_fire(tmp_path: Path) -> None:
    if importlib.util.find_spec("secantus") is None:
        pytest.skip("secantusdb is not installed")
    setting = Setting(seconds=SECONDS, seed=SEED, users=24, sidecars=SIDECARS)
    told: list[str] = []
    outcome = await Fire(setting, tmp_path, told.append).run()
    assert outcome.first_of_each_rule() == {}, (told, tmp_path)
    assert outcome.sessions > 20
    assert outcome.operations.total() > 500
    assert outcome.faults.total() > 12
