"""What can go wrong when a SessionCluster is read.

MoorlineApiError
├── InvalidDuration     the text is no duration                       .text
├── InvalidQuantity     the value is no size in bytes                 .value
└── InvalidSpec         every mistake of a spec, each with its path   .violations
"""

from msgspec import Struct


class Violation(Struct, frozen=True):
    """One mistake: where it is (`spec.cookie.secure`), and what to write instead."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class MoorlineApiError(Exception):
    """The root of what this package raises; all of it is for a person to repair."""


class InvalidDuration(MoorlineApiError):
    """The text is no duration, or longer than the 64-bit nanoseconds of Go can hold."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__('write a duration of at most 292 years, such as "90s" or "1h30m"')


class InvalidQuantity(MoorlineApiError):
    """The value is no size in bytes."""

    def __init__(self, value: int | str) -> None:
        self.value = value
        super().__init__('write a size in bytes, such as 1048576, "1Mi" or "1.5Gi"')


class InvalidSpec(MoorlineApiError):
    """The spec cannot be used; `violations` holds all its mistakes, those between fields last."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        self.violations = violations
        super().__init__("\n".join(map(str, violations)))
