import base64
import hashlib
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.domain.ids import (
    derived_id,
    handle_of,
    hashed_key,
    is_id,
    is_worker,
    new_id,
    plain_key,
    split_worker,
)

ALPHABET = string.ascii_letters + string.digits + "_-"
ids = st.text(ALPHABET, min_size=20, max_size=128)
A = "A" * 32
B = "B" * 32


def test_a_new_id_is_32_characters_without_a_dot() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", new_id())


def test_a_new_id_holds_24_bytes() -> None:
    assert len(base64.urlsafe_b64decode(new_id())) == 24


def test_new_ids_differ() -> None:
    assert len({new_id() for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", False, id="empty"),
        pytest.param("a" * 19, False, id="one too short"),
        pytest.param("a" * 20, True, id="shortest"),
        pytest.param("a" * 128, True, id="longest"),
        pytest.param("a" * 129, False, id="one too long"),
        pytest.param("azAZ09_-" * 4, True, id="whole alphabet"),
        pytest.param("a" * 31 + ".", False, id="dot"),
        pytest.param("a" * 31 + "+", False, id="plus of the other base64"),
        pytest.param("a" * 31 + "/", False, id="slash of the other base64"),
        pytest.param("a" * 31 + "=", False, id="padding"),
        pytest.param("a" * 31 + " ", False, id="space"),
        pytest.param("a" * 31 + "\n", False, id="newline at the end"),
        pytest.param("\n" + "a" * 31, False, id="newline at the start"),
        pytest.param("a" * 31 + "\0", False, id="NUL"),
        pytest.param("a" * 31 + "\xe9", False, id="letter beyond ASCII"),
        pytest.param("a" * 31 + "\u0663", False, id="digit beyond ASCII"),
        pytest.param("a" * 31 + "$", False, id="dollar"),
    ],
)
def test_an_id_has_20_to_128_characters_of_its_alphabet(text: str, *, expected: bool) -> None:
    assert is_id(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("n", True, id="shortest"),
        pytest.param("shop-sidecar_7", True, id="usual"),
        pytest.param("n" * 64, True, id="longest"),
        pytest.param("", False, id="empty"),
        pytest.param("n" * 65, False, id="one too long"),
        pytest.param("a.b", False, id="dot"),
        pytest.param("a b", False, id="space"),
        pytest.param("a;b", False, id="end of a cookie"),
        pytest.param("node\n", False, id="newline"),
        pytest.param("n\xf6de", False, id="letter beyond ASCII"),
    ],
)
def test_a_workers_name_fits_into_a_cookie(text: str, *, expected: bool) -> None:
    assert is_worker(text) is expected


@pytest.mark.parametrize(
    ("text", "session_id", "worker"),
    [
        pytest.param(A, A, None, id="no worker"),
        pytest.param(f"{A}.node3", A, "node3", id="worker"),
        pytest.param(f"{A}.", A, "", id="nothing behind the dot"),
        pytest.param(f"{A}.a.b", f"{A}.a", "b", id="last of two dots"),
        pytest.param(".node3", "", "node3", id="nothing before the dot"),
        pytest.param("", "", None, id="nothing"),
    ],
)
def test_what_follows_the_last_dot_is_the_worker(
    text: str, session_id: str, worker: str | None
) -> None:
    assert split_worker(text) == (session_id, worker)


@given(ids, st.text(ALPHABET, min_size=1, max_size=64))
def test_id_and_worker_come_apart_as_they_were_joined(session_id: str, worker: str) -> None:
    assert split_worker(f"{session_id}.{worker}") == (session_id, worker)


@given(ids)
def test_a_hashed_key_is_the_sha256_of_the_id(session_id: str) -> None:
    key = hashed_key(session_id)

    assert base64.urlsafe_b64decode(key + "=") == hashlib.sha256(session_id.encode()).digest()


@given(ids)
def test_a_hashed_key_is_43_url_safe_characters(session_id: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", hashed_key(session_id))


def test_a_hashed_key_is_the_same_in_every_release() -> None:
    # Sessions outlive an upgrade only if they are found again.
    assert hashed_key("a" * 32) == "O6P19DuSYCaDwZruYqIDQrCE3Vlx3dM4CNgaMoh5pUc"


def test_a_plain_key_is_the_id() -> None:
    assert plain_key(A) == A


@given(ids)
def test_a_handle_is_16_characters_of_a_hash_of_its_own(session_id: str) -> None:
    key = hashed_key(session_id)
    digest = hashlib.sha256(b"handle" + key.encode()).digest()

    assert handle_of(key) == base64.urlsafe_b64encode(digest).decode()[:16]
    assert not key.startswith(handle_of(key))


def test_a_renew_repeated_anywhere_gets_the_same_id() -> None:
    assert derived_id(A, "key") == derived_id(A, "key")


@pytest.mark.parametrize(
    ("origin", "key"),
    [
        pytest.param(B, "key", id="another origin"),
        pytest.param(A, "yek", id="another key"),
        pytest.param(A + "k", "ey", id="another border between the two"),
    ],
)
def test_no_other_renew_gets_that_id(origin: str, key: str) -> None:
    assert derived_id(origin, key) != derived_id(A, "key")


@given(ids, st.text(string.printable, min_size=1, max_size=64))
def test_a_derived_id_looks_like_any_other(origin: str, key: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", derived_id(origin, key))
