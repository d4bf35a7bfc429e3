"""The health listener: probes and metrics, for whoever can reach the pod.

It shows nothing about any session, asks the store nothing, and does no work that grows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from moorline_sidecar.http.messages import Request, Response
from moorline_sidecar.http.problems import problem
from moorline_sidecar.http.routes import Routes, json_answer

METRICS_TYPE: Final = b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"


class Readiness(Struct):
    """Why requests are not welcome (yet, any more), or None; set by who starts and stops."""

    reason: str | None = "starting"

    def is_ready(self) -> bool:
        return self.reason is None


def health_application(
    readiness: Readiness, worker: str, exposition: Callable[[], bytes | None]
) -> Routes:
    """`GET /healthz`, `/readyz` and `/metrics`.

    `exposition` gives Prometheus text, None while there is none yet.
    """

    def healthz(_request: Request, _: str) -> Response:
        return json_answer({"ok": True})

    def readyz(_request: Request, _: str) -> Response:
        answer = {"ready": readiness.is_ready(), "reason": readiness.reason, "worker": worker}
        return json_answer(answer, 200 if readiness.is_ready() else 503)

    def metrics(_request: Request, _: str) -> Response:
        text = exposition()
        if text is None:
            return problem("overloaded", "The metrics are not there yet.")
        return Response(200, METRICS_TYPE, text)

    return Routes({"GET /healthz": healthz, "GET /readyz": readyz, "GET /metrics": metrics})
