"""Everything that is there to read when a scenario has failed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from e2e.cluster import places
from e2e.suite.access import Access
from e2e.suite.commands import CommandFailed

# No Secrets: a folder of artefacts is passed around.
_KINDS: Final = (
    "pods,deployments,replicasets,jobs,cronjobs,services,endpointslices,configmaps,leases,"
    "persistentvolumeclaims,networkpolicies,sessionclusters.moorline.io"
)
_TEXTS: Final = {
    "sessionclusters.txt": ("describe", "sessionclusters.moorline.io", "--all-namespaces"),
    "pods.txt": ("get", "pods", "--all-namespaces", "--output=wide", "--show-labels"),
    "pods-described.txt": ("describe", "pods", "--all-namespaces"),
    "events.txt": (
        *("get", "events", "--all-namespaces", "--sort-by=.metadata.creationTimestamp"),
        "--output=wide",
    ),
    "nodes.txt": ("describe", "nodes"),
    "objects.yaml": ("get", _KINDS, "--all-namespaces", "--output=yaml"),
    "cluster-objects.yaml": (
        *("get", "mutatingwebhookconfigurations,namespaces,persistentvolumes"),
        "--output=yaml",
    ),
}


async def keep_objects(access: Access) -> None:
    """Write objects and Events as they are, unless that was done nearer to the failure.

    A command that fails leaves what it complains of.
    """
    folder = access.story.folder
    for name, arguments in _TEXTS.items():
        if (folder / name).exists():
            continue
        try:
            text = await access.commands.kubectl(*arguments)
        except CommandFailed as error:
            text = str(error)
        (folder / name).write_text(text)


def keep_logs(access: Access, recorded: Path) -> None:
    """Copy the logs that there are: `recorded` is the folder of the recorder."""
    folder = access.story.folder / "logs"
    _keep_pods(recorded, folder / "pods")
    if access.target.way == "own":
        _keep_node(places.running() / "log", folder / "node")


def _keep_pods(logs: Path, folder: Path) -> None:
    # Not there before the first pod is.
    if logs.is_dir():
        shutil.copytree(logs, folder, dirs_exist_ok=True)


def _keep_node(logs: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for log in logs.glob("*.log"):
        # A line for every request: hundreds of megabytes.
        if log.name != "audit.log":
            shutil.copy2(log, folder)
