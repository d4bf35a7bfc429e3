"""Merging many changes into one write is nothing but doing them one by one."""

import copy

from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.domain.changes import content_size
from moorline_sidecar.domain.merging import Asked, Verdict, merge
from moorline_sidecar.domain.policies import RECENT_KEYS
from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import Refusal
from msgspec import structs

from tests.sidecar.domain.drawn import changes, conditions, few_keys, many_keys, sessions

limits = st.sampled_from([40, 80, 10_000])


def said(verdict: Verdict | Refusal) -> object:
    """A verdict as something that compares."""
    return verdict if isinstance(verdict, Verdict) else (type(verdict), str(verdict))


def one_by_one(session: Session, asked: list[Asked], limit: int) -> tuple[Session, list[object]]:
    verdicts: list[object] = []
    for ask in asked:
        merged = merge(session, [ask], limit)
        session = merged.content
        verdicts += map(said, merged.verdicts)
    return session, verdicts


@given(sessions, changes(), limits)
def test_one_write_of_many_changes_equals_many_writes(
    before: Session, asked: list[Asked], limit: int
) -> None:
    merged = merge(before, asked, limit)

    assert (merged.content, list(map(said, merged.verdicts))) == one_by_one(before, asked, limit)


@given(sessions, changes(versions=conditions), limits)
def test_what_was_refused_or_comes_later_might_as_well_not_have_been_asked(
    before: Session, asked: list[Asked], limit: int
) -> None:
    merged = merge(before, asked, limit)
    taken = [
        ask
        for ask, verdict in zip(asked, merged.verdicts, strict=True)
        if verdict is Verdict.MERGED
    ]

    assert merge(before, taken, limit).content == merged.content


@given(sessions, changes(versions=conditions), limits)
def test_every_change_gets_a_verdict_and_no_record_is_touched(
    before: Session, asked: list[Asked], limit: int
) -> None:
    untouched = copy.deepcopy((before, asked))

    assert len(merge(before, asked, limit).verdicts) == len(asked)
    assert (before, asked) == untouched


@given(sessions, changes(keys=few_keys, fewest=10, most=30))
def test_a_write_remembers_every_key_that_it_merged(before: Session, asked: list[Asked]) -> None:
    named = [structs.replace(ask, idempotency_key=f"new-{n}") for n, ask in enumerate(asked)]
    merged = merge(before, named, 10_000)
    keys = {
        ask.idempotency_key
        for ask, verdict in zip(named, merged.verdicts, strict=True)
        if verdict is Verdict.MERGED and not ask.patch.is_empty
    }

    assert keys <= set(merged.content.recent)
    assert len(merged.content.recent) == len(set(merged.content.recent)) <= RECENT_KEYS


@given(sessions, changes(versions=conditions), limits)
def test_content_grows_beyond_the_limit_for_nobody(
    before: Session, asked: list[Asked], limit: int
) -> None:
    after = merge(before, asked, limit).content

    assert content_size(after.contexts) <= max(limit, content_size(before.contexts))


@given(sessions, changes(versions=conditions))
def test_if_match_is_merged_only_into_the_version_that_it_names(
    before: Session, asked: list[Asked]
) -> None:
    verdicts = merge(before, asked, 10_000).verdicts
    for position, (ask, verdict) in enumerate(zip(asked, verdicts, strict=True)):
        if verdict is Verdict.MERGED and ask.if_versions is not None:
            assert before.version in ask.if_versions
            assert merge(before, asked[:position], 10_000).content is before


@given(sessions, changes(versions=conditions, keys=many_keys, most=24))
def test_what_comes_later_gets_its_turn(before: Session, asked: list[Asked]) -> None:
    session, waiting, writes = before, asked, 0
    while waiting:
        merged = merge(session, waiting, 10_000)
        waiting = [
            ask
            for ask, verdict in zip(waiting, merged.verdicts, strict=True)
            if verdict is Verdict.LATER
        ]
        session = structs.replace(merged.content, version=session.version + 1)
        writes += 1

    assert writes <= max(1, len(asked))
