"""Hypothesis strategies for sessions and changes, small enough to collide often.

They draw whole patches and sessions from a fixed assortment: that costs one choice each, where
building them of their parts took longer than all that is tested with them.
"""

import random
from collections.abc import Mapping
from typing import Final

from hypothesis import strategies as st
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.merging import Asked
from moorline_sidecar.domain.session import Json, Session
from msgspec import UNSET, UnsetType

from tests.contract.sessions import a_session

NAMES: Final = ("a", "b", "c", "d~/e")
CONTEXTS: Final = ("/", "/shop", "/admin")
KEYS: Final = tuple(f"key-{n}" for n in range(40))
VALUES: Final[tuple[Json, ...]] = (
    None,
    True,
    0,
    7,
    (1 << 63) - 1,
    0.5,
    "",
    "x" * 30,
    [1, [2]],
    {"a": {"b": None}},
)
IDLES: Final[tuple[int | UnsetType, ...]] = (UNSET, UNSET, UNSET, 0, 5_000)
PRINCIPALS: Final[tuple[str | UnsetType | None, ...]] = (UNSET, UNSET, UNSET, None, "ada")
AMOUNTS: Final = (0, 1, -3, 1 << 62, 0.25, 1e308)


def _attributes(some: random.Random) -> Mapping[str, Json]:
    names = some.sample(NAMES, some.randint(0, len(NAMES)))
    return {name: some.choice(VALUES) for name in names}


def _patch(some: random.Random) -> Patch:
    """No name stands in two of the members."""
    verb_of = {name: some.choice(["set", "unset", "increment", ""]) for name in NAMES}
    named = {verb: [name for name in NAMES if verb_of[name] == verb] for verb in verb_of.values()}
    return Patch(
        context=some.choice(CONTEXTS),
        replace=some.choice([None, None, None, _attributes(some)]),
        set={name: some.choice(VALUES) for name in named.get("set", ())},
        unset=tuple(named.get("unset", ())),
        increment={name: some.choice(AMOUNTS) for name in named.get("increment", ())},
        max_idle_ms=some.choice(IDLES),
        principal=some.choice(PRINCIPALS),
    )


def _session(some: random.Random) -> Session:
    contexts = some.sample(CONTEXTS, some.randint(0, len(CONTEXTS)))
    return a_session(
        version=some.randint(1, 3),
        contexts={context: _attributes(some) for context in contexts},
        recent=tuple(some.sample(KEYS, some.choice([0, 1, 15, 16]))),
    )


_SOME: Final = random.Random(1)

# The simplest come first: that is where hypothesis shrinks to.
_PATCHES: Final = (
    Patch(context="/"),
    Patch(context="/", set={"a": 1}),
    Patch(context="/", unset=("a",)),
    Patch(context="/", increment={"a": 1}),
    *(_patch(_SOME) for _ in range(200)),
)
_SESSIONS: Final = (a_session(contexts={}), *(_session(_SOME) for _ in range(50)))

patches = st.sampled_from(_PATCHES)
deferrable = st.sampled_from([patch for patch in _PATCHES if patch.is_deferrable])
sessions = st.sampled_from(_SESSIONS)
contents = st.sampled_from([session.contexts for session in _SESSIONS])
few_keys = st.sampled_from([None, None, *KEYS[:3]])
many_keys = st.sampled_from([None, *KEYS])
no_condition: st.SearchStrategy[tuple[int, ...] | None] = st.none()
conditions = st.sampled_from([None, None, (), (1,), (2,), (2, 3)])


def changes(
    *,
    versions: st.SearchStrategy[tuple[int, ...] | None] = no_condition,
    keys: st.SearchStrategy[str | None] = few_keys,
    of: st.SearchStrategy[Patch] = patches,
    fewest: int = 0,
    most: int = 8,
) -> st.SearchStrategy[list[Asked]]:
    """Changes to one session; `versions` are those of `If-Match`."""
    change = st.builds(Asked, patch=of, if_versions=versions, idempotency_key=keys)
    return st.lists(change, min_size=fewest, max_size=most)
