"""Times, terms and a Secret that the certificates are tested with."""

from datetime import UTC, datetime, timedelta
from typing import Any

from moorline_operator.certificates.material import Material, data_of
from moorline_operator.certificates.rotation import Published, Step, Terms, step

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
NAMES = [
    "moorline-webhook",
    "moorline-webhook.system",
    "moorline-webhook.system.svc",
    "moorline-webhook.system.svc.cluster.local",
]
SERVER = NAMES[2]
TERMS = Terms(
    authority_life=timedelta(days=365),
    leaf_life=timedelta(days=7),
    propagation=timedelta(minutes=2),
    names=NAMES,
)


def taken(
    material: Material,
    now: datetime,
    published: Published | None = None,
    token: str = "",
) -> Step:
    """The next step, with nothing published unless it is said."""
    return step(material, now, published or Published(), TERMS, token)


def made(now: datetime = NOW) -> Material:
    """New material."""
    return taken(Material(), now).material


def trusted(material: Material, age: timedelta = TERMS.propagation) -> Published:
    """The material's bundle, published for so long and proven."""
    return Published(bundle=material.bundle, age=age, is_proven=True)


def a_secret(material: Material, namespace: str = "system", **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "moorline-webhook",
            "namespace": namespace,
            "annotations": annotations,
        },
        "data": data_of(material),
    }
