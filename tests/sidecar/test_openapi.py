"""`docs/openapi.yaml` describes what the sidecar serves: no more, no less."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import pytest
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.http.bodies import SECONDS_MAX, CreateBody, PatchBody, RenewBody
from moorline_sidecar.http.by_principal import LIMIT, LIMIT_MAX
from moorline_sidecar.http.problems import STATUS_OF
from moorline_sidecar.http.targets import ROUTES
from msgspec import Struct, structs
from schemathesis.core.result import Ok
from schemathesis.openapi import from_dict

from tests.sidecar.openapi_document import METHODS, document, operations, resolved

PROBLEM = "application/problem+json"
URN = "urn:moorline:problem:"

# Of requests that reach no operation.
WITHOUT_OPERATION = {"route-unknown", "method-not-allowed"}
# Of requests that any operation may refuse.
EVERYWHERE = {"401", "403", "408", "431"}


def problems(operation: Mapping[str, Any]) -> Iterator[tuple[int, set[str]]]:
    """Each status of an operation's problems, with their names."""
    for status, response in operation["responses"].items():
        content = resolved(response).get("content", {})
        if PROBLEM in content:
            narrowed = content[PROBLEM]["schema"]["allOf"][1]["properties"]
            types = narrowed["type"].get("enum") or [narrowed["type"]["const"]]
            assert narrowed["status"]["const"] == int(status)
            yield int(status), {name.removeprefix(URN) for name in types}


def test_the_document_is_valid() -> None:
    schema = from_dict(document())
    schema.validate()

    assert schema.specification.version == "3.1.0"
    assert all(isinstance(operation, Ok) for operation in schema.get_all_operations())


def test_every_route_and_method_is_documented_and_no_other() -> None:
    documented = {
        (path, method.upper().encode())
        for path, item in document()["paths"].items()
        for method in METHODS & item.keys()
    }

    assert documented == {
        (f"/v1/{'/'.join(route)}", method)
        for route, methods in ROUTES.items()
        for method in methods
    }


def test_every_problem_has_its_status_and_every_one_is_documented() -> None:
    documented: dict[str, int] = {}
    for _, operation in operations():
        for status, names in problems(operation):
            documented |= dict.fromkeys(names, status)

    assert documented == {
        name: status for name, status in STATUS_OF.items() if name not in WITHOUT_OPERATION
    }


def test_the_problem_schema_lists_every_name_and_every_reason() -> None:
    members = document()["components"]["schemas"]["Problem"]["properties"]

    assert members["type"]["enum"] == [URN + name for name in STATUS_OF]
    assert members["reason"]["enum"] == [reason.value for reason in Reason]


@pytest.mark.parametrize(
    "operation", [pytest.param(operation, id=name) for name, operation in operations()]
)
def test_an_operation_tells_what_any_request_may_get(operation: Mapping[str, Any]) -> None:
    statuses = operation["responses"].keys()
    takes_json = "requestBody" in operation

    assert statuses >= EVERYWHERE
    assert ("415" in statuses) is takes_json
    assert ("413" in statuses) is takes_json
    assert all(HTTPStatus(int(status)) for status in statuses)


@pytest.mark.parametrize(
    ("schema", "model"),
    [
        pytest.param("NewSession", CreateBody, id="create"),
        pytest.param("Change", PatchBody, id="patch"),
        pytest.param("Renewal", RenewBody, id="renew"),
    ],
)
def test_a_body_has_the_members_that_are_read_and_no_other(
    schema: str, model: type[Struct]
) -> None:
    described = document()["components"]["schemas"][schema]

    assert set(described["properties"]) == {field.encode_name for field in structs.fields(model)}
    assert described["additionalProperties"] is False


def test_bounds_are_those_of_the_code() -> None:
    components = document()["components"]

    assert components["schemas"]["MaxIdleSeconds"]["maximum"] == SECONDS_MAX
    assert components["parameters"]["Limit"]["schema"]["default"] == LIMIT
    assert components["parameters"]["Limit"]["schema"]["maximum"] == LIMIT_MAX
