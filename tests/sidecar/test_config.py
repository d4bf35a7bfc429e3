import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_api import BackendType, HintPlacement, SaveMode
from moorline_sidecar.config import (
    Address,
    Configuration,
    Limits,
    Options,
    SecretFile,
    SecretText,
    Token,
    parse_address,
    read_configuration,
    reloadable,
)
from moorline_sidecar.config.document import parse_document
from moorline_sidecar.errors import ConfigurationError

NO_OPTIONS = Options()
URI = "mongodb://user:pa55@db/"
MONGODB = {"backend": {"type": "MongoDB", "mongodb": {}}}
URI_KEYS = ("uri", "connectionString.standardSrv", "connectionString.standard")
ENVIRON = {"MOORLINE_WORKER": "node3", "MOORLINE_BACKEND_URI": URI}


def read(
    tmp_path: Path,
    document: object = None,
    environ: Mapping[str, str] = ENVIRON,
    hostname: str = "host",
    options: Options = NO_OPTIONS,
) -> Configuration:
    if document is not None:
        file = tmp_path / "cluster.json"
        file.write_text(document if isinstance(document, str) else json.dumps(document))
        options = msgspec.structs.replace(options, config=str(file))
    return read_configuration(options, environ, hostname)


def mistakes(
    tmp_path: Path,
    document: object,
    environ: Mapping[str, str] = ENVIRON,
    options: Options = NO_OPTIONS,
) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, document, environ, options=options)
    return caught.value.mistakes


def test_only_the_backend_is_required(tmp_path: Path) -> None:
    configuration = read(tmp_path, {"spec": MONGODB})
    assert configuration.backend.type is BackendType.MONGODB
    assert configuration.cluster == "moorline"
    assert configuration.namespace == "default"
    assert configuration.worker == "node3"
    assert configuration.policy.max_idle_ms == 1_800_000
    assert configuration.policy.cache_bytes == 64 << 20
    assert configuration.cookies.name == "SESSION"
    assert configuration.limits == Limits()
    assert [str(configuration.listen), str(configuration.health), str(configuration.ops)] == [
        "127.0.0.1:7070",
        ":7071",
        "127.0.0.1:7072",
    ]
    assert configuration.socket is None
    assert configuration.token is None
    assert configuration.shutdown_seconds == 10
    assert configuration.log_level == "info"


def test_nothing_is_required_with_dev() -> None:
    configuration = read_configuration(Options(is_dev=True), {}, "host")
    assert configuration.is_dev
    assert configuration.uri is None


def test_a_spec_becomes_milliseconds_and_bytes(tmp_path: Path) -> None:
    spec = {
        **MONGODB,
        "sessions": {
            "maxIdle": "1h30m",
            "maxAge": "12h",
            "save": {"mode": "Periodic", "period": "250ms"},
            "maxBytes": "64Ki",
            "storeIds": "Plain",
            "perPrincipal": {"max": 3},
        },
        "cookie": {"name": "S", "secure": False, "maxAge": "1500ms", "hint": "Off"},
        "purge": {"invalidAge": "2h", "validAge": "0s", "limit": 7},
        "sidecar": {"socket": True, "defaultContext": "/shop", "traceRatio": 0.5},
    }
    configuration = read(tmp_path, {"cluster": {"name": "shop", "namespace": "web"}, "spec": spec})
    policy = configuration.policy
    assert (policy.max_idle_ms, policy.max_age_ms) == (5_400_000, 43_200_000)
    assert (policy.save_mode, policy.save_period_ms) == (SaveMode.PERIODIC, 250)
    assert (policy.max_session_bytes, policy.hashed_ids) == (65_536, False)
    assert policy.principal_max == 3
    assert configuration.cookies.max_age_s == 2, "a part of a second is not none"
    assert configuration.cookies.hint is HintPlacement.OFF
    purge = configuration.purge
    assert (purge.invalid_age_ms, purge.valid_age_ms, purge.limit) == (7_200_000, 0, 7)
    assert configuration.socket == "/run/moorline/moorline.sock"
    assert (configuration.default_context, configuration.trace_ratio) == ("/shop", 0.5)
    assert (configuration.cluster, configuration.namespace) == ("shop", "web")


