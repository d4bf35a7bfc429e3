"""Everything that can go wrong in the operator, by what the caller can do.

OperatorError
├── ConfigurationError      the settings are wrong: say so and end
└── KubeError               the API server did not do what it was asked to
    ├── NotFound            404: it is not there
    ├── AlreadyExists       409 to a create: somebody was first
    ├── Conflict            409 to a write: read again, decide again
    ├── Invalid             400, 422: the request is wrong, or a `test` of a patch failed
    ├── Forbidden           401, 403: not allowed, or refused by an admission policy
    ├── Expired             410: the list or watch has to begin anew
    └── Unavailable         no answer, 429 or 5xx: try again later
"""

from collections.abc import Sequence


class OperatorError(Exception):
    """The root: whatever is raised on purpose."""


class ConfigurationError(OperatorError):
    """The settings are wrong; `mistakes` holds a sentence for each of them."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(self.mistakes))


class LeadershipLost(OperatorError):
    """This process may be one of two leaders: nothing more must be written, it has to end."""


class KubeError(OperatorError):
    """The API server's refusal: `action` is what was tried, `detail` its sentence."""

    def __init__(self, action: str, detail: str) -> None:
        self.action = action
        self.detail = detail
        super().__init__(f"{action}: {detail}")


class NotFound(KubeError):
    """The object is not there."""


class AlreadyExists(KubeError):
    """An object of that name is there."""


class Conflict(KubeError):
    """The object is not as it was when it was read."""


class Invalid(KubeError):
    """The API server cannot accept the object, or a `test` of the patch did not hold."""


class Forbidden(KubeError):
    """The operator's account may not do that, or an admission policy refused it."""


class NamespaceEnding(Forbidden):
    """The namespace is being deleted, and takes nothing new."""


class Expired(KubeError):
    """The API server no longer has the history that the watch wants to go on from."""


class Unavailable(KubeError):
    """The API server did not answer, or not now."""
