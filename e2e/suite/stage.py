"""The cluster as scenarios use it: Moorline installed, or not, and namespaces to play in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import yaml

from e2e.suite import hand
from e2e.suite.access import Access
from e2e.suite.artefacts import keep_objects
from e2e.suite.commands import ROOT, Commands
from e2e.suite.namespace import SHOP, Namespace
from e2e.suite.story import Story

RELEASE: Final = "moorline"
"""Of Helm, and the name of the operator's Deployment."""
OPERATOR: Final = "moorline-system"
REPLICAS: Final = 2
"""Of the operator, as the chart has it."""
CHART: Final = "charts/moorline"
CRD: Final = "sessionclusters.moorline.io"

_OPERATOR_PODS: Final = "app.kubernetes.io/name=moorline"
_IN_ITS_NAMESPACE: Final = ("--namespace", OPERATOR)


class Stage:
    """One cluster, and what a person with all rights does there."""

    def __init__(self, access: Access) -> None:
        self.access: Final = access
        self.commands: Final = access.commands
        self.operator: Final = Namespace(access, OPERATOR)

    @property
    def story(self) -> Story:
        return self.access.story

    async def install(self) -> None:
        """Moorline in `OPERATOR`, in this version and whole, whatever a scenario has left there."""
        if not await self.is_installed():
            # Helm goes on from nothing that was broken off.
            await self.uninstall()
            await self.operator.restrict()
            await self.upgrade(CHART)
        await self.operator.rolled_out(RELEASE)

    async def is_installed(self) -> bool:
        """Whether a release of the chart as it is here was installed to its end."""
        which = ("--deployed", "--output=json")
        releases = json.loads(await self.commands.helm("list", *_IN_ITS_NAMESPACE, *which))
        wanted = (RELEASE, f"{RELEASE}-{chart_version()}")
        return wanted in {(one["name"], one["chart"]) for one in releases}

    async def upgrade(self, chart: str) -> None:
        """Have the release be that of a chart, a folder; wait for `operator.rolled_out` then."""
        await self.commands.helm(
            "upgrade", "--install", RELEASE, chart, *_IN_ITS_NAMESPACE, *self.chart_values()
        )

    async def uninstall(self) -> None:
        """Take the release away, if there is one, and wait until its pods are gone."""
        how = ("--wait", "--ignore-not-found")
        await self.commands.helm("uninstall", RELEASE, *_IN_ITS_NAMESPACE, *how)
        await self.until_operator_is_gone()

    async def until_operator_is_gone(self) -> None:
        which = f"--selector={_OPERATOR_PODS}"
        await self.operator.kubectl("wait", "pod", which, "--for=delete", "--timeout=150s")

    async def kill_operator(self) -> None:
        """Have every replica replaced at once; that it is done is not waited for."""
        await self.operator.kubectl("delete", "pod", f"--selector={_OPERATOR_PODS}", "--wait=false")

    def chart_values(self) -> list[str]:
        """Arguments for Helm: none where the cluster knows the images by the chart's names."""
        registry = self.access.target.registry
        if not registry:
            return []
        return [
            f"--set=image.repository={registry}/moorline-operator",
            f"--set=sidecar.image.repository={registry}/moorline-sidecar",
        ]

    @asynccontextmanager
    async def namespace(self, name: str) -> AsyncIterator[Namespace]:
        """A new restricted one for a scenario; it is deleted, which is not waited for."""
        namespace = Namespace(self.access, name)
        # A run that was broken off may have left it, and the last one may still be at it.
        await namespace.delete()
        await namespace.restrict()
        try:
            yield namespace
        except Exception:
            # Soon nobody can look at them any more.
            await keep_objects(self.access)
            raise
        finally:
            await namespace.delete(waits=False)


def chart_version() -> str:
    return str(yaml.safe_load((ROOT / CHART / "Chart.yaml").read_text())["version"])


async def remove_everything(commands: Commands) -> None:
    """Take away what scenarios leave for the next one: the shop, Moorline, and its type.

    Raises:
        CommandFailed: something does not go.
    """
    how = ("--ignore-not-found", "--timeout=150s")
    await commands.kubectl("delete", "namespace", SHOP, hand.NAMESPACE, *how)
    which = ("uninstall", RELEASE, *_IN_ITS_NAMESPACE)
    await commands.helm(*which, "--wait", "--ignore-not-found")
    await commands.kubectl("delete", "crd", CRD, *how)
    await commands.kubectl("delete", "namespace", OPERATOR, *how)
