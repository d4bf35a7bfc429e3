"""What the documentation lists is complete and current, and its links lead somewhere."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import msgspec
import pytest
from moorline_api import BackendType, decode_spec
from moorline_api.reference import filled, rows
from moorline_sidecar.__main__ import main
from moorline_sidecar.checking import CheckResult
from moorline_sidecar.config import Limits, Options, read_configuration
from moorline_sidecar.config.secrets import SecretText
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.http.operations import ScavengeResult, Stats
from moorline_sidecar.http.problems import STATUS_OF
from moorline_sidecar.purge import PurgeResult
from moorline_sidecar.stores.opening import open_store
from moorline_sidecar.telemetry.instruments import CONFIGURATION, L2, SESSIONS, TRAFFIC
from moorline_sidecar.telemetry.metrics import Metrics
from moorline_sidecar.telemetry.store_calls import StoreCalls

from tests.architecture.source import ROOT, SIDECAR, modules, name_of
from tests.sidecar.pages import (
    DOCS,
    PAGES,
    anchors,
    blocks,
    code,
    links,
    names,
    page,
    read,
    section,
    table,
)

SOURCE = "\n".join(map(read, modules(SIDECAR)))

# Parts of the spec that only the operator reads, or that wait for their backend.
NOT_FOR_THE_SIDECAR = ("workers.", "monitoring.", "suspend", "backend.l2")
WRITTEN_BY_HAND = ("backend.type", "backend.mongodb")
# Each value of these labels is somebody's choice: a backend, a call, an error, a cluster.
OPEN_LABELS = {"db_client_operation_duration_seconds", "target_info"}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_link_into_the_repository_leads_somewhere(path: Path) -> None:
    def leads_somewhere(name: str, anchor: str) -> bool:
        target = path.parent / name if name else path
        return target.is_file() and (not anchor or anchor in anchors(read(target)))

    assert [link for link in links(read(path)) if not leads_somewhere(*link)] == []


def test_every_page_is_reached_from_the_readme() -> None:
    assert {name_of(path) for path in DOCS} <= {name for name, _ in links(read(PAGES[0]))}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    targets = re.findall(r"^([a-z][a-z0-9-]*):", read(ROOT / "Makefile"), re.MULTILINE)

    assert set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", code(read(path)))) <= set(targets)


# configuration.md


def test_the_tables_made_from_the_model_are_current() -> None:
    text = page("configuration.md")

    assert filled(text) == text, "run `make docs`"


def test_a_marker_of_what_the_spec_has_not_is_refused() -> None:
    with pytest.raises(KeyError, match="cookies"):
        filled("<!-- fields of spec.cookies -->\n<!-- end of fields -->\n")


def test_every_field_that_the_sidecar_reads_has_its_table() -> None:
    marked = re.findall(r"(?m)^<!-- fields of spec\.([\w.]+) -->$", page("configuration.md"))
    others = (f"backend.{kind.member}" for kind in BackendType if kind is not BackendType.MONGODB)
    covered = (*(f"{each}." for each in marked), *others, *NOT_FOR_THE_SIDECAR, *WRITTEN_BY_HAND)

    assert [row.name for row in rows("spec") if not row.name.startswith(covered)] == []


def test_the_example_of_a_configuration_is_accepted(tmp_path: Path) -> None:
    (example,) = blocks(page("configuration.md"), "yaml")
    file = tmp_path / "cluster.yaml"
    file.write_text(example)
    environ = {"MOORLINE_BACKEND_URI": "mongodb://localhost/"}

    configuration = read_configuration(Options(config=str(file)), environ, "host")

    assert (configuration.cluster, configuration.limits.connections) == ("shop", 1000)


def test_every_environment_variable_is_described() -> None:
    read_ones = set(re.findall(r'"((?:MOORLINE|OTEL|KUBERNETES)_\w+)"', SOURCE))

    assert read_ones <= set(names(section(page("configuration.md"), "## Environment")))


def test_every_limit_is_described_with_its_default() -> None:
    described = table(section(page("configuration.md"), "## `limits`"), "field")

    assert {names(field)[0]: float(default) for field, default, *_ in described} == (
        msgspec.to_builtins(Limits())
    )


@pytest.mark.parametrize("kind", [each for each in BackendType if each is not BackendType.MONGODB])
def test_a_backend_is_named_where_it_can_be_used(kind: BackendType) -> None:
    spec = decode_spec({"backend": {"type": kind.value, kind.member: {}}})
    (described, *_) = table(section(page("configuration.md"), "## `spec.backend`"), "field")
    is_named = kind.value in names(described[2])
    uris = {
        BackendType.HAZELCAST: "hazelcast://localhost:5701",
        BackendType.INFINISPAN: "hotrod://localhost",
        BackendType.DATASTORE: "datastore://localhost:5701",
    }
    uri = SecretText(uris.get(kind, f"{kind.member}://user@localhost/0"))
    try:
        open_store(spec.backend, uri, "shop")
    except ConfigurationError:
        assert not is_named
    else:
        assert is_named


# http-api.md and sessions.md


def test_every_problem_is_described_with_its_status() -> None:
    described = table(section(page("http-api.md"), "## Errors"), "status")

    assert {names(name)[0]: int(status) for status, name, _ in described} == STATUS_OF


def test_every_reason_of_an_end_is_described() -> None:
    described = table(section(page("sessions.md"), "## End"), "reason")

    assert {names(reason)[0] for reason, _ in described} == set(Reason)


# operations.md


def reading(values: Mapping[str, float]) -> Callable[[], Mapping[str, float]]:
    return lambda: values


@pytest.fixture
def exposition() -> str:
    """All metrics, as Prometheus gets them."""
    calls = StoreCalls("mongodb")
    metrics = Metrics({"service.name": "moorline-sidecar"}, calls)
    for instruments in (SESSIONS, TRAFFIC, CONFIGURATION, L2):
        series = {key: 1.0 for instrument in instruments for key in instrument.series}
        metrics.observe(instruments, reading(series))
    calls.record("load", 0.1)
    text = metrics.exposition().decode()
    metrics.close()
    return text


def test_every_metric_is_described_with_its_kind(exposition: str) -> None:
    described = table(section(page("operations.md"), "## Metrics"), "metric")

    exposed = re.findall(r"^# TYPE (\w+) (\w+)$", exposition, re.MULTILINE)
    assert sorted((names(name)[0], kind) for name, kind, *_ in described) == sorted(exposed)


def test_every_label_of_a_metric_is_described_with_its_values(exposition: str) -> None:
    described = {
        names(name)[0]: set(names(labels))
        for name, _, labels, _ in table(section(page("operations.md"), "## Metrics"), "metric")
    }
    exposed: dict[str, set[str]] = {name: set() for name in described}
    for name, labels in re.findall(r"^(\w+)\{(.*)\} ", exposition, re.MULTILINE):
        exposed.setdefault(name, set()).update(re.findall(r'\w+(?==)|(?<=")[^"]+(?=")', labels))

    assert {name for name in described if described[name] != exposed[name]} == OPEN_LABELS


def test_every_field_of_the_statistics_is_described() -> None:
    described = table(section(page("operations.md"), "## Operations"), "field of stats")

    fields = {name for cells in described for name in names(cells[0])}
    assert fields == {field.encode_name for field in msgspec.structs.fields(Stats)}


def test_every_count_of_a_scavenge_is_described() -> None:
    described = set(names(section(page("operations.md"), "## Operations")))

    assert {field.encode_name for field in msgspec.structs.fields(ScavengeResult)} <= described


@pytest.mark.parametrize("command", main.commands.values(), ids=lambda command: command.name)
def test_every_option_of_a_command_is_described(command: click.Command) -> None:
    described = page("operations.md") + page("configuration.md")

    options = [option for parameter in command.params for option in parameter.opts]
    assert [option for option in options if f"`{option}" not in described] == []


@pytest.mark.parametrize(
    ("heading", "result"),
    [("## Purge", PurgeResult), ("## Check", CheckResult)],
    ids=["purge", "check"],
)
def test_the_example_of_a_result_has_its_fields(heading: str, result: type[msgspec.Struct]) -> None:
    (example,) = blocks(section(page("operations.md"), heading), "json")

    fields = [field.encode_name for field in msgspec.structs.fields(result)]
    assert list(json.loads(example)) == fields


def test_every_reason_of_a_check_that_is_described_exists() -> None:
    described = table(section(page("operations.md"), "## Check"), "`reason`")

    reasons = [name for cells in described for name in names(cells[0])]
    assert [reason for reason in reasons if f'"{reason}"' not in SOURCE] == []


def test_every_message_of_the_log_that_is_described_exists() -> None:
    described = table(section(page("operations.md"), "## Logs"), "message")

    messages = [names(message)[0] for message, *_ in described]
    assert [message for message in messages if f'"{message}"' not in SOURCE] == []
