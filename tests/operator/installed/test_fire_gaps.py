"""What happens while nobody can watch is found out afterwards."""

import asyncio

from moorline_operator import naming
from moorline_operator.errors import NotFound
from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import CONFIG_MAPS, SESSION_CLUSTERS

from tests.operator.control_plane import ControlPlane
from tests.operator.installation import Installation
from tests.operator.watching import eventually, until_reason
from tests.operator.workloads import a_session_cluster

CONFIG = naming.config_map("shop")


async def test_a_child_deleted_while_the_watches_were_broken_is_made_anew(
    operator: Installation, control_plane: ControlPlane, kube: Kube, namespace: str
) -> None:
    await kube.create(SESSION_CLUSTERS, a_session_cluster(namespace))
    await until_reason(kube, namespace, "shop", "Ready", "AllReady")
    leader = await asyncio.to_thread(operator.leader)
    await asyncio.to_thread(control_plane.stop_api_server)
    leader.freeze()
    try:
        # One that has just started does not know what was before, and wants a list.
        await asyncio.to_thread(control_plane.start_api_server)
        await kube.delete(CONFIG_MAPS, namespace, CONFIG)
    finally:
        leader.thaw()

    async def is_made_anew() -> bool:
        # One that was away for too long has ended by itself.
        leader.start()
        try:
            await kube.get(CONFIG_MAPS, namespace, CONFIG)
        except NotFound:
            return False
        return True

    await eventually(is_made_anew, lambda: "the ConfigMap is missing")
