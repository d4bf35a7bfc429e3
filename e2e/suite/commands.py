"""The commands that a person would type, run against the cluster of the suite."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from e2e.cluster.build import HELM, cached

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS: Final = 180.0


class CommandFailed(AssertionError):
    """The text holds the command, its status, and what it printed."""


class Commands:
    """Runs commands with the cluster's kubeconfig, in the root of the repository."""

    def __init__(self, kubeconfig: Path) -> None:
        # kubectl of the virtual environment and the Helm that `make cluster` has built go first.
        folders = (Path(sys.executable).parent, cached(HELM).parent)
        path = os.pathsep.join((*map(str, folders), os.environ.get("PATH", os.defpath)))
        self.environment: Final[Mapping[str, str]] = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "PATH": path,
        }

    async def run(
        self,
        command: Sequence[str],
        *,
        stdin: str = "",
        seconds: float = PATIENCE_SECONDS,
        variables: Mapping[str, str] | None = None,
    ) -> str:
        """What the command prints on stdout.

        Raises:
            CommandFailed: it ended with another status than 0, or not in time.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env={**self.environment, **(variables or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(seconds):
                printed, complaints = await process.communicate(stdin.encode())
        except TimeoutError as error:
            text = f"`{' '.join(command)}` did not end within {seconds:.0f} s"
            raise CommandFailed(text) from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            status = f"`{' '.join(command)}` ended with status {process.returncode}"
            raise CommandFailed(f"{status}:\n{printed.decode()}{complaints.decode()}")
        return printed.decode()

    async def kubectl(
        self, *arguments: str, stdin: str = "", seconds: float = PATIENCE_SECONDS
    ) -> str:
        """Raises as `run`."""
        return await self.run(("kubectl", *arguments), stdin=stdin, seconds=seconds)

    async def helm(self, *arguments: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Raises as `run`."""
        return await self.run(("helm", *arguments), seconds=seconds)

    async def bash(self, script: str, *, seconds: float = PATIENCE_SECONDS) -> str:
        """Lines of a page of the documentation, as they are there. Raises as `run`."""
        return await self.run(("bash", "-euo", "pipefail", "-c", script), seconds=seconds)

    async def apply(self, namespace: str, *objects: Mapping[str, Any]) -> None:
        """`kubectl apply` in the namespace. Raises as `run`."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        await self.kubectl("apply", "--namespace", namespace, "--filename=-", stdin=text)