def test_yaml_is_read_as_well(tmp_path: Path) -> None:
    configuration = read(
        tmp_path,
        """
        cluster: {name: shop}
        spec:
          backend: {type: MongoDB, mongodb: {}}
          cookie: {hint: Off, secure: true}
          sidecar: {traceRatio: 1e-3}
        """,
    )
    assert configuration.cookies.hint is HintPlacement.OFF
    assert configuration.trace_ratio == 0.001


def test_every_mistake_is_named_in_one_go(tmp_path: Path) -> None:
    document = {
        "cluster": {"name": "Shop"},
        "spec": {
            **MONGODB,
            "cookie": {"name": "__Host-S", "secure": False, "colour": 1},
            "sessions": {"maxIdle": "3 days"},
        },
        "limits": {"headBytes": "many", "tails": 1},
        "speck": {},
    }
    environ = {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "MOORLINE_SHUTDOWN_SECONDS": "soon",
        "MOORLINE_BACKEND_URI": URI,
        "MOORLINE_BACKEND_URI_FILE": "/x",
    }
    found = mistakes(tmp_path, document, environ, Options(listen="7070", ops="a:b:1"))
    assert sorted(mistake.partition(": ")[0] for mistake in found) == [
        "--listen",
        "--ops",
        "MOORLINE_BACKEND_URI",
        "MOORLINE_SHUTDOWN_SECONDS",
        "MOORLINE_WORKER",
        "cluster.name",
        "limits.headBytes",
        "limits.tails",
        "spec.cookie.colour",
        "spec.cookie.secure",
        "spec.sessions.maxIdle",
        "speck",
    ]
    assert not any("pa55" in mistake for mistake in found)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        pytest.param("{", "cluster.json: neither JSON nor", id="no syntax"),
        pytest.param('{"spec": {}, "spec": {}}', "cluster.json: the key 'spec' is", id="twice"),
        pytest.param("a: 1\na: 2", "cluster.json: neither", id="twice in YAML"),
        pytest.param("[]", "cluster.json: write a mapping", id="a list"),
        pytest.param("{}", "spec.backend: ", id="no backend"),
        pytest.param('{"spec": []}', "spec: ", id="a spec that is a list"),
        pytest.param('{"cluster": 1, "spec": null}', "cluster: ", id="a cluster that is a number"),
    ],
)
def test_a_file_of_no_use_is_named(tmp_path: Path, document: str, path: str) -> None:
    found = mistakes(tmp_path, document)
    assert any(path in mistake for mistake in found), found


def test_a_file_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"/nowhere/x\.json: there is no such file"):
        read_configuration(Options(config="/nowhere/x.json"), ENVIRON, "host")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "cluster.json"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"cluster.json: .*decode"):
        read_configuration(Options(config=str(file)), ENVIRON, "host")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("", {}, id="nothing"),
        pytest.param("# note\n", {}, id="a comment"),
        pytest.param("{a: 1}", {"a": 1}, id="a YAML flow mapping"),
        pytest.param(
            "a: [Off, no, yes, on, true, False]",
            {"a": ["Off", "no", "yes", "on", True, False]},
            id="booleans of YAML 1.2 alone",
        ),
        pytest.param(
            "a: [1, -2, 010, 1:30, 1_000, 0x1f]",
            {"a": [1, -2, "010", "1:30", "1_000", "0x1f"]},
            id="decimal numbers alone",
        ),
        pytest.param("a: [1.5, 1e3, .5, 1.e-1]", {"a": [1.5, 1000.0, 0.5, 0.1]}, id="floats"),
        pytest.param("a: [2026-11-22, <<, null, ~]\nb:", None, id="no dates, no merges"),
    ],
)
def test_yaml_means_what_it_says(text: str, value: object) -> None:
    expected = value or {"a": ["2026-11-22", "<<", None, None], "b": None} if text else value
    assert parse_document(text) == (value if value == {} else expected)


