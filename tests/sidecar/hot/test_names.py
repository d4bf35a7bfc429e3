import itertools
import secrets
import string
import sys
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.hot import LINE_BYTES

IDS = [b"%032d" % number for number in range(200)]
RESTS = [b" HTTP/1.1\r\n\r\n", b" HTTP/1.1\r\nAccept: */*\r\n\r\n", b""]


def name_of(number: int, rest: int = 0) -> bytes:
    return b"GET /v1/sessions/" + IDS[number] + RESTS[rest]


def an_answer(implementation: ModuleType, attributes: bytes = b"{}", lead: bytes = b"lead") -> Any:  # noqa: ANN401
    return implementation.Answer(
        context="/",
        lead=lead,
        own=b"own",
        middle=b"middle",
        attributes=attributes,
        tag_end=1,
        json_start=2,
    )


def an_entry(implementation: ModuleType) -> SimpleNamespace:
    return SimpleNamespace(times=implementation.Times(1, 2, 1, 2, "node1", None, 1))


def put(names: Any, answer: Any, entry: object, number: int, rest: int = 0) -> None:  # noqa: ANN401
    names.put(answer, entry, 0, name_of(number, rest), RESTS[rest])


def test_an_answer_is_found_by_the_whole_name_only(implementation: ModuleType) -> None:
    names, answer, entry = (
        implementation.Names(),
        an_answer(implementation),
        an_entry(implementation),
    )
    name = name_of(7)
    put(names, answer, entry, 7)

    assert names.find(name) is answer
    assert (answer.entry, len(names)) == (entry, 1)
    others = [name[:size] for size in range(len(name))]
    others += [name + b"x", b"x" + name, b"x" + name[1:], name[:-1] + b"x", name_of(7, 1)]
    others += [name[:at] + b"x" + name[at + 1 :] for at in range(len(name))]
    assert [other for other in others if names.find(other) is not None] == []


def test_nothing_is_found_where_nothing_is(implementation: ModuleType) -> None:
    names = implementation.Names()

    assert (names.find(name_of(1)), names.find(b""), len(names)) == (None, None, 0)
    names.clear()
    assert names.find(name_of(1)) is None


def test_an_answer_has_no_name_before_it_is_given_one(implementation: ModuleType) -> None:
    answer = an_answer(implementation)

    answer.unname()

    assert (answer.entry, answer.names, answer.other) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        pytest.param(name_of(1), RESTS[1], id="another rest"),
        pytest.param(name_of(1), RESTS[0][1:], id="a part of the rest"),
        pytest.param(name_of(1)[: LINE_BYTES - 1], b"", id="not a whole line"),
        pytest.param(b"", b"", id="nothing"),
    ],
)
def test_what_is_no_name_is_refused(implementation: ModuleType, name: bytes, rest: bytes) -> None:
    names, answer = implementation.Names(), an_answer(implementation)

    with pytest.raises(ValueError, match=r"^the name does not end with the rest$"):
        names.put(answer, an_entry(implementation), 0, name, rest)

    assert (len(names), answer.names) == (0, None)


steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "unname", "clear", "forget"]),
        st.integers(0, 40),
        st.integers(0, 199),
        st.integers(0, 2),
    ),
    max_size=400,
)


@given(steps=steps)
def test_it_is_a_dictionary(
    implementation: ModuleType, steps: list[tuple[str, int, int, int]]
) -> None:
    names, entry = implementation.Names(), an_entry(implementation)
    answers = [an_answer(implementation) for _ in range(41)]
    expected: dict[bytes, Any] = {}
    for step, who, number, rest in steps:
        answer, name = answers[who], name_of(number, rest)
        if step in {"put", "unname", "forget"}:
            expected = {key: it for key, it in expected.items() if it is not answer}
        if step == "put":
            put(names, answer, entry, number, rest)
            expected[name] = answer
        elif step == "unname":
            answer.unname()
        elif step == "forget":  # and let the table hold the last reference, until it lets go
            answer.unname()
            answers[who] = an_answer(implementation)
        elif number < 20:
            names.clear()
            expected.clear()
        assert len(names) == len(expected)

    found = {
        name_of(number, rest): names.find(name_of(number, rest))
        for number, rest in itertools.product(range(200), range(3))
    }
    assert {name: answer for name, answer in found.items() if answer is not None} == expected


def test_thousands_come_and_go(implementation: ModuleType) -> None:
    names, entry = implementation.Names(), an_entry(implementation)
    held = {}
    for number in range(5_000):
        name = b"GET /v1/sessions/%032x%b" % (number * 0x9E3779B97F4A7C15, RESTS[0])
        answer = an_answer(implementation)
        names.put(answer, entry, 0, name, RESTS[0])
        held[name] = answer
        if number % 3 == 0:
            held.pop(next(iter(held))).unname()
    assert len(names) == len(held)
    assert all(names.find(name) is answer for name, answer in held.items())


def seconds_to_find(implementation: ModuleType, ids: list[bytes]) -> float:
    """CPU of this process, the least of some rounds."""
    names, entry = implementation.Names(), an_entry(implementation)
    whole = [b"GET /v1/sessions/%b" % each for each in ids]
    for name in whole:
        names.put(an_answer(implementation), entry, 0, name, b"")
    rounds = []
    for _ in range(5):
        begun = time.process_time()
        for name in whole:
            names.find(name)
        rounds.append(time.process_time() - begun)
    return min(rounds)


@pytest.mark.parametrize("at", [0, 15, 30])
def test_ids_that_a_client_has_chosen_alike_do_not_get_into_each_others_way(
    implementation: ModuleType, at: int
) -> None:
    letters = (string.ascii_letters + string.digits + "-_").encode()
    alike = [
        b"a" * at + bytes(two) + b"a" * (30 - at) for two in itertools.product(letters, letters)
    ]
    unlike = [secrets.token_urlsafe(24).encode() for _ in alike]

    # As fast, but for the machine: all in a few places are dozens of times slower.
    limit_s = 8 * seconds_to_find(implementation, unlike)
    assert seconds_to_find(implementation, alike) < limit_s


def test_who_leaves_leaves_nothing_behind(implementation: ModuleType) -> None:
    names, answer, entry = (
        implementation.Names(),
        an_answer(implementation),
        an_entry(implementation),
    )
    name = bytes(bytearray(name_of(3)))
    rest = bytes(bytearray(RESTS[1]))

    def counts() -> list[int]:
        return [sys.getrefcount(each) for each in (names, answer, entry, entry.times, rest)]

    before = counts()
    for _ in range(3):
        names.put(answer, entry, 0, name[:LINE_BYTES] + rest, rest)
        names.put(answer, entry, 0, name[:LINE_BYTES] + rest, rest)
        answer.unname()
        answer.unname()
        names.put(answer, entry, 0, name[:LINE_BYTES] + rest, rest)
        names.clear()
        answer.unname()

    assert counts() == before


@pytest.mark.parametrize("value", [1, "x", SimpleNamespace()])
def test_only_answers_stand_beside_a_compiled_one(compiled: ModuleType, value: object) -> None:
    answer = an_answer(compiled)

    with pytest.raises(TypeError):
        answer.other = value
    with pytest.raises(TypeError):
        compiled.Names().put(answer, SimpleNamespace(times=value), 0, name_of(1), RESTS[0])

    assert (answer.other, answer.names) == (None, None)
