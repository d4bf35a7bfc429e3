"""Uninstalling leaves applications and their sessions alone, and nothing else behind."""

from typing import Final

from e2e.suite.crowd import shopping
from e2e.suite.namespace import Namespace
from e2e.suite.stage import Stage

CLUSTER_WIDE: Final = (
    "mutatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings,"
    "clusterroles,clusterrolebindings,priorityclasses"
)
NAMESPACED: Final = (
    "all,configmaps,secrets,serviceaccounts,roles,rolebindings,leases,networkpolicies,"
    "poddisruptionbudgets"
)
STAYS: Final = {
    # In every namespace.
    "configmap/kube-root-ca.crt",
    "serviceaccount/default",
    # As docs/install.md says.
    "lease.coordination.k8s.io/moorline-leader",
}


async def test_uninstalling_leaves_nothing_but_what_runs(shop: Namespace, moorline: Stage) -> None:
    before = await shop.workers(), await _purge(shop)
    async with shopping(shop):
        await moorline.uninstall()
        left = await moorline.commands.kubectl("get", CLUSTER_WIDE, "--output=name")
        assert [line for line in left.splitlines() if "moorline" in line] == []
        there = await moorline.operator.kubectl("get", NAMESPACED, "--output=name")
        assert set(there.splitlines()) == STAYS
    await moorline.install()
    await shop.until_ready()
    assert (await shop.workers(), await _purge(shop)) == before
    shop.story.note("installed again: names and children are as they were")


async def _purge(shop: Namespace) -> str:
    """The UID of its CronJob, which goes on without the operator."""
    uid = "--output=jsonpath={.metadata.uid}"
    return await shop.kubectl("get", "cronjob/shop-moorline-purge", uid)
