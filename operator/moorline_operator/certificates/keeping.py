"""The leader's part: takes the steps, keeps the Secret, tells the API server whom to trust."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final, Protocol

import structlog

from moorline_operator import naming
from moorline_operator.certificates.material import Material, data_of, encoded, read_material
from moorline_operator.certificates.rotation import Published, Terms, step
from moorline_operator.errors import KubeError
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import MUTATING_WEBHOOKS, SECRETS, Kind
from moorline_operator.settings import CertificateSettings, WebhookSettings, seconds

_log = structlog.get_logger()

ROTATE_NOW: Final = "moorline.io/rotate-now"
"""Annotation of the Secret: a token; a new one makes a new authority at once."""

PERIOD_SECONDS: Final = 10.0
"""How often the leader looks; it writes only what changes."""

_STEPS_MAX: Final = 5

Proof = Callable[[str], Awaitable[bool]]
"""Whether a handshake with our own listener works for who trusts only that bundle."""


class Api(Protocol):
    """What of the API server is needed."""

    async def get(self, kind: Kind, namespace: str, name: str) -> KubeObject: ...
    async def replace(self, kind: Kind, obj: KubeObject) -> KubeObject: ...
    async def apply(self, kind: Kind, obj: KubeObject) -> KubeObject: ...


async def keep_certificates(  # noqa: PLR0913 - two of them only tests give
    kube: Api,
    namespace: str,
    webhook: WebhookSettings,
    certificates: CertificateSettings,
    proof: Proof,
    *,
    period: float = PERIOD_SECONDS,
) -> None:
    """Keep them until cancelled; what fails is told once, and tried again after `period` seconds.

    `namespace` is the operator's own: there are the Secret and the Service.
    """
    keeper = Keeper(kube, namespace, webhook, certificates, proof)
    told = ""
    while True:
        try:
            await keeper.turn()
            told = ""
        except KubeError as error:
            if str(error) != told:
                told = str(error)
                _log.warning("cannot keep the webhook's certificates", reason=told)
        await asyncio.sleep(period)


class Keeper:
    """Remembers only since when the API server has had the bundle that it has."""

    def __init__(
        self,
        kube: Api,
        namespace: str,
        webhook: WebhookSettings,
        certificates: CertificateSettings,
        proof: Proof,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._webhook = webhook
        self._is_managed = certificates.managed
        self._terms = Terms(
            authority_life=timedelta(seconds=seconds(certificates.authority_life)),
            leaf_life=timedelta(seconds=seconds(certificates.leaf_life)),
            propagation=timedelta(seconds=seconds(certificates.propagation)),
            names=_names(webhook.service, namespace),
        )
        self._proof = proof
        self._bundle = ""
        self._since = monotonic()

    async def turn(self) -> None:
        """Do all that can be done now.

        Raises:
            KubeError: the Secret or the webhook's configuration cannot be read or written.
        """
        secret = await self._kube.get(SECRETS, self._namespace, self._webhook.secret)
        configuration = await self._kube.get(MUTATING_WEBHOOKS, "", self._webhook.configuration)
        if self._is_managed:
            secret = await self._stepped(secret, published_bundle(configuration))
        bundle = read_material(secret).bundle
        if bundle and published_bundle(configuration) != bundle:
            await self._kube.apply(MUTATING_WEBHOOKS, _trusting(configuration, bundle))
            _log.info("the API server is told whom to trust")

    async def _stepped(self, secret: KubeObject, bundle: str) -> KubeObject:
        """The Secret after every step that could be taken.

        Raises:
            Conflict: somebody else has written it in the meantime.
        """
        for _ in range(_STEPS_MAX):
            material = read_material(secret)
            published = await self._published(bundle, material)
            found = step(material, datetime.now(UTC), published, self._terms, _token(secret))
            if not found.why:
                break
            secret = await self._kube.replace(
                SECRETS, {**secret, "data": {**_others(secret), **data_of(found.material)}}
            )
            _log.info("certificates changed", why=found.why)
        return secret

    async def _published(self, bundle: str, material: Material) -> Published:
        if bundle != self._bundle:
            self._bundle, self._since = bundle, monotonic()
        age = timedelta(seconds=monotonic() - self._since)
        is_asked = bool(material.next_authority) and age >= self._terms.propagation
        is_proven = is_asked and await self._proof(bundle)
        return Published(bundle=bundle, age=age, is_proven=is_proven)


def _names(service: str, namespace: str) -> list[str]:
    """The Service as DNS has it; the API server asks for the one that ends in `.svc`."""
    local = f"{service}.{namespace}.svc"
    return [service, f"{service}.{namespace}", local, f"{local}.cluster.local"]


def _token(secret: KubeObject) -> str:
    token = secret["metadata"].get("annotations", {}).get(ROTATE_NOW, "")
    return naming.short_hash(token) if token else ""


def _others(secret: KubeObject) -> dict[str, str]:
    """What is in the Secret that is none of ours."""
    ours = data_of(Material(**dict.fromkeys(Material.__struct_fields__, "x")))
    return {key: value for key, value in (secret.get("data") or {}).items() if key not in ours}


def published_bundle(configuration: KubeObject) -> str:
    """What every webhook of the configuration trusts; "" where they differ."""
    bundles = {
        webhook["clientConfig"].get("caBundle", "")
        for webhook in configuration.get("webhooks") or ()
    }
    if len(bundles) != 1:
        return ""
    return base64.b64decode(bundles.pop()).decode(errors="replace")


def _trusting(configuration: KubeObject, bundle: str) -> dict[str, Any]:
    """What is applied: of each webhook its name, by which the list is merged, and the bundle."""
    client = {"caBundle": encoded(bundle)}
    return {
        "apiVersion": MUTATING_WEBHOOKS.api_version,
        "kind": MUTATING_WEBHOOKS.name,
        "metadata": {"name": configuration["metadata"]["name"]},
        "webhooks": [
            {"name": webhook["name"], "clientConfig": client}
            for webhook in configuration.get("webhooks") or ()
        ],
    }
