import pytest
from moorline_api import CacheMode, SaveMode
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.policies import grace_session
from moorline_sidecar.domain.session import Reason, Session, Tombstone

from tests.contract.sessions import T0, a_session
from tests.sidecar.domain.facts import SECOND, a_policy

CONTENT = a_session()


@pytest.mark.parametrize("mode", SaveMode)
def test_with_an_l1_the_save_mode_is_as_configured(mode: SaveMode) -> None:
    assert a_policy(save_mode=mode).effective_save_mode is mode


@pytest.mark.parametrize("mode", SaveMode)
def test_without_an_l1_every_change_is_written(mode: SaveMode) -> None:
    policy = a_policy(save_mode=mode, cache_mode=CacheMode.DISABLED)

    assert policy.effective_save_mode is SaveMode.WRITE


@pytest.mark.parametrize(
    ("cache_bytes", "expected"),
    [pytest.param(1000, 500, id="even"), pytest.param(1001, 500, id="odd")],
)
def test_unsaved_bytes_may_reach_half_of_the_cache(cache_bytes: int, expected: int) -> None:
    assert a_policy(cache_bytes=cache_bytes).unsaved_bytes_max == expected


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        pytest.param(Patch(context="/", set={"a": 1}), True, id="set"),
        pytest.param(Patch(context="/", unset=("a",)), True, id="unset"),
        pytest.param(Patch(context="/", replace={}), True, id="replace"),
        pytest.param(Patch(context="/", increment={"a": 1}), False, id="increment"),
        pytest.param(Patch(context="/", principal="ada"), False, id="principal"),
        pytest.param(Patch(context="/", principal=None), False, id="no principal"),
        pytest.param(Patch(context="/", max_idle_ms=0), False, id="maxIdle"),
        pytest.param(Patch(context="/", set={"a": 1}, principal="ada"), False, id="set and more"),
        pytest.param(Patch(context="/", set={"a": 1}, increment={"b": 1}), False, id="two kinds"),
    ],
)
def test_what_is_written_through_in_every_mode_does_not_wait(
    patch: Patch, *, expected: bool
) -> None:
    assert patch.is_deferrable is expected


def renewed(grace: Session | None, until: int | None) -> Tombstone:
    return Tombstone(
        key="old",
        version=8,
        created=T0,
        accessed=T0,
        invalidated=T0,
        reason=Reason.RENEWED,
        renewed_to="new",
        grace_until=until,
        grace=grace,
    )


@pytest.mark.parametrize(
    ("tombstone", "now", "expected"),
    [
        pytest.param(renewed(CONTENT, T0 + 10 * SECOND), T0, CONTENT, id="just renewed"),
        pytest.param(
            renewed(CONTENT, T0 + 10 * SECOND), T0 + 9_999, CONTENT, id="last millisecond"
        ),
        pytest.param(renewed(CONTENT, T0 + 10 * SECOND), T0 + 10 * SECOND, None, id="over"),
        pytest.param(renewed(None, T0 + 10 * SECOND), T0, None, id="content was dropped"),
        pytest.param(renewed(CONTENT, None), T0, None, id="no grace was given"),
    ],
)
def test_a_renewed_id_shows_its_old_content_until_the_grace_is_over(
    tombstone: Tombstone, now: int, expected: Session | None
) -> None:
    assert grace_session(tombstone, now) is expected
