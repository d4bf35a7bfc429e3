from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from moorline_operator.certificates.material import (
    Material,
    Pair,
    certificates_in,
    data_of,
    is_valid,
    pair_of,
    pem,
    read_material,
)
from moorline_operator.certificates.rotation import Published, step
from moorline_operator.certificates.signing import key_pem
from msgspec import structs

from tests.operator.certificates.samples import NAMES, NOW, TERMS, a_secret, made, taken, trusted

TOKEN = "0a1b2c3d"
DAY = timedelta(days=1)


def leaf_of(material: Material) -> x509.Certificate:
    return certificates_in(material.leaf)[0]


def authorities_of(material: Material) -> list[x509.Certificate]:
    return certificates_in(material.bundle)


def is_served(material: Material, bundle: str, now: datetime) -> bool:
    """Whether who trusts the bundle accepts the leaf now."""
    leaf = leaf_of(material)
    assert pair_of(material.leaf, material.leaf_key) is not None
    issuers = [one for one in certificates_in(bundle) if one.subject == leaf.issuer]
    for issuer in issuers:
        leaf.verify_directly_issued_by(issuer)
    return is_valid(leaf, now) and any(is_valid(one, now) for one in issuers)


def test_out_of_nothing_everything_is_made() -> None:
    found = taken(Material(), NOW)
    assert found.why == "there are none"
    assert is_served(found.material, found.material.bundle, NOW)
    assert len(authorities_of(found.material)) == 1


def test_the_leaf_is_for_the_names_of_the_service_and_nothing_else() -> None:
    names = leaf_of(made()).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES
    assert len(list(names)) == len(NAMES)


def test_what_was_just_made_is_left_alone() -> None:
    material = made()
    assert taken(material, NOW) == taken(material, NOW + 4 * DAY)
    assert not taken(material, NOW).why


def test_the_secret_holds_all_of_it() -> None:
    material = made()
    assert read_material(a_secret(material)) == material
    assert set(data_of(material)) == {"ca.crt", "ca.key", "tls.crt", "tls.key", "first.crt"}


def test_certificates_are_valid_for_a_clock_that_is_behind() -> None:
    material = made()
    behind = NOW - timedelta(minutes=4)
    assert is_served(material, material.bundle, behind)


def test_a_leaf_is_renewed_after_two_thirds_of_its_life() -> None:
    old = made()
    assert not taken(old, NOW + timedelta(days=4.6)).why
    found = taken(old, NOW + timedelta(days=4.7))
    assert "two thirds of the certificate's" in found.why
    assert is_served(found.material, old.bundle, NOW + 11 * DAY)


def aged_authority() -> tuple[Material, datetime]:
    """Material whose authority is past two thirds, with a fresh leaf."""
    now = NOW + 244 * DAY
    material = step(
        made(), now, Published(), structs.replace(TERMS, authority_life=DAY * 3650)
    ).material
    return material, now


@pytest.mark.parametrize("is_wished", [True, False], ids=["wished for", "old"])
def test_the_next_authority_is_trusted_before_it_signs(*, is_wished: bool) -> None:
    token = TOKEN if is_wished else ""
    old, now = (made(), NOW) if is_wished else aged_authority()
    announced = taken(old, now, token=token).material
    assert announced.leaf == old.leaf
    assert announced.authority_key == old.authority_key
    assert len(authorities_of(announced)) == 2
    assert authorities_of(announced)[0] == authorities_of(old)[0]

    waits = {
        "unpublished": trusted(old),
        "too young": trusted(announced, TERMS.propagation - timedelta(seconds=1)),
        "unproven": structs.replace(trusted(announced), is_proven=False),
    }
    for published in waits.values():
        assert not taken(announced, now, published, token).why

    signing = taken(announced, now, trusted(announced), token).material
    assert signing.authority_key == announced.next_key
    assert not signing.next_key
    assert is_served(signing, announced.bundle, now)
    assert is_served(old, signing.bundle, now)
    assert not taken(signing, now, trusted(signing), token).why


