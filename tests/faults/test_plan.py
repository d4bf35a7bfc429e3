import itertools

import pytest

from tests.faults.fire import Setting
from tests.faults.plan import CALM_SECONDS, ON_LINK, ON_STORE, Fault, plan, skews
from tests.faults.test_fire import RUNS


def test_a_plan_can_be_had_again() -> None:
    assert plan(7, 300, 4) == plan(7, 300, 4)
    assert plan(7, 300, 4) != plan(8, 300, 4)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_every_fault_happens_in_a_run_that_is_part_of_the_tests(run: Setting) -> None:
    planned = plan(run.seed, run.seconds, run.sidecars)
    assert {each.fault for each in planned} == set(Fault)


def test_there_are_times_of_rest() -> None:
    planned = plan(7, 600, 4)
    pauses = [after.at - before.at for before, after in itertools.pairwise(planned)]
    assert sum(pause >= CALM_SECONDS for pause in pauses) > 8


def test_clocks_are_minutes_off_and_stepped() -> None:
    steps = skews(7, 300, 1)
    assert len(steps) > 5
    assert steps[0][0] == 0
    assert max(abs(off) for _, off in steps) > 120
    assert steps != skews(7, 300, 2)


def test_what_is_spared_never_happens_and_the_rest_the_more_often() -> None:
    planned = plan(7, 60, 4, ON_LINK | ON_STORE)
    kinds = [each.fault for each in planned]
    assert set(kinds) == set(Fault) - ON_LINK - ON_STORE
    assert min(kinds.count(fault) for fault in set(kinds)) > 5
