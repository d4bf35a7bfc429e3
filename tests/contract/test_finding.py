from moorline_sidecar.domain.session import Reason
from moorline_sidecar.stores.base import Expired, Outcome, SessionStore, Summary

from tests.contract.sessions import (
    T0,
    a_touch,
    access_of,
    an_end,
    changed,
    inserted,
    stored_session,
    written,
)


async def test_expired_sessions_are_found_oldest_first(store: SessionStore) -> None:
    for key, expiry in (("third", T0 + 3), ("first", T0 + 1), ("second", T0 + 2)):
        await inserted(store, key, expiry=expiry)
    await inserted(store, "later", expiry=T0 + 10)
    await inserted(store, "never", expiry=None, max_idle_ms=0)
    await inserted(store, "copy", expiry=T0 + 1, renew_of="origin")
    await inserted(store, "ended", expiry=T0 + 1)
    await written(store, an_end("ended"))
    await inserted(store, "renewed", expiry=T0 + 1)
    await written(store, an_end("renewed", reason=Reason.RENEWED, grace_until=T0 + 9))

    found = await store.expired(T0 + 10, 0)

    assert [expired.key for expired in found] == ["first", "second", "third"]
    assert [expired.key for expired in await store.expired(T0 + 10, 2)] == ["first", "second"]
    assert [expired.key for expired in await store.expired(T0 + 2, 0)] == ["first"]
    assert await store.expired(T0 + 1, 0) == []


async def test_what_is_found_expired_can_be_ended_by_it(store: SessionStore) -> None:
    session = await inserted(store, expiry=T0 + 1)

    (found,) = await store.expired(T0 + 2, 0)

    assert found == Expired(key=session.key, access=access_of(session))
    assert await written(store, an_end(access=found.access)) is Outcome.APPLIED
    assert await store.expired(T0 + 2, 0) == []


async def test_what_was_accessed_since_is_not_ended_by_it(store: SessionStore) -> None:
    session = await inserted(store, expiry=T0 + 1)
    (found,) = await store.expired(T0 + 2, 0)
    await store.touch([a_touch(session, T0 + 1)])

    assert await written(store, an_end(access=found.access)) is Outcome.CONFLICT


async def test_the_sessions_of_a_principal_are_listed_by_key(store: SessionStore) -> None:
    keys = ["a", "b", "c", "d", "e"]
    for key in reversed(keys):
        await inserted(store, key, principal="ada", created=T0 - 5)
    await inserted(store, "b2", principal="grace")
    await inserted(store, "b3")

    found = await store.by_principal("ada", None, 10)

    assert [summary.key for summary in found] == keys
    session = await stored_session(store, "a")
    assert found[0] == Summary(
        key="a",
        created=T0 - 5,
        accessed=session.accessed,
        expiry=session.expiry,
        last_node=session.last_node,
    )
    assert await store.by_principal("nobody", None, 10) == []


async def test_the_sessions_of_a_principal_come_in_pages(store: SessionStore) -> None:
    for key in "abcde":
        await inserted(store, key, principal="ada")

    pages = []
    after = None
    while page := [summary.key for summary in await store.by_principal("ada", after, 2)]:
        pages.append(page)
        after = page[-1]

    assert pages == [["a", "b"], ["c", "d"], ["e"]]


async def test_the_ended_sessions_of_a_principal_are_not_listed(store: SessionStore) -> None:
    await inserted(store, "alive", principal="ada")
    await inserted(store, "ended", principal="ada")
    await written(store, an_end("ended"))
    await inserted(store, "renewed", principal="ada")
    await written(store, an_end("renewed", reason=Reason.RENEWED, grace_until=T0 + 9))

    assert [summary.key for summary in await store.by_principal("ada", None, 10)] == ["alive"]


async def test_the_copies_of_a_principal_are_listed_as_such(store: SessionStore) -> None:
    await inserted(store, "alive", principal="ada")
    await inserted(store, "copy", principal="ada", renew_of="origin")

    found = await store.by_principal("ada", None, 10)
    assert {summary.key: summary.renew_of for summary in found} == {"alive": None, "copy": "origin"}

    await store.settle("copy", "origin")
    found = await store.by_principal("ada", None, 10)
    assert {summary.key: summary.renew_of for summary in found} == {"alive": None, "copy": None}


async def test_a_principal_is_any_text(store: SessionStore) -> None:
    names = ["$gt", '{"$ne": null}', "a.b", "é\u0000ü", " "]
    for n, name in enumerate(names):
        await inserted(store, str(n), principal=name)

    found = [await store.by_principal(name, None, 10) for name in names]

    keys = [[summary.key for summary in page] for page in found]
    assert keys == [["0"], ["1"], ["2"], ["3"], ["4"]]


async def test_a_session_follows_its_principal(store: SessionStore) -> None:
    session = await inserted(store, principal="ada")

    await written(store, changed(session, principal="grace"))

    assert await store.by_principal("ada", None, 10) == []
    assert len(await store.by_principal("grace", None, 10)) == 1
