"""The health listener: probes and metrics, for whoever can reach the pod.

It shows nothing about any session, asks the store nothing, and does no work that grows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import web
from msgspec import Struct

from moorline_sidecar.http.problems import problem
from moorline_sidecar.http.site import framed

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_OK: Final = b'{"ok":true}'


class Readiness(Struct):
    """Why requests are not welcome (yet, any more), or None; set by who starts and stops."""

    reason: str | None = "starting"

    def is_ready(self) -> bool:
        return self.reason is None


def health_application(
    readiness: Readiness, worker: str, exposition: Callable[[], bytes | None]
) -> web.Application:
    """`GET /healthz`, `/readyz` and `/metrics`.

    `exposition` gives Prometheus text, None while there is none yet.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return _json(200, _OK)

    async def readyz(_request: web.Request) -> web.Response:
        answer = {"ready": readiness.is_ready(), "reason": readiness.reason, "worker": worker}
        return _json(200 if readiness.is_ready() else 503, msgspec.json.encode(answer))

    async def metrics(_request: web.Request) -> web.Response:
        text = exposition()
        if text is None:
            return framed(problem("overloaded", "The metrics are not there yet."))
        return web.Response(body=text, headers={"Content-Type": METRICS_TYPE})

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics)
    return application


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(
        status=status,
        body=body,
        headers={"Content-Type": "application/json", "Cache-Control": "no-store"},
    )
