"""What is to be done next about the certificates; pure, so that no step depends on a memory.

    nothing usable ─► made anew
    authority old, or a rotation wished for ─► the next one is made, and both are trusted
    the world trusts both ─► the next one signs ─► the one before is forgotten when all it
                                                   signed has ended
    leaf old ─► a new leaf

Everything is read from the certificates' own times. A leader that starts in the middle goes on
where the one before stopped.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from msgspec import Struct, structs

from moorline_operator.certificates.material import (
    Material,
    Pair,
    certificates_in,
    is_valid,
    pair_of,
    pem,
)
from moorline_operator.certificates.signing import (
    BACKDATE,
    key_pem,
    new_authority,
    new_leaf,
    token_of,
)


class Terms(Struct, frozen=True, kw_only=True):
    """How long certificates last, and the DNS names that they are for.

    `propagation` is how long an authority is published before it signs.
    """

    authority_life: timedelta
    leaf_life: timedelta
    propagation: timedelta
    names: Sequence[str]


class Published(Struct, frozen=True, kw_only=True):
    """What the API server trusts: a bundle, for how long, and whether a handshake proved it."""

    bundle: str = ""
    age: timedelta = timedelta()
    is_proven: bool = False


class Step(Struct, frozen=True):
    """The material as it is to be, and why it differs; `why` is "" where it does not."""

    material: Material
    why: str = ""


class _State(Struct, frozen=True, kw_only=True):
    """The material as certificates; what cannot be used is None."""

    material: Material
    now: datetime
    published: Published
    terms: Terms
    token: str
    trusted: list[x509.Certificate]
    authority: Pair | None
    leaf: Pair | None
    successor: Pair | None


def step(
    material: Material, now: datetime, published: Published, terms: Terms, token: str = ""
) -> Step:
    """One step towards certificates that can be used; call again until it has nothing to do.

    `token` names the rotation that was last wished for, "" for none.
    """
    state = _state_of(material, now, published, terms, token)
    for policy in _POLICIES:
        if (found := policy(state)) is not None:
            return found
    return Step(material)


def _state_of(
    material: Material, now: datetime, published: Published, terms: Terms, token: str
) -> _State:
    def usable(certificate: str, key: str) -> Pair | None:
        pair = pair_of(certificate, key)
        return pair if pair is not None and is_valid(pair.certificate, now) else None

    trusted = [one for one in certificates_in(material.bundle) if is_valid(one, now)]
    leaf = usable(material.leaf, material.leaf_key)
    is_good = leaf is not None and _serves(leaf.certificate, terms.names, trusted)
    return _State(
        material=material,
        now=now,
        published=published,
        terms=terms,
        token=token,
        trusted=trusted,
        authority=usable(material.bundle, material.authority_key),
        leaf=leaf if is_good else None,
        successor=usable(material.next_authority, material.next_key),
    )


def _serves(
    leaf: x509.Certificate, names: Sequence[str], trusted: Sequence[x509.Certificate]
) -> bool:
    """Whether whoever trusts those authorities accepts the leaf for every name."""
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    is_for_all = set(names) <= set(found.get_values_for_type(x509.DNSName))
    return is_for_all and any(_signed(leaf, authority) for authority in trusted)


def _signed(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _made_anew(state: _State) -> Step | None:
    if state.leaf is not None or state.authority is not None:
        return None
    authority = new_authority(state.now, state.terms.authority_life, state.token)
    # Replicas serve with the old leaf for a moment yet: whom the world trusts stays trusted.
    known = [*state.trusted, *certificates_in(state.published.bundle)]
    others = [one for one in known if is_valid(one, state.now)]
    is_empty = state.material == Material()
    why = "there are none" if is_empty else "neither authority nor certificate can be used"
    return Step(_signing(state, authority, others), why)


def _leaf_repaired(state: _State) -> Step | None:
    if state.leaf is not None or state.authority is None:
        return None
    return Step(_with_leaf(state, state.authority), "the certificate cannot be used")


def _successor_made(state: _State) -> Step | None:
    if state.successor is not None:
        return None
    authority = state.authority
    if authority is None:
        why = "the key of the authority cannot be used"
    elif state.token and state.token != token_of(authority.certificate):
        why = "a rotation is wished for"
    elif _is_past_two_thirds(authority.certificate, state.now):
        why = "two thirds of the authority's life are over"
    elif state.material.next_authority or state.material.next_key:
        why = "the next authority cannot be used"
    else:
        return None
    successor = new_authority(state.now, state.terms.authority_life, state.token)
    material = structs.replace(
        state.material,
        bundle=pem([*state.trusted, successor.certificate]),
        next_authority=pem([successor.certificate]),
        next_key=key_pem(successor),
    )
    return Step(material, f"{why}: the next authority")


def _successor_signs(state: _State) -> Step | None:
    successor, published = state.successor, state.published
    if successor is None or not published.is_proven:
        return None
    if published.age < state.terms.propagation:
        return None
    if successor.certificate not in certificates_in(published.bundle):
        return None
    return Step(_signing(state, successor, state.trusted), "the next authority is trusted")


def _leaf_renewed(state: _State) -> Step | None:
    if state.leaf is None or state.authority is None:
        return None
    if not _is_past_two_thirds(state.leaf.certificate, state.now):
        return None
    material = _with_leaf(state, state.authority)
    return Step(material, "two thirds of the certificate's life are over")


def _old_forgotten(state: _State) -> Step | None:
    if state.authority is None:
        return None
    kept = [state.authority.certificate]
    if state.successor is not None:
        kept.append(state.successor.certificate)
    first = certificates_in(state.material.first_leaf)
    is_needed = bool(first) and is_valid(first[0], state.now)
    bundle = pem(kept)
    if is_needed or bundle == state.material.bundle:
        return None
    material = structs.replace(state.material, bundle=bundle)
    return Step(material, "all that an earlier authority signed has ended")


_POLICIES: Final[tuple[Callable[[_State], Step | None], ...]] = (
    _made_anew,
    _leaf_repaired,
    _successor_made,
    _successor_signs,
    _leaf_renewed,
    _old_forgotten,
)
"""In the order of their urgency; the first that has something to do does it."""


def _signing(state: _State, authority: Pair, others: Sequence[x509.Certificate]) -> Material:
    """The material with another authority that signs."""
    leaf = new_leaf(authority, state.terms.names, state.now, state.terms.leaf_life)
    return Material(
        bundle=pem([authority.certificate, *others]),
        authority_key=key_pem(authority),
        leaf=pem([leaf.certificate]),
        leaf_key=key_pem(leaf),
        first_leaf=pem([leaf.certificate]),
    )


def _with_leaf(state: _State, authority: Pair) -> Material:
    leaf = new_leaf(authority, state.terms.names, state.now, state.terms.leaf_life)
    return structs.replace(state.material, leaf=pem([leaf.certificate]), leaf_key=key_pem(leaf))


def _is_past_two_thirds(certificate: x509.Certificate, now: datetime) -> bool:
    start = certificate.not_valid_before_utc + BACKDATE
    return now >= start + (certificate.not_valid_after_utc - start) * 2 / 3
