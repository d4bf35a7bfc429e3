"""What every part of a SessionCluster is: immutable, camelCase outside, closed to unknown keys."""

from typing import Annotated

from msgspec import Meta, Struct

from moorline_api.scalars import Quantity, SecretKey, SecretName


class Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A mapping of the SessionCluster.

    What it forbids and renames is inherited; `frozen` and `kw_only` each class has to repeat.
    """


class SecretKeyRef(Model, frozen=True, kw_only=True):
    """A key of a Secret in the namespace of the SessionCluster."""

    name: Annotated[SecretName, Meta(description="The Secret. Its content may change at any time.")]
    key: Annotated[
        SecretKey | None,
        Meta(
            description="The key to read. Without one, `uri`, `connectionString.standardSrv` and "
            "`connectionString.standard` are tried, which is what operators of databases write."
        ),
    ] = None


class TokenSecretRef(Model, frozen=True, kw_only=True):
    """A key of a Secret that holds a bearer token."""

    name: Annotated[SecretName, Meta(description="The Secret. Its content may change at any time.")]
    key: Annotated[SecretKey, Meta(description="The key to read.")] = "token"


class Resources(Model, frozen=True, kw_only=True):
    """Kubernetes' `ResourceRequirements`, without claims."""

    requests: Annotated[
        dict[str, Quantity],
        Meta(description="What the scheduler reserves, by resource.", max_length=16),
    ] = {}
    limits: Annotated[
        dict[str, Quantity],
        Meta(description="What the container may not exceed, by resource.", max_length=16),
    ] = {}
