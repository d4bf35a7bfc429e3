"""SessionClusters and settings that injection is tested with."""

from collections.abc import Mapping
from typing import Any, Final

from moorline_api.decoding import decode_spec
from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.settings import InjectionSettings

SETTINGS = InjectionSettings(image="moorline-sidecar:1")
BACKEND = {
    "type": "MongoDB",
    "mongodb": {"connectionSecretRef": {"name": "shop-mongodb", "key": "uri"}},
}
ALL_EXTRAS: Final[dict[str, Any]] = {
    "socket": True,
    "tokenSecretRef": {"name": "shop-token", "key": "bearer"},
}


def a_cluster(namespace: str = "web", **spec: Any) -> Cluster:  # noqa: ANN401 - any spec
    raw = {"backend": BACKEND, **spec}
    return Cluster(
        namespace=namespace,
        name="shop",
        uid="uid-of-shop",
        generation=1,
        spec=decode_spec(raw),
        raw_spec=raw,
        annotations={},
    )


def sidecar_in(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The one container of the name, wherever it is."""
    spec = pod["spec"]
    found = [
        container
        for container in [*spec.get("initContainers", ()), *spec["containers"]]
        if container["name"] == naming.CONTAINER
    ]
    assert len(found) == 1
    sidecar: dict[str, Any] = found[0]
    return sidecar


def env_of(container: Mapping[str, Any]) -> dict[str, Any]:
    """Its variables by name: values, or what to take them from."""
    env = container.get("env", ())
    assert len({variable["name"] for variable in env}) == len(env)
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in env}


def mounts_of(container: Mapping[str, Any]) -> dict[str, str]:
    """Where it has which volume."""
    return {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", ())}
