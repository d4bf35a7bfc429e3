"""`POST /inject`: the API server asks, and gets the pod's changes or a refusal."""

from collections.abc import Callable
from time import perf_counter
from typing import Final

import structlog
from aiohttp import web

from moorline_operator import naming
from moorline_operator.injection import Refused, inject
from moorline_operator.settings import InjectionSettings
from moorline_operator.webhook.lookup import Lookup
from moorline_operator.webhook.review import (
    MalformedReview,
    Question,
    allowed,
    question_of,
    refused,
)

_log = structlog.get_logger()

PATH: Final = "/inject"
BODY_BYTES_MAX: Final = 3 << 20
"""What the API server itself takes in one request."""

Observer = Callable[[str, float], None]
"""Told of every answer: `injected`, `ignored`, `refused` or `failed`, and the seconds it took."""


class Webhook:
    """Answers reviews; it changes nothing but the pod in the answer, so dry runs are safe."""

    def __init__(
        self, lookup: Lookup, settings: InjectionSettings, observe: Observer = lambda *_: None
    ) -> None:
        self._lookup = lookup
        self._settings = settings
        self._observe = observe

    def application(self) -> web.Application:
        application = web.Application(client_max_size=BODY_BYTES_MAX)
        application.router.add_post(PATH, self._inject)
        return application

    async def _inject(self, request: web.Request) -> web.Response:
        start = perf_counter()
        result = "failed"
        try:
            question = question_of(await request.read())
            result, body = await self._answer(question)
        except MalformedReview as error:
            return web.Response(status=400, text=f"no AdmissionReview of a pod: {error}")
        except web.HTTPException:
            raise
        except ConnectionError:
            return web.Response(status=400, text="the body was not sent to its end")
        except Exception:  # noqa: BLE001 - the outermost place, which answers for all of them
            # Whether the pod may pass without us is for the failurePolicy to say.
            _log.exception("cannot answer the API server")
            return web.Response(status=500, text="cannot inject; the operator's log tells why")
        finally:
            self._observe(result, perf_counter() - start)
        return web.Response(body=body, content_type="application/json")

    async def _answer(self, question: Question) -> tuple[str, bytes]:
        pod = question.pod
        labels = (pod["metadata"].get("labels") or {}) if pod is not None else {}
        if pod is None or naming.CLUSTER not in labels:
            return "ignored", allowed(question)
        name = labels[naming.CLUSTER]
        try:
            changed = await self._injected(pod, question.namespace, name)
        except Refused as error:
            who = pod["metadata"].get("name") or pod["metadata"].get("generateName", "")
            where = {"namespace": question.namespace, "pod": who, "cluster": name}
            _log.warning("refused a pod", **where, reason=str(error))
            return "refused", refused(question, str(error))
        return "injected", allowed(question, changed)

    async def _injected(
        self, pod: dict[str, object], namespace: str, name: str
    ) -> dict[str, object]:
        cluster = await self._lookup.find(namespace, name) if name else None
        if cluster is None:
            raise Refused(
                f'there is no SessionCluster "{name}" in namespace "{namespace}" (the pod\'s label '
                f"{naming.CLUSTER} names it): apply it, or correct the label; what controllers "
                "make is then tried again by itself"
            )
        return inject(pod, cluster, self._settings)
