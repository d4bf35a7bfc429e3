import asyncio
from collections.abc import AsyncIterator

import pytest
from moorline_operator.election import (
    Elector,
    elapsed,
    new_identity,
    terms,
)
from moorline_operator.errors import LeadershipLost
from moorline_operator.kube.kinds import LEASES, Kind
from moorline_operator.settings import ElectionSettings

from tests.operator.election.race import TERMS, Link, Race
from tests.operator.workers.simulated_api import SimulatedApi

pytestmark = pytest.mark.looptime(noop_cycles=0)


@pytest.fixture
async def race() -> AsyncIterator[Race]:
    """Checked at its end: two never acted at once."""
    race = Race()
    yield race
    await race.stop()
    race.check()


def names(race: Race) -> list[str]:
    return [name for name, _, _ in race.reigns()]


async def test_the_first_leads_at_once_and_the_others_wait(race: Race) -> None:
    race.start("a")
    await asyncio.sleep(1)
    race.start("b")
    await asyncio.sleep(120)
    assert names(race) == ["a"]
    assert race.holder == "a"
    assert race.longest_pause() < 0.2


async def test_of_many_that_start_together_one_leads(race: Race) -> None:
    for name in "abcdefgh":
        race.start(name)
    await asyncio.sleep(60)
    assert len(names(race)) == 1


async def test_who_is_told_to_end_hands_over_at_once(race: Race) -> None:
    first = race.start("a")
    await asyncio.sleep(1)
    race.start("b")
    await asyncio.sleep(10)
    await first.stop()
    assert race.holder == ""
    await asyncio.sleep(5)
    assert names(race) == ["a", "b"]
    assert race.longest_pause() < 1.5 * TERMS.retry


async def test_who_is_killed_is_followed_when_the_lease_has_run_out(race: Race) -> None:
    first = race.start("a")
    await asyncio.sleep(1)
    race.start("b")
    await asyncio.sleep(10)
    first.link.is_cut = True
    await first.stop()
    await asyncio.sleep(30)
    assert names(race) == ["a", "b"]
    assert TERMS.duration - TERMS.retry < race.longest_pause() < TERMS.duration + 3 * TERMS.retry


async def test_who_is_cut_off_stops_acting_before_anyone_else_begins(race: Race) -> None:
    first = race.start("a")
    await asyncio.sleep(1)
    race.start("b")
    await asyncio.sleep(10)
    first.link.is_cut = True
    await asyncio.sleep(TERMS.renew_deadline + 1)
    with pytest.raises(LeadershipLost):
        await first.task
    await asyncio.sleep(30)
    assert names(race) == ["a", "b"]


@pytest.mark.parametrize("what", ["requests", "answers"])
async def test_an_outage_for_all_ends_the_leader_and_another_one_leads_afterwards(
    race: Race, what: str
) -> None:
    for name in "abc":
        race.start(name)
        await asyncio.sleep(1)
    await asyncio.sleep(10)
    for replica in race.replicas.values():
        replica.link.is_cut = what == "requests"
        replica.link.answers_are_lost = what == "answers"
    await asyncio.sleep(60)
    assert race.replicas["a"].task.done()
    for replica in race.replicas.values():
        replica.link.is_cut = replica.link.answers_are_lost = False
    await asyncio.sleep(30)
    assert len(names(race)) == 2


async def test_an_outage_shorter_than_the_deadline_changes_nothing(race: Race) -> None:
    first = race.start("a")
    race.start("b")
    await asyncio.sleep(10)
    first.link.is_cut = True
    await asyncio.sleep(TERMS.renew_deadline - TERMS.retry - 1)
    first.link.is_cut = False
    await asyncio.sleep(60)
    assert len(names(race)) == 1


async def test_answers_that_take_seconds_are_waited_for(race: Race) -> None:
    for name in "ab":
        race.start(name).link.seconds = (0.1, 0.5, 0.8)
    await asyncio.sleep(300)
    assert len(names(race)) == 1


async def test_the_deadline_counts_from_the_question_and_not_from_the_answer(race: Race) -> None:
    async def answer_late(verb: str, _kind: Kind) -> None:
        if verb == "create":
            await asyncio.sleep(3)

    race.api.after = answer_late
    asked = asyncio.get_running_loop().time()
    first = race.start("a")
    await asyncio.sleep(3.1)
    first.link.is_cut = True
    await asyncio.sleep(TERMS.duration)
    ((_, _, last),) = race.reigns()
    assert last < asked + TERMS.renew_deadline + 0.1


@pytest.mark.parametrize(
    ("offset", "rate"),
    [
        pytest.param(-1e6, 1.0, id="behind"),
        pytest.param(1e6, 1.0, id="ahead"),
        pytest.param(0.0, 0.8, id="slow"),
        pytest.param(0.0, 1.2, id="fast"),
    ],
)
@pytest.mark.parametrize("leads", ["a", "b"])
async def test_clocks_that_differ_do_not_matter(
    race: Race, offset: float, rate: float, leads: str
) -> None:
    clocks = {"clock_offset": offset, "clock_rate": rate}
    first = race.start("a", **(clocks if leads == "a" else {}))
    await asyncio.sleep(1)
    race.start("b", **(clocks if leads == "b" else {}))
    await asyncio.sleep(60)
    assert names(race) == ["a"]
    first.link.is_cut = True
    await asyncio.sleep(60)
    assert names(race) == ["a", "b"]


