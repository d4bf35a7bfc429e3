import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.domain.ids import Hint, is_worker, parse_hint

ALPHABET = string.ascii_letters + string.digits + "_-"

hints = st.builds(
    Hint,
    st.integers(0, 10**18 - 1),
    st.text(ALPHABET, min_size=1, max_size=64),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("7.node3", Hint(7, "node3"), id="usual"),
        pytest.param("0.n", Hint(0, "n"), id="no version seen"),
        pytest.param("007.n", Hint(7, "n"), id="leading zeros"),
        pytest.param("999999999999999999.n", Hint(10**18 - 1, "n"), id="highest version"),
        pytest.param("7." + "n" * 64, Hint(7, "n" * 64), id="longest worker"),
    ],
)
def test_a_hint_is_version_and_worker(text: str, expected: Hint) -> None:
    assert parse_hint(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(".", id="only a dot"),
        pytest.param("7", id="no dot"),
        pytest.param("7.", id="no worker"),
        pytest.param(".n", id="no version"),
        pytest.param("n.7", id="turned round"),
        pytest.param("-1.n", id="negative"),
        pytest.param("+1.n", id="plus sign"),
        pytest.param("1_0.n", id="underscore that Python's int takes"),
        pytest.param("0x7.n", id="hexadecimal"),
        pytest.param("1e3.n", id="exponent"),
        pytest.param("7.0.n", id="two dots"),
        pytest.param("7.n.m", id="worker with a dot"),
        pytest.param("7,n", id="comma"),
        pytest.param(" 7.n", id="space before"),
        pytest.param("7.n ", id="space behind"),
        pytest.param("7.n\n", id="newline"),
        pytest.param('"7.n"', id="quotes"),
        pytest.param("\u0667.n", id="digit beyond ASCII"),
        pytest.param("7.n\xf6de", id="letter beyond ASCII"),
        pytest.param("7." + "n" * 65, id="worker too long"),
        pytest.param("9" * 10_000 + ".n", id="version too long"),
        pytest.param("7.n, 8.m", id="two hints"),
        pytest.param("7.n;x", id="end of a cookie"),
    ],
)
def test_a_malformed_hint_counts_as_none(text: str) -> None:
    assert parse_hint(text) is None


@given(hints)
def test_a_hint_is_read_as_it_was_written(hint: Hint) -> None:
    assert parse_hint(str(hint)) == hint


@given(hints)
def test_what_follows_the_last_dot_of_a_hint_is_its_worker(hint: Hint) -> None:
    assert str(hint).rpartition(".")[2] == hint.worker


@given(st.text(max_size=90))
def test_whatever_is_presented_is_a_sound_hint_or_none(text: str) -> None:
    hint = parse_hint(text)

    assert hint is None or (hint.version >= 0 and is_worker(hint.worker))
