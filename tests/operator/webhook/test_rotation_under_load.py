"""Certificates are exchanged twice while pods are admitted: none is refused, none fails."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from moorline_operator.certificates import published_bundle
from moorline_operator.certificates.keeping import ROTATE_NOW
from moorline_operator.certificates.material import certificates_in, read_material
from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import MUTATING_WEBHOOKS, PODS, SECRETS
from moorline_operator.settings import CertificateSettings

from tests.operator.control_plane import ControlPlane
from tests.operator.injection.samples import sidecar_in
from tests.operator.webhook.admission import (
    Admission,
    a_labelled_pod,
    admission,
    skip_unless_local,
    until,
)

pytestmark = pytest.mark.timeout(300)

PODS_A_SECOND = 50
AT_ONCE = 32
"""Fewer than the client has connections: those who keep the certificates use the same one."""

SHORT = CertificateSettings(leaf_life="15s", propagation="2s")


@pytest.fixture
async def joined(
    kube: Kube, control_plane: ControlPlane, namespace: str
) -> AsyncIterator[Admission]:
    skip_unless_local(is_local=control_plane.is_local)
    async with admission(kube, namespace, SHORT) as found:
        yield found


async def under_load(
    joined: Admission, work: Callable[[], Awaitable[None]]
) -> list[BaseException | None]:
    """What became of each pod that was made meanwhile; None is good."""
    creating: list[asyncio.Task[None]] = []
    connections = asyncio.Semaphore(AT_ONCE)

    async def create() -> None:
        async with connections:
            assert sidecar_in(await joined.kube.create(PODS, a_labelled_pod(joined.namespace)))

    async def keep_creating() -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        for number in itertools.count():
            creating.append(asyncio.create_task(create()))
            await asyncio.sleep(max(start + number / PODS_A_SECOND - loop.time(), 0))

    load = asyncio.create_task(keep_creating())
    try:
        await work()
    finally:
        load.cancel()
        await asyncio.wait({load})
        outcomes = await asyncio.gather(*creating, return_exceptions=True)
    return outcomes


async def rotated(joined: Admission, token: str) -> None:
    """Ask for a rotation, and wait until the authority of before is trusted no more."""
    old = certificates_in(published_bundle(await joined.configuration()))[0]
    patch = {"op": "add", "path": "/metadata/annotations", "value": {ROTATE_NOW: token}}
    await joined.kube.json_patch(SECRETS, joined.namespace, joined.settings.secret, [patch])

    async def is_forgotten() -> bool:
        bundle = published_bundle(await joined.configuration())
        return old not in certificates_in(bundle)

    await until(is_forgotten)


async def test_no_admission_fails_while_certificates_rotate(joined: Admission) -> None:
    # Connections that are kept see neither leaf nor bundle; while draining every pod proves both.
    joined.listener.is_draining = True
    first = read_material(await joined.secret())

    async def rotate_twice() -> None:
        await rotated(joined, "one")
        await rotated(joined, "two")

    outcomes = await under_load(joined, rotate_twice)
    failed = [outcome for outcome in outcomes if outcome is not None]
    assert not failed, failed[0]
    assert len(outcomes) > 5 * PODS_A_SECOND
    assert first.bundle not in read_material(await joined.secret()).bundle


async def test_what_somebody_took_from_the_bundle_is_put_back(joined: Admission) -> None:
    patch = {"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}
    await joined.kube.json_patch(MUTATING_WEBHOOKS, "", joined.settings.configuration, [patch])
    await joined.until_trusted()


async def test_a_secret_that_was_emptied_is_filled_again(joined: Admission) -> None:
    secret = await joined.secret()
    await joined.kube.replace(SECRETS, {**secret, "data": {}})

    async def is_filled() -> bool:
        return bool(read_material(await joined.secret()).leaf)

    await until(is_filled)
    await joined.until_trusted()


async def test_in_a_quiet_time_nothing_is_written(
    kube: Kube, control_plane: ControlPlane, namespace: str
) -> None:
    skip_unless_local(is_local=control_plane.is_local)
    async with admission(kube, namespace, CertificateSettings()) as joined:
        before = await joined.secret(), await joined.configuration()
        asked = len(_reads(control_plane, joined))

        async def is_looked_at_often() -> bool:
            return len(_reads(control_plane, joined)) > asked + 20

        await until(is_looked_at_often)
        assert (await joined.secret(), await joined.configuration()) == before


def _reads(control_plane: ControlPlane, joined: Admission) -> list[object]:
    """How often the configuration was read, by the API server's own account."""
    return [
        event
        for event in control_plane.audit()
        if event["verb"] == "get"
        and event.get("objectRef", {}).get("name") == joined.settings.configuration
    ]
