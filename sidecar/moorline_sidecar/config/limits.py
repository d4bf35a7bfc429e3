"""`limits` of the configuration file: the bounds of the data plane."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from moorline_api import Model
from msgspec import Meta

Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=86_400, title="seconds", examples=[10, 0.5])]


class Limits(Model, frozen=True):
    """What a client may ask of the data plane; in the file the names are in camel case."""

    head_bytes: Annotated[int, Meta(ge=1024, le=1 << 20)] = 32 << 10
    head_fields: Annotated[int, Meta(ge=8, le=10_000)] = 100
    head_seconds: Seconds = 10.0
    body_seconds: Seconds = 30.0
    idle_seconds: Seconds = 75.0
    connections: Annotated[int, Meta(ge=1, le=1_000_000)] = 4_096