def test_the_old_authority_is_trusted_until_all_it_signed_has_ended() -> None:
    old = made()
    announced = taken(old, NOW, token=TOKEN).material
    material = taken(announced, NOW, trusted(announced), TOKEN).material
    first = authorities_of(old)[0]
    now = NOW
    # Leaves are renewed meanwhile, which must not begin the waiting anew.
    while first in authorities_of(material):
        now += timedelta(hours=6)
        while (found := taken(material, now, trusted(material), TOKEN)).why:
            material = found.material
        assert is_served(material, material.bundle, now)
    assert is_valid(leaf_of(old), now - timedelta(hours=7))
    assert not is_valid(leaf_of(old), now)
    assert len(authorities_of(material)) == 1


def test_a_second_wish_waits_for_the_first() -> None:
    announced = taken(made(), NOW, token=TOKEN).material
    assert not taken(announced, NOW, token="other").why
    signing = taken(announced, NOW, trusted(announced), "other").material
    assert "wished" in taken(signing, NOW, trusted(signing), "other").why


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"leaf": ""}, id="leaf missing"),
        pytest.param({"leaf_key": ""}, id="key missing"),
        pytest.param({"leaf_key": made().leaf_key}, id="key of another"),
        pytest.param({"leaf": "-----BEGIN CERTIFICATE-----\nx"}, id="leaf unreadable"),
        pytest.param(
            {"leaf": (other := made()).leaf, "leaf_key": other.leaf_key}, id="leaf of another"
        ),
    ],
)
def test_a_damaged_leaf_is_made_anew_by_the_same_authority(damage: dict[str, str]) -> None:
    old = made()
    found = taken(structs.replace(old, **damage), NOW)
    assert found.why == "the certificate cannot be used"
    assert found.material.bundle == old.bundle
    assert is_served(found.material, old.bundle, NOW)


def test_a_leaf_for_other_names_is_made_anew() -> None:
    renamed = structs.replace(TERMS, names=["other.system.svc"])
    found = step(made(), NOW, Published(), renamed)
    assert found.why == "the certificate cannot be used"
    assert not step(found.material, NOW, Published(), renamed).why


@pytest.mark.parametrize("key", ["", made().authority_key, "x"], ids=["no", "another", "bad"])
def test_an_authority_without_its_key_is_followed_by_another_in_good_order(key: str) -> None:
    old = structs.replace(made(), authority_key=key)
    announced = taken(old, NOW).material
    assert "key of the authority" in taken(old, NOW).why
    assert is_served(announced, announced.bundle, NOW)
    signing = taken(announced, NOW, trusted(announced)).material
    assert is_served(signing, announced.bundle, NOW)
    assert not taken(signing, NOW, trusted(signing)).why


@pytest.mark.parametrize("half", ["next_authority", "next_key"])
def test_a_damaged_next_authority_is_made_anew(half: str) -> None:
    announced = taken(made(), NOW, token=TOKEN).material
    found = taken(structs.replace(announced, **{half: ""}), NOW, trusted(announced), TOKEN)
    assert pair_of(found.material.next_authority, found.material.next_key) is not None
    assert is_served(found.material, announced.bundle, NOW)


def test_an_authority_that_names_no_key_can_sign_too() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody's own")])
    authority = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + 300 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    theirs = Material(bundle=pem([authority]), authority_key=key_pem(Pair(authority, key)))
    found = taken(theirs, NOW).material
    assert is_served(found, theirs.bundle, NOW)


def test_when_nothing_can_be_used_what_is_trusted_stays_trusted() -> None:
    old = made()
    broken = structs.replace(old, authority_key="", leaf_key="")
    found = taken(broken, NOW, trusted(old))
    assert "neither" in found.why
    assert is_served(found.material, found.material.bundle, NOW)
    assert is_served(old, found.material.bundle, NOW)
    assert not taken(found.material, NOW, trusted(found.material)).why


def test_after_everything_has_ended_everything_is_made() -> None:
    old, late = made(), NOW + 366 * DAY
    material = taken(old, late, trusted(old)).material
    assert is_served(material, material.bundle, late)
    assert len(authorities_of(material)) == 1


def test_a_leader_that_was_away_for_months_ends_where_it_should() -> None:
    material, now = made(), NOW + 300 * DAY
    reasons = []
    while (found := taken(material, now, trusted(material))).why:
        material = found.material
        reasons.append(found.why)
        assert is_served(material, material.bundle, now)
        assert len(reasons) < 10
    assert pair_of(material.bundle, material.authority_key) is not None
    assert len(authorities_of(material)) == 2
