"""Nothing that may be a password gets into a message, wherever it was written by mistake."""

import pytest
from moorline_api import InvalidSpec, decode_spec

from tests.api.cases import BACKEND, Spec

PASSWORD = "hunter2"
URI = f"mongodb://ada:{PASSWORD}@db.example/?tls=true"


def mongodb(**fields: object) -> Spec:
    return {"backend": {"type": "MongoDB", "mongodb": fields}}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(URI, id="as-spec"),
        pytest.param({"backend": URI}, id="as-backend"),
        pytest.param({"backend": {"type": URI}}, id="as-type"),
        pytest.param({"backend": {**BACKEND, "mongodb": URI}}, id="as-member"),
        pytest.param(mongodb(uri=URI), id="under-an-unknown-key"),
        pytest.param(mongodb(password=PASSWORD), id="bare-under-an-unknown-key"),
        pytest.param(mongodb(**{URI: None}), id="as-key"),
        pytest.param(mongodb(connectionSecretRef=URI), id="as-reference"),
        pytest.param(mongodb(connectionSecretRef=PASSWORD), id="bare-as-reference"),
        pytest.param(mongodb(connectionSecretRef={"name": URI}), id="as-secret-name"),
        pytest.param(mongodb(connectionSecretRef={"name": f"{PASSWORD}!"}), id="bare-as-name"),
        pytest.param(
            mongodb(connectionSecretRef={"name": "a", "key": f"{PASSWORD}!"}), id="bare-as-key"
        ),
        pytest.param(mongodb(database=URI), id="as-database"),
        pytest.param(mongodb(database=f"ada:{PASSWORD}@db"), id="as-database-without-scheme"),
        pytest.param(mongodb(writeConcern=[URI]), id="in-a-list"),
        pytest.param(mongodb(collection={"uri": URI}), id="in-a-mapping"),
        pytest.param(
            {"backend": BACKEND, "sidecar": {"tokenSecretRef": PASSWORD}}, id="as-token-reference"
        ),
    ],
)
def test_a_password_in_the_wrong_place_is_not_repeated(spec: object) -> None:
    with pytest.raises(InvalidSpec) as raised:
        decode_spec(spec)

    assert raised.value.violations
    assert PASSWORD not in str(raised.value)


def test_a_long_value_is_cut_short() -> None:
    with pytest.raises(InvalidSpec) as raised:
        decode_spec({"backend": BACKEND, "cookie": {"sameSite": "x" * 10_000}})

    assert str(raised.value).endswith(f'not "{"x" * 39}…')


def test_a_line_feed_in_a_value_or_a_key_makes_no_line_of_its_own() -> None:
    with pytest.raises(InvalidSpec) as raised:
        decode_spec({"backend": BACKEND, "a\nspec: fine": 1, "suspend": "\nspec: fine"})

    assert len(str(raised.value).splitlines()) == len(raised.value.violations)
