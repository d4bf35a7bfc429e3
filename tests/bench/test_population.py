import random

import msgspec
import pytest
from moorline_sidecar.domain.ids import hashed_key

from bench.population import Member, aged, document, drawn_attributes, members


def drawn(seed: int) -> list[Member]:
    return list(members(50, random.Random(seed)))


def test_the_same_seed_draws_the_same_sessions() -> None:
    assert drawn(1) == drawn(1)
    assert {each.id for each in drawn(1)}.isdisjoint(each.id for each in drawn(2))


def test_sizes_differ_around_a_kilobyte() -> None:
    sizes = [len(msgspec.json.encode(each.attributes)) for each in drawn(3)]

    assert len(set(sizes)) > 20
    assert 550 < min(sizes) < max(sizes) < 850


@pytest.mark.parametrize("size", [200, 1_000, 64_000])
def test_attributes_have_the_size_that_is_asked_for(size: int) -> None:
    attributes = drawn_attributes(random.Random(4), size)

    assert abs(len(msgspec.json.encode(attributes)) - size) <= 2


def test_a_stored_session_is_as_old_as_it_was_drawn() -> None:
    chance = random.Random(5)
    member = aged(60_000)(drawn(5)[0], chance)

    stored = document(member, "node1", 1_000_000)

    assert stored["_id"] == hashed_key(member.id)
    assert int(stored["accessed"]) == 1_000_000 - member.age_ms
