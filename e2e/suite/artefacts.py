"""Everything that is there to read when a scenario has failed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from e2e.cluster import places
from e2e.suite.commands import CommandFailed, Commands

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


async def keep_everything(commands: Commands, folder: Path, logs: Path) -> None:
    """Write objects and Events as they are, and copy the logs that there are."""
    for name, arguments in _TEXTS.items():
        try:
            text = await commands.kubectl(*arguments)
        except CommandFailed as error:
            text = str(error)
        (folder / name).write_text(text)
    shutil.copytree(logs, folder / "logs", dirs_exist_ok=True)
    own = places.running() / "log"
    if own.is_dir():
        for log in own.glob("*.log"):
            shutil.copy2(log, folder / "logs")
