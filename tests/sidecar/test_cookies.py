from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_api import HintPlacement, SameSite
from moorline_sidecar.domain.cookies import CookiePolicy, Cookies, Presented
from moorline_sidecar.domain.ids import Hint

A = "A" * 32
B = "b_-" + "B" * 29
C = "c" * 20

SEPARATE = CookiePolicy()
SUFFIX = CookiePolicy(hint=HintPlacement.SUFFIX)
OFF = CookiePolicy(hint=HintPlacement.OFF)


def told(*ids: str, hint: Hint | None = None, kept: Hint | None = None) -> Presented:
    return Presented(ids, hint or kept, kept)


@pytest.mark.parametrize(
    ("policy", "cookie", "expected"),
    [
        pytest.param(SEPARATE, b"", told(), id="nothing"),
        pytest.param(SEPARATE, f"SESSION={A}", told(A), id="one"),
        pytest.param(SEPARATE, f"x=1; SESSION={A}; y=2", told(A), id="among others"),
        pytest.param(SEPARATE, f"x=1;SESSION={A};y=2", told(A), id="without spaces"),
        pytest.param(SEPARATE, f"\tSESSION \t= \t{A} \t", told(A), id="with spaces and tabs"),
        pytest.param(SEPARATE, f'SESSION="{A}"', told(A), id="quoted"),
        pytest.param(SEPARATE, f'SESSION=""{A}""', told(), id="quoted twice"),
        pytest.param(SEPARATE, f'SESSION="{A}', told(), id="half quoted"),
        pytest.param(SEPARATE, 'SESSION="', told(), id="a lone quote"),
        pytest.param(SEPARATE, f'x="y; SESSION={A}; z"', told(A), id="quotes hide nothing"),
        pytest.param(SEPARATE, f"SESSION={A}; SESSION={A}", told(A), id="identical ones are one"),
        pytest.param(SEPARATE, f'SESSION={A}; SESSION="{A}"', told(A), id="identical but quoted"),
        pytest.param(SEPARATE, f"SESSION={A}; SESSION={B}", told(A, B), id="two, in order"),
        pytest.param(SEPARATE, f"SESSION=no; SESSION={B}", told(B), id="malformed is passed over"),
        pytest.param(SEPARATE, f"SESSION={'x' * 19}", told(), id="too short"),
        pytest.param(SEPARATE, f"SESSION={'x' * 129}", told(), id="too long"),
        pytest.param(SEPARATE, f"SESSION={C}", told(C), id="shortest"),
        pytest.param(SEPARATE, f"SESSION={A}=", told(), id="an equals sign in the value"),
        pytest.param(SEPARATE, f"SESSION={A},x=1", told(), id="a comma separates nothing"),
        pytest.param(SEPARATE, f"session={A}", told(), id="names are case-sensitive"),
        pytest.param(SEPARATE, f"XSESSION={A}; SESSIONX={A}", told(), id="other names"),
        pytest.param(SEPARATE, f"SESSION{A}", told(), id="no equals sign"),
        pytest.param(SEPARATE, f"SESSION={A}\xe9", told(), id="not ASCII"),
        pytest.param(
            SEPARATE, f"SESSION={A}; SESSION_at=7.n1", told(A, kept=Hint(7, "n1")), id="hint"
        ),
        pytest.param(
            SEPARATE,
            "SESSION_at=7.n1; SESSION_at=12.n2; SESSION_at=9.n3",
            told(kept=Hint(12, "n2")),
            id="the highest version of several hints",
        ),
        pytest.param(
            SEPARATE,
            'SESSION_at=99; SESSION_at=-1.n; SESSION_at=1.; SESSION_at="7.n1"',
            told(kept=Hint(7, "n1")),
            id="malformed hints count as none",
        ),
        pytest.param(SEPARATE, f"SESSION={A}.n2", told(A, kept=Hint(0, "n2")), id="a suffix alone"),
        pytest.param(
            SEPARATE,
            f"SESSION={A}.n2; SESSION_at=7.n1",
            told(A, kept=Hint(7, "n1")),
            id="hint cookie before suffix",
        ),
        pytest.param(
            SUFFIX,
            f"SESSION={A}.n2; SESSION_at=7.n1",
            told(A, kept=Hint(0, "n2")),
            id="a left-over hint cookie is stale with Suffix",
        ),
        pytest.param(SUFFIX, f"SESSION={A}", told(A), id="no suffix yet"),
        pytest.param(SUFFIX, f"SESSION={A}.a b", told(A), id="a malformed worker"),
        pytest.param(SUFFIX, f"SESSION={A}.", told(A), id="an empty worker"),
        pytest.param(SUFFIX, f"SESSION={A}.a.b", told(), id="two dots"),
        pytest.param(
            SUFFIX, f"SESSION={A}.n1; SESSION={A}.n2", told(A), id="two workers say nothing"
        ),
        pytest.param(
            OFF,
            f"SESSION={A}.n2; SESSION_at=7.n1",
            told(A),
            id="left-over hints are stale with Off",
        ),
    ],
)
def test_a_cookie_header_presents(
    policy: CookiePolicy, cookie: str | bytes, expected: Presented
) -> None:
    raw = cookie if isinstance(cookie, bytes) else cookie.encode("latin-1")
    assert Cookies(policy).presented(None, raw) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(b"3.n9", Hint(3, "n9"), id="the header decides, though it is lower"),
        pytest.param(b"nonsense", Hint(7, "n1"), id="a malformed one counts as none"),
        pytest.param(b"\xff", Hint(7, "n1"), id="no text"),
        pytest.param(None, Hint(7, "n1"), id="absent"),
    ],
)
def test_the_hint_header_comes_before_the_cookie(header: bytes | None, expected: Hint) -> None:
    presented = Cookies(SEPARATE).presented(header, b"SESSION_at=7.n1")
    assert presented == Presented((), expected, Hint(7, "n1"))