@given(st.text(max_size=60))
def test_a_document_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        parse_document(text)


def test_the_worker_outside_kubernetes_has_a_safe_and_fresh_name(tmp_path: Path) -> None:
    environ = {"MOORLINE_BACKEND_URI": URI}
    names = {
        read(tmp_path, {"spec": MONGODB}, environ, "my-host.example.com").worker for _ in range(5)
    }
    assert len(names) > 1
    for name in names:
        assert name.startswith("myhostexamplecom")
        assert len(name) == len("myhostexamplecom") + 4
        assert name.isalnum()


@pytest.mark.parametrize("hostname", ["", "---", "ü", "h" * 300])
def test_any_hostname_gives_a_worker(tmp_path: Path, hostname: str) -> None:
    worker = read(tmp_path, {"spec": MONGODB}, {"MOORLINE_BACKEND_URI": URI}, hostname).worker
    assert worker.isascii()
    assert worker.isalnum()
    assert len(worker) <= 64


@pytest.mark.parametrize("worker", ["node 3", "a.b", "x" * 65, "ü"])
def test_a_worker_that_no_cookie_can_hold_is_refused(tmp_path: Path, worker: str) -> None:
    environ = {**ENVIRON, "MOORLINE_WORKER": worker}
    (mistake,) = mistakes(tmp_path, {"spec": MONGODB}, environ)
    assert mistake.startswith("MOORLINE_WORKER: ")


def test_purge_and_check_are_no_workers(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "MOORLINE_BACKEND_URI": URI}
    spec = {**MONGODB, "sidecar": {"tokenSecretRef": {"name": "t"}}}
    assert read(tmp_path, {"spec": spec}, environ, options=Options(serves=False)).worker
    assert len(mistakes(tmp_path, {"spec": spec}, environ)) == 2


def test_mongodb_needs_a_uri(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, {"spec": MONGODB}, {"MOORLINE_WORKER": "n"})
    assert mistake.startswith("MOORLINE_BACKEND_URI: required")
    assert read(tmp_path, {"spec": {"backend": {"type": "Memory"}}}, {}).uri is None


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        pytest.param(
            None,
            SecretFile("/secret", URI_KEYS),
            id="no reference",
        ),
        pytest.param(
            {"name": "s"},
            SecretFile("/secret", URI_KEYS, "s"),
            id="no key",
        ),
        pytest.param({"name": "s", "key": "dsn"}, SecretFile("/secret", ("dsn",), "s"), id="a key"),
    ],
)
def test_the_keys_of_the_connection_secret(
    tmp_path: Path, reference: object, expected: SecretFile
) -> None:
    spec = {"backend": {"type": "MongoDB", "mongodb": {"connectionSecretRef": reference}}}
    environ = {"MOORLINE_WORKER": "n", "MOORLINE_BACKEND_URI_FILE": "/secret"}
    assert read(tmp_path, {"spec": spec}, environ).uri == expected


def test_a_token_needs_its_file(tmp_path: Path) -> None:
    spec = {**MONGODB, "sidecar": {"tokenSecretRef": {"name": "t", "key": "k"}}}
    (mistake,) = mistakes(tmp_path, {"spec": spec})
    assert mistake.startswith("MOORLINE_TOKEN_FILE: ")
    environ = {**ENVIRON, "MOORLINE_TOKEN_FILE": "/token"}
    assert read(tmp_path, {"spec": spec}, environ).token == SecretFile("/token", ("k",), "t")


