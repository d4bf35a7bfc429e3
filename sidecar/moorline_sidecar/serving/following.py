"""What a running process takes over of a changed configuration."""

from __future__ import annotations

from typing import Final

from moorline_sidecar.config import Configuration
from moorline_sidecar.domain.cookies import Cookies
from moorline_sidecar.http.api import Api
from moorline_sidecar.http.by_cookie import ByCookie
from moorline_sidecar.http.protocol import DataPlane
from moorline_sidecar.sessions.service import Sessions
from moorline_sidecar.telemetry import LogSettings

ESCAPED: Final = 4
"""A session of `maxBytes` written in `\\u` escapes is up to three times as long, plus its frame."""


def follow(
    sessions: Sessions,
    api: Api,
    plane: DataPlane,
    logs: LogSettings,
    configuration: Configuration,
) -> None:
    """Go by another configuration, all at once: nothing is awaited, so no request comes between.

    A request that began before it keeps its cookies, and passes each bound by one policy.
    """
    by_cookie = ByCookie(sessions, Cookies(configuration.cookies))
    logs(configuration.log_level, {"worker": configuration.worker})
    sessions.follow(configuration.policy)
    plane.allow_bodies(body_bytes(configuration), configuration.policy.max_session_bytes)
    api.follow(by_cookie, configuration.default_context)


def body_bytes(configuration: Configuration) -> int:
    """The longest body that may hold a session that is not too large."""
    return ESCAPED * configuration.policy.max_session_bytes
