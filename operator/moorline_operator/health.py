"""The health listener of a replica: probes and metrics."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from aiohttp import web

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Check = Callable[[], str | None]
"""What is wrong as a sentence, or None."""


def health_application(
    alive: Mapping[str, Check], ready: Mapping[str, Check], exposition: Callable[[], bytes]
) -> web.Application:
    """`GET /healthz`, `/readyz` and `/metrics`.

    Each probe answers 200, or 503 with what is wrong by the name of its check. A replica that is
    not alive is to be restarted; one that is not ready only gets no more requests.
    """

    async def healthz(_request: web.Request) -> web.Response:
        return _told(alive)

    async def readyz(_request: web.Request) -> web.Response:
        return _told(ready)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=exposition(), headers={"Content-Type": METRICS_TYPE})

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics)
    return application


def _told(checks: Mapping[str, Check]) -> web.Response:
    wrong = {name: told for name, check in checks.items() if (told := check()) is not None}
    return web.Response(
        status=503 if wrong else 200,
        body=msgspec.json.encode({"ok": not wrong, **({"wrong": wrong} if wrong else {})}),
        headers={"Content-Type": "application/json", "Cache-Control": "no-store"},
    )
