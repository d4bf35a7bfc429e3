"""The defaults are those that the design documents, and survive being written and read."""

from typing import Any

import msgspec
import pytest
import yaml
from moorline_api import (
    BackendSpec,
    BackendType,
    MongoDBSpec,
    SecretKeyRef,
    SessionClusterSpec,
    SessionClusterStatus,
    decode_spec,
)

from tests.api.broken_rules import KEPT_RULES
from tests.api.cases import Spec

DOCUMENTED = """
sessions: {maxIdle: 30m, maxAge: 0s, save: {mode: Write, period: 5s}, touchPeriod: 60s,
  renewGrace: 10s, maxBytes: 1Mi, storeIds: Hashed, saveOnCreate: true, onShutdown: Preserve,
  onOutage: Refuse, perPrincipal: {max: 0, whenReached: EndOldest}}
cookie: {name: SESSION, path: /, domain: "", secure: true, httpOnly: true, sameSite: Lax,
  partitioned: false, maxAge: 0s, refreshAge: 0s, hint: Separate}
cache: {mode: Enabled, maxSessions: 10000, maxBytes: 64Mi, evict: Never, idle: 10m,
  staleness: Pushed, stalePeriod: 10s, maxTrust: 10s}
scavenge: {delay: 1m, period: 10m, limit: 0, gracePeriod: 1h}
purge: {schedule: "@daily", timeZone: Etc/UTC, suspend: false, invalidAge: 24h, validAge: 168h,
  limit: 0}
workers: {prefix: node}
sidecar: {image: "", port: 7070, healthPort: 7071, opsPort: 7072, socket: false,
  tokenSecretRef: null, defaultContext: /, traceRatio: 0, logLevel: info}
monitoring: {podMonitor: false, networkPolicy: false}
suspend: false
"""


def builtins(spec: SessionClusterSpec) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(spec)
    return data


def test_the_defaults_are_the_documented_ones() -> None:
    spec = builtins(decode_spec({"backend": {"type": "Memory"}}))

    del spec["backend"]
    # The design leaves these to be measured; that there are some is tested below.
    del spec["purge"]["resources"]
    del spec["sidecar"]["resources"]
    assert spec == yaml.safe_load(DOCUMENTED)


def test_the_documented_spec_is_read_as_it_is_written() -> None:
    documented = yaml.safe_load(DOCUMENTED)
    mongodb = {
        "connectionSecretRef": {"name": "shop-mongodb", "key": "uri"},
        "database": "sessions",
        "collection": "shop",
        "writeConcern": "majority",
    }
    l2 = {"type": "Memcached", "memcached": {"servers": ["memcached:11211"]}}
    documented["backend"] = {"type": "MongoDB", "mongodb": mongodb, "l2": l2}

    backend = decode_spec(documented).backend

    assert backend.mongodb == MongoDBSpec(
        connection_secret_ref=SecretKeyRef(name="shop-mongodb", key="uri"),
        database="sessions",
        collection="shop",
        write_concern="majority",
    )
    assert backend.l2 is not None
    assert backend.l2.memcached.servers == ("memcached:11211",)


def test_mongodb_takes_majority_writes_and_the_clusters_own_collection() -> None:
    assert builtins(decode_spec(None, require_backend=False))["backend"]["mongodb"] == {
        "connectionSecretRef": None,
        "database": "sessions",
        "collection": "",
        "writeConcern": "majority",
    }


def test_every_container_has_requests_and_a_memory_limit() -> None:
    spec = decode_spec(None, require_backend=False)

    for resources in (spec.sidecar.resources, spec.purge.resources):
        assert set(resources.requests) == {"cpu", "memory"}
        assert "memory" in resources.limits


def test_the_key_of_a_token_is_token() -> None:
    data = {"backend": {"type": "Memory"}, "sidecar": {"tokenSecretRef": {"name": "shop"}}}

    reference = decode_spec(data).sidecar.token_secret_ref

    assert reference is not None
    assert reference.key == "token"


@pytest.mark.parametrize("data", KEPT_RULES.values(), ids=KEPT_RULES)
def test_a_spec_survives_being_written_and_read(data: Spec) -> None:
    spec = decode_spec(data)

    assert decode_spec(msgspec.json.decode(msgspec.json.encode(spec))) == spec
    assert decode_spec(yaml.safe_load(yaml.safe_dump(builtins(spec)))) == spec


def test_a_spec_built_in_code_is_the_spec_that_is_read() -> None:
    backend = BackendSpec(type=BackendType.MONGODB, mongodb=MongoDBSpec())

    assert SessionClusterSpec(backend=backend) == decode_spec({}, require_backend=False)


def test_a_status_survives_being_written_and_read() -> None:
    data = {
        "observedGeneration": 3,
        "conditions": [
            {
                "type": "Ready",
                "status": "False",
                "reason": "SecretNotFound",
                "message": "Create the Secret shop-mongodb.",
                "lastTransitionTime": "2026-11-22T08:00:00Z",
            }
        ],
        "workers": {"selected": 12, "named": 12, "ready": 12, "outdated": 0, "missing": 0},
        "purge": {"lastRun": "2026-11-22T08:00:00Z", "invalidDeleted": 10, "durationSeconds": 1.5},
        "sidecarImage": "registry.example.com/moorline-sidecar:1.2.3",
    }

    status = msgspec.convert(data, SessionClusterStatus)

    assert status.workers is not None
    assert status.workers.ready == 12
    assert msgspec.convert(msgspec.to_builtins(status), SessionClusterStatus) == status
