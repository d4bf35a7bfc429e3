from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_operator.workers.numbering import REST_SECONDS, Names


def take(names: Names, uid: str, now: float = 0, ordinal: int | None = None) -> str:
    name = names.next("node", ordinal, now)
    names.hold(name, uid)
    return name


def test_the_first_pods_get_the_lowest_numbers() -> None:
    names = Names()
    assert [take(names, uid) for uid in "abc"] == ["node0", "node1", "node2"]


def test_a_freed_name_is_passed_over_for_a_minute_and_then_the_first_to_go() -> None:
    names = Names()
    for uid in "abc":
        take(names, uid)
    names.release("b", 10)
    assert take(names, "d", 10 + REST_SECONDS - 1) == "node3"
    assert take(names, "e", 10 + REST_SECONDS) == "node1"


@pytest.mark.parametrize(
    ("held", "ordinal", "expected"),
    [
        pytest.param([], 5, "node5", id="free"),
        pytest.param(["node5"], 5, "node0", id="held"),
        pytest.param(["node0", "node5", "node2"], 5, "node1", id="held-and-the-lowest-too"),
    ],
)
def test_a_stateful_pod_gets_its_ordinal_where_it_is_free(
    held: list[str], ordinal: int, expected: str
) -> None:
    names = Names()
    for name in held:
        names.hold(name, f"holder of {name}")
    assert names.next("node", ordinal, 0) == expected


def test_the_next_pod_of_an_ordinal_gets_its_name_without_a_rest() -> None:
    names = Names()
    take(names, "first", ordinal=2)
    names.release("first", 1)
    assert names.next("node", 2, 1) == "node2"


def test_a_name_that_was_refused_is_not_tried_again() -> None:
    assert Names().next("node", 0, 0, {"node0", "node1"}) == "node2"


def test_a_name_that_two_pods_have_is_free_when_both_are_gone() -> None:
    names = Names()
    names.hold("node0", "a")
    names.hold("node0", "b")
    names.release("a", 0)
    assert names.next("node", None, REST_SECONDS) == "node1"
    names.release("b", 0)
    assert names.next("node", None, REST_SECONDS) == "node0"


@pytest.mark.parametrize("other", ["web0", "node00", "node01", "node", "nodex", "node٣"])
def test_names_of_another_form_take_no_number(other: str) -> None:
    names = Names()
    names.hold(other, "a")
    names.release("a", 0)
    assert [take(names, uid, REST_SECONDS) for uid in "bc"] == ["node0", "node1"]


def test_a_new_prefix_begins_at_its_own_lowest_number() -> None:
    names = Names()
    names.hold("web0", "a")
    take(names, "b")
    assert names.next("web", None, 0) == "web1"
    assert names.next("node", None, 0) == "node1"


def test_thousands_of_names_are_looked_at_once_each() -> None:
    looks: Counter[str] = Counter()

    class Counting(Names):
        def _is_free(self, name: str, refused: object) -> bool:
            looks["all"] += 1
            return super()._is_free(name, refused)  # type: ignore[arg-type] # passed through

    names = Counting()
    for number in range(5_000):
        take(names, str(number))
    for number in range(0, 5_000, 2):
        names.release(str(number), 0)
    for number in range(5_000):
        take(names, f"again {number}", REST_SECONDS)
    assert looks["all"] < 3 * 12_500


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "release", "wait"]),
        st.integers(0, 9),
        st.one_of(st.none(), st.integers(0, 12)),
        st.sampled_from(["node", "n1", "n"]),
    ),
    max_size=80,
)


@given(STEPS)
def test_the_name_is_free_and_rested_and_the_lowest(
    steps: list[tuple[str, int, int | None, str]],
) -> None:
    names, now = Names(), 0.0
    held: dict[str, str] = {}
    freed: dict[str, float] = {}
    for step, (verb, pick, ordinal, prefix) in enumerate(steps):
        if verb == "wait":
            now += pick * 10
        elif verb == "release" and held:
            name = sorted(held)[pick % len(held)]
            names.release(held.pop(name), now)
            freed[name] = now
        elif verb == "take":
            name = names.next(prefix, ordinal, now)
            resting = {other for other, at in freed.items() if now - at < REST_SECONDS}
            free = (f"{prefix}{number}" for number in range(1000))
            lowest = next(other for other in free if other not in held | dict.fromkeys(resting))
            own = f"{prefix}{ordinal}"
            assert name == (own if ordinal is not None and own not in held else lowest)
            held[name] = f"uid {step}"
            names.hold(name, held[name])
