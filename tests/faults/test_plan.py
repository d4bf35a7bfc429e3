import itertools

from tests.faults.plan import CALM_SECONDS, Fault, plan, skews
from tests.faults.test_fire import SECONDS, SEED, SIDECARS


def test_a_plan_can_be_had_again() -> None:
    assert plan(7, 300, 4) == plan(7, 300, 4)
    assert plan(7, 300, 4) != plan(8, 300, 4)


def test_every_fault_happens_in_the_run_that_is_part_of_the_tests() -> None:
    planned = plan(SEED, SECONDS, SIDECARS)
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
