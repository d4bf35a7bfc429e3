"""Uninstalling leaves applications and their sessions alone, and nothing else behind."""

from e2e.conftest import SHOP
from e2e.suite.crowd import errors_of
from e2e.suite.stage import OPERATOR, RELEASE, Stage

KINDS = (
    "mutatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings,"
    "clusterroles,clusterrolebindings,priorityclasses"
)


async def test_uninstalling_leaves_nothing_but_what_runs(shop: Stage) -> None:
    async with shop.crowd(SHOP):
        await shop.commands.helm("uninstall", RELEASE, "--namespace", OPERATOR, "--wait")
        left = await shop.kubectl("get", KINDS, "--output=name")
        assert [line for line in left.splitlines() if "moorline" in line] == []
        await shop.kubectl(
            *("--namespace", OPERATOR, "wait", "pod", "--for=delete", "--timeout=90s"),
            "--selector=app.kubernetes.io/name=moorline",
        )
        there = await shop.kubectl(
            *("--namespace", OPERATOR, "get", "--output=name", "--ignore-not-found"),
            "all,configmaps,secrets,serviceaccounts,roles,rolebindings,leases,networkpolicies",
        )
        known = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
        stays = [line for line in there.splitlines() if line not in known]
        assert stays == ["lease.coordination.k8s.io/moorline-leader"]
        # What runs goes on: pods, and their purge.
        assert await shop.kubectl("--namespace", SHOP, "get", "cronjob/shop-moorline-purge")
    assert errors_of(shop.story.row.seen) == []
    await shop.install()
    await shop.open_shop(SHOP)
    shop.story.note("installed again: names and children are as they were")
