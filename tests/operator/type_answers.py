"""What the API server says to SessionClusters: many questions over one connection."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from moorline_api import GROUP, KIND, PLURAL, VERSION
from msgspec import Struct

_COLLECTION = "/apis/{group}/{version}/namespaces/{namespace}/{plural}"
# As kubectl asks: unknown fields are refused instead of dropped.
_STRICT = "fieldValidation=Strict"
_OK = 300


class Answer(Struct, frozen=True):
    """The object as it is kept, or a `Status` that says why it is not."""

    status: int
    body: dict[str, Any]

    @property
    def is_taken(self) -> bool:
        return self.status < _OK

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    @property
    def spec(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["spec"]
        return found


class TypeQuestions:
    """SessionClusters that are made or changed in one namespace; nothing is kept of a dry run."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client = client
        self._path = _COLLECTION.format(
            group=GROUP, version=VERSION, namespace=namespace, plural=PLURAL
        )

    async def made(self, spec: object, *, name: str = "shop", is_dry: bool = True) -> Answer:
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": {"name": name},
            "spec": spec,
        }
        return await self._ask("POST", "", body, "application/json", is_dry=is_dry)

    async def merged(self, name: str, spec: Mapping[str, object]) -> Answer:
        """What becomes of an existing one, in a dry run."""
        body = {"spec": spec}
        return await self._ask("PATCH", f"/{name}", body, "application/merge-patch+json")

    async def _ask(
        self, method: str, path: str, body: object, content_type: str, *, is_dry: bool = True
    ) -> Answer:
        configuration = self._client.configuration
        headers = {"Content-Type": content_type}
        if token := await configuration.get_api_key_with_prefix("BearerToken"):
            headers["Authorization"] = token
        query = f"{_STRICT}&dryRun=All" if is_dry else _STRICT
        answer = await self._client.rest_client.request(  # type: ignore[no-untyped-call]
            method,
            f"{configuration.host}{self._path}{path}?{query}",
            headers=headers,
            body=body,
        )
        return Answer(answer.status, json.loads(await answer.read()))


@asynccontextmanager
async def type_questions(kubeconfig: Path, namespace: str) -> AsyncIterator[TypeQuestions]:
    configuration = Configuration()
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        str(kubeconfig), client_configuration=configuration
    )
    async with ApiClient(configuration) as client:
        yield TypeQuestions(client, namespace)


async def made_dry(kubeconfig: Path, specs: Mapping[str, object]) -> dict[str, Answer]:
    """The answers to specs, each by its key; nothing is kept."""
    async with type_questions(kubeconfig, "default") as ask:
        return {key: await ask.made(spec) for key, spec in specs.items()}