async def test_a_payload_that_fails_ends_the_run_and_frees_the_lease() -> None:
    class Broken(Exception):
        pass

    async def break_down() -> None:
        await asyncio.sleep(5)
        raise Broken

    race = Race()
    elector = Elector(Link(race.api), TERMS, "a", asyncio.get_running_loop().time)
    with pytest.raises(Broken):
        await elector.run(break_down)
    assert race.holder == ""
    assert not elector.is_leading()


async def test_a_payload_that_returns_ends_the_run_and_frees_the_lease() -> None:
    race = Race()
    elector = Elector(Link(race.api), TERMS, "a", asyncio.get_running_loop().time)
    await elector.run(lambda: asyncio.sleep(5))
    assert race.holder == ""


async def test_the_lease_is_kept_while_the_payload_winds_down() -> None:
    race = Race()
    holders: list[str | None] = []

    async def wind_down() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(TERMS.renew_deadline - 1)
            elector.guard()
            holders.append(race.holder)

    elector = Elector(Link(race.api), TERMS, "a", asyncio.get_running_loop().time)
    running = asyncio.create_task(elector.run(wind_down))
    await asyncio.sleep(30)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert holders == ["a"]
    assert race.holder == ""


@pytest.mark.parametrize("is_cut", [False, True], ids=["told-to-end", "cut-off"])
async def test_a_payload_that_cannot_be_stopped_is_left_behind_and_the_lease_is_not_freed(
    *, is_cut: bool
) -> None:
    race = Race()
    release = asyncio.Event()

    async def go_on() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    link = Link(race.api)
    loop = asyncio.get_running_loop()
    elector = Elector(link, TERMS, "a", loop.time)
    running = asyncio.create_task(elector.run(go_on))
    await asyncio.sleep(30)
    asked = loop.time()
    if is_cut:
        link.is_cut = True
    else:
        running.cancel()
    with pytest.raises(LeadershipLost if is_cut else asyncio.CancelledError):
        await running
    assert loop.time() - asked < TERMS.duration
    assert race.holder == "a"
    with pytest.raises(LeadershipLost):
        elector.guard()
    release.set()
    await asyncio.sleep(1)


async def test_a_leader_that_was_frozen_finds_out_before_it_acts() -> None:
    api = SimulatedApi()
    skipped = 0.0
    loop = asyncio.get_running_loop()
    refused: list[float] = []

    async def act() -> None:
        nonlocal skipped
        await asyncio.sleep(5.3)
        # As after SIGCONT: the clock has gone on, and no timer has fired yet.
        skipped = TERMS.duration
        try:
            elector.guard()
        finally:
            refused.append(loop.time())

    elector = Elector(Link(api), TERMS, "a", lambda: loop.time() + skipped)
    with pytest.raises(LeadershipLost):
        await elector.run(act)
    assert len(refused) == 1


async def test_a_lease_that_somebody_deletes_is_made_anew_by_the_leader(race: Race) -> None:
    race.start("a")
    await asyncio.sleep(1)
    race.start("b")
    await asyncio.sleep(10)
    race.api.remove(LEASES, TERMS.namespace, TERMS.lease)
    await asyncio.sleep(60)
    assert names(race) == ["a"]
    assert race.holder == "a"


async def test_a_lease_that_is_deleted_while_its_leader_is_cut_off_is_waited_out(
    race: Race,
) -> None:
    first = race.start("a")
    await asyncio.sleep(1)
    second = race.start("b")
    await asyncio.sleep(10)
    second.link.is_cut = True
    await asyncio.sleep(20)
    first.link.is_cut = True
    race.api.remove(LEASES, TERMS.namespace, TERMS.lease)
    second.link.is_cut = False
    await asyncio.sleep(60)
    assert names(race) == ["a", "b"]


async def test_a_leader_whose_lease_somebody_took_stops_with_its_next_renewal() -> None:
    race = Race()
    first = race.start("a")
    await asyncio.sleep(10)
    spec = {"holderIdentity": "somebody", "leaseDurationSeconds": 15}
    race.api.merge(LEASES, TERMS.namespace, TERMS.lease, {"spec": spec})
    await asyncio.sleep(2 * TERMS.retry)
    with pytest.raises(LeadershipLost, match="another replica"):
        await first.task
    assert race.holder == "somebody"


async def test_the_duration_of_the_holder_counts(race: Race) -> None:
    spec = {"holderIdentity": "old", "leaseDurationSeconds": 100}
    metadata = {"namespace": TERMS.namespace, "name": TERMS.lease}
    lease = {"apiVersion": LEASES.api_version, "kind": LEASES.name, "metadata": metadata}
    race.api.put(LEASES, {**lease, "spec": spec})
    race.start("a")
    await asyncio.sleep(95)
    assert names(race) == []
    await asyncio.sleep(15)
    assert names(race) == ["a"]


async def test_a_candidate_that_is_told_to_end_gives_back_what_it_was_just_given() -> None:
    race = Race()
    asked = asyncio.Event()

    async def created(verb: str, _kind: Kind) -> None:
        if verb == "create":
            asked.set()
            await asyncio.sleep(1)

    race.api.after = created
    replica = race.start("a")
    await asked.wait()
    await replica.stop()
    assert race.holder == ""


async def test_the_lease_counts_its_transitions(race: Race) -> None:
    for name in "abc":
        replica = race.start(name)
        await asyncio.sleep(10)
        await replica.stop()
    (lease,) = race.api.of(LEASES)
    assert lease["spec"]["leaseTransitions"] == 3


def test_settings_are_seconds_and_identities_differ() -> None:
    assert terms(ElectionSettings(), "moorline-system") == TERMS
    assert new_identity("pod-1").startswith("pod-1_")
    assert new_identity("pod-1") != new_identity("pod-1")
    assert elapsed() <= elapsed()