def test_the_hint_header_counts_where_cookies_do_not() -> None:
    assert Cookies(OFF).presented(b"3.n9", b"SESSION_at=7.n1") == told(hint=Hint(3, "n9"))


ALL_SET = CookiePolicy(
    name="__Secure-S",
    path="/shop",
    domain="example.com",
    same_site=SameSite.NONE,
    partitioned=True,
    max_age_s=3600,
)
REST = "Secure; HttpOnly; SameSite=None; Partitioned"
BARE = CookiePolicy(secure=False, http_only=False, same_site=SameSite.STRICT)


@pytest.mark.parametrize(
    ("policy", "session", "hint", "expired"),
    [
        pytest.param(
            SEPARATE,
            f"SESSION={A}; Path=/; Secure; HttpOnly; SameSite=Lax",
            "SESSION_at=7.n1; Path=/; Secure; HttpOnly; SameSite=Lax",
            [
                "SESSION=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax",
                "SESSION_at=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax",
            ],
            id="defaults",
        ),
        pytest.param(
            ALL_SET,
            f"__Secure-S={A}; Path=/shop; Domain=example.com; Max-Age=3600; {REST}",
            f"__Secure-S_at=7.n1; Path=/shop; Domain=example.com; Max-Age=3600; {REST}",
            [
                f"__Secure-S=; Path=/shop; Domain=example.com; Max-Age=0; {REST}",
                f"__Secure-S_at=; Path=/shop; Domain=example.com; Max-Age=0; {REST}",
            ],
            id="every attribute",
        ),
        pytest.param(
            BARE,
            f"SESSION={A}; Path=/; SameSite=Strict",
            "SESSION_at=7.n1; Path=/; SameSite=Strict",
            [
                "SESSION=; Path=/; Max-Age=0; SameSite=Strict",
                "SESSION_at=; Path=/; Max-Age=0; SameSite=Strict",
            ],
            id="no attribute that can be left out",
        ),
        pytest.param(
            SUFFIX,
            f"SESSION={A}.n1; Path=/; Secure; HttpOnly; SameSite=Lax",
            None,
            ["SESSION=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"],
            id="suffix",
        ),
        pytest.param(
            OFF,
            f"SESSION={A}; Path=/; Secure; HttpOnly; SameSite=Lax",
            None,
            ["SESSION=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"],
            id="off",
        ),
    ],
)
def test_cookies_are_written_with_their_attributes(
    policy: CookiePolicy, session: str, hint: str | None, expired: list[str]
) -> None:
    cookies = Cookies(policy)
    assert cookies.session_cookie(A, "n1").decode() == session
    if hint is not None:
        assert cookies.hint_cookie(Hint(7, "n1")).decode() == hint
    assert [value.decode() for value in cookies.expired_cookies()] == expired


@pytest.mark.parametrize(
    ("max_age_s", "refresh_age_ms", "age_ms", "expected"),
    [
        pytest.param(3600, 1000, 1000, True, id="old enough"),
        pytest.param(3600, 1000, 999, False, id="too young"),
        pytest.param(3600, 0, 10**9, False, id="never refreshed"),
        pytest.param(0, 1000, 10**9, False, id="ends with the browser"),
        pytest.param(3600, 1000, -5, False, id="written in the future"),
    ],
)
def test_a_cookie_is_refreshed_when_due(
    max_age_s: int, refresh_age_ms: int, age_ms: int, *, expected: bool
) -> None:
    cookies = Cookies(CookiePolicy(max_age_s=max_age_s, refresh_age_ms=refresh_age_ms))
    assert cookies.is_refresh_due(1_000_000, 1_000_000 + age_ms) is expected


WORDS = st.text("ABCxyz019_-", min_size=20, max_size=128)
WORKERS = st.text("ABCxyz019_-", min_size=1, max_size=64)
NAMES = st.text("!#$%&'*+.^_`|~09AZaz-", min_size=1, max_size=64)


@given(st.binary(max_size=200), st.binary(max_size=40), st.sampled_from(HintPlacement))
def test_no_header_is_too_strange_to_be_read(
    cookie: bytes, header: bytes, placement: HintPlacement
) -> None:
    cookies = Cookies(CookiePolicy(hint=placement))
    for raw in (cookie, b"SESSION=" + cookie, b"SESSION_at=" + cookie):
        cookies.presented(header, raw)


def pair(set_cookie: bytes) -> bytes:
    """What a browser sends back."""
    return set_cookie.partition(b";")[0]


@given(NAMES, WORDS, WORKERS, st.integers(0, 10**18 - 1), st.sampled_from(HintPlacement))
def test_what_is_written_is_read_back(
    name: str, session_id: str, worker: str, version: int, placement: HintPlacement
) -> None:
    cookies = Cookies(CookiePolicy(name=name, hint=placement))
    sent = pair(cookies.session_cookie(session_id, worker))
    expected: dict[Any, Hint | None] = {
        HintPlacement.SEPARATE: Hint(version, worker),
        HintPlacement.SUFFIX: Hint(0, worker),
        HintPlacement.OFF: None,
    }
    if placement is HintPlacement.SEPARATE:
        sent += b"; " + pair(cookies.hint_cookie(Hint(version, worker)))
    assert cookies.presented(None, sent) == told(session_id, kept=expected[placement])
    for expired in cookies.expired_cookies():
        assert cookies.presented(None, pair(expired)) == told()