def test_no_secret_is_shown(tmp_path: Path) -> None:
    configuration = read(tmp_path, {"spec": MONGODB})
    assert configuration.uri == SecretText(URI)
    assert "pa55" not in repr(configuration)


def test_a_secret_is_read_from_a_file_or_a_folder(tmp_path: Path) -> None:
    (tmp_path / "second").write_text(" there \n")
    assert SecretFile(str(tmp_path / "second"), ()).read() == b"there"
    folder = SecretFile(str(tmp_path), ("first", "second"))
    assert folder.read() == b"there"
    (tmp_path / "first").write_text("now")
    assert folder.read() == b"now"


def test_a_secret_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none of the keys a, b"):
        SecretFile(str(tmp_path), ("a", "b")).read()
    with pytest.raises(FileNotFoundError, match="missing"):
        SecretFile(str(tmp_path / "missing"), ()).read()


def test_a_token_follows_its_file(tmp_path: Path) -> None:
    file, now = tmp_path / "token", 0.0
    token = Token(SecretFile(str(file), ()), clock=lambda: now)
    assert token() == b"", "a missing token lets nobody in"
    file.write_text("one\n")
    assert token() == b"", "it is looked at once in a while only"
    now += Token.CHECK_SECONDS
    assert token() == b"one"
    file.write_text("two\n")
    now += Token.CHECK_SECONDS
    assert token() == b"two"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7070", Address("127.0.0.1", 7070)),
        (":7071", Address("", 7071)),
        ("[::1]:7070", Address("::1", 7070)),
        ("localhost:0", Address("localhost", 0)),
        ("moorline.internal:80", Address("moorline.internal", 80)),
    ],
)
def test_an_address_is_read_and_written(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["", "7070", "host", "::1:7070", "[::1]", "h:65536", "h:-1", "h:x"]
)
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="write host:port"):
        parse_address(text)


def test_the_command_line_overrides_ports(tmp_path: Path) -> None:
    spec = {**MONGODB, "sidecar": {"port": 8070, "healthPort": 8071, "opsPort": 8072}}
    configuration = read(tmp_path, {"spec": spec}, options=Options(listen=":0", ops="[::1]:9"))
    assert [str(configuration.listen), str(configuration.health), str(configuration.ops)] == [
        ":0",
        ":8071",
        "[::1]:9",
    ]


def test_the_same_spec_has_the_same_hash(tmp_path: Path) -> None:
    plain = read(tmp_path, {"spec": MONGODB})
    spelled_out = read(tmp_path, {"spec": {**MONGODB, "sessions": {"maxIdle": "30m"}}})
    other = read(tmp_path, {"spec": {**MONGODB, "sessions": {"maxIdle": "31m"}}})
    assert plain.spec_hash == spelled_out.spec_hash != other.spec_hash


def test_a_reload_takes_what_it_can(tmp_path: Path) -> None:
    old = read(tmp_path, {"spec": MONGODB})
    new = read(
        tmp_path,
        {
            "spec": {
                **MONGODB,
                "sessions": {"maxIdle": "5m", "storeIds": "Plain"},
                "cookie": {"name": "S"},
                "sidecar": {"port": 9999, "logLevel": "debug"},
            }
        },
        {**ENVIRON, "MOORLINE_WORKER": "other"},
    )
    merged, waiting = reloadable(old, new)
    assert merged.policy.max_idle_ms == 300_000
    assert merged.policy.hashed_ids
    assert merged.cookies.name == "S"
    assert merged.log_level == "debug"
    assert (merged.listen, merged.worker) == (old.listen, "node3")
    assert waiting == ("spec.sidecar.port", "MOORLINE_WORKER", "spec.sessions.storeIds")


def test_a_reload_of_the_same_changes_nothing(tmp_path: Path) -> None:
    configuration = read(tmp_path, {"spec": MONGODB})
    copy = msgspec.structs.replace(configuration)
    assert reloadable(configuration, copy) == (configuration, ())
