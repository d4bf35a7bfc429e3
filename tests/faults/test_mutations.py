"""The whole machinery finds a build that breaks a promise, not only the checker a made-up story."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from moorline_api import OnOutage, Staleness

from tests.faults.fire import Fire, Setting
from tests.faults.mutations import MUTATIONS

SECONDS = 150
"""Most are found in ten, without any fault."""

OUTAGE_SECONDS = 6
"""In which the store is killed several times; what shows afterwards is looked for to the end."""

FEW = ("hints are ignored", "late changes revive", "keys are forgotten", "kept ends are ignored")
ALL = os.environ.get("MOORLINE_ALL_MUTATIONS") == "1"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutation", MUTATIONS if ALL else FEW)
async def test_a_build_that_breaks_a_promise_is_found(mutation: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("secantus") is None:
        pytest.skip("secantusdb is not installed")
    needs_outage = MUTATIONS[mutation].shows_in_outage
    setting = Setting(
        seconds=OUTAGE_SECONDS if needs_outage else SECONDS,
        seed=5,
        users=40,
        sidecars=2,
        think_seconds=0.1,
        staleness=Staleness.BOUNCED,
        on_outage=OnOutage.BUFFER if needs_outage else OnOutage.REFUSE,
        max_age_seconds=12 if "deadline" in mutation or "clock" in mutation else 60,
        steps_max=8,
        mutation=mutation,
    )
    outcome = await Fire(setting, tmp_path, lambda _: None).run()
    assert MUTATIONS[mutation].rule in outcome.first_of_each_rule()
