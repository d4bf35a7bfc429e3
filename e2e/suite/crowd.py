"""The users of the shop, in a pod of their own: the cluster's network is the one they use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from e2e.app.crowd import BEGUN, Report
from e2e.suite.commands import CommandFailed, Commands
from e2e.suite.story import Story
from tests.operator.watching import eventually

POD: Final = "crowd"
USERS: Final = 20
BEGIN_SECONDS: Final = 60.0
END_SECONDS: Final = 120.0
"""Users whose last look has no answer try for a minute."""

_PYTHON: Final = "/opt/app/bin/python3"
_ASK_TO_END: Final = "import os, signal; os.kill(1, signal.SIGTERM)"


def crowd_pod(image: str, service: str, users: int) -> dict[str, Any]:
    """The pod, fit for a namespace that enforces `restricted`."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD, "labels": {"app": POD}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 2,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": POD,
                    "image": image,
                    "command": [_PYTHON, "-m", "e2e.app.crowd"],
                    "args": [f"http://{service}", "--users", str(users)],
                    # As much as the store has, or they would count its hunger as the shop's.
                    "resources": {"requests": {"cpu": "300m", "memory": "64Mi"}},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                    },
                }
            ],
        },
    }


class Crowd:
    """Users who are at it; `report` is there once they have gone."""

    def __init__(self, commands: Commands, namespace: str) -> None:
        self._commands = commands
        self._namespace = namespace
        self.report: Report | None = None

    async def printed(self) -> str:
        """What they have told so far: a line for every error and broken promise."""
        return await self._kubectl("logs", POD)

    async def has_begun(self) -> bool:
        try:
            return BEGUN in await self.printed()
        except CommandFailed:
            return False

    async def go_home(self) -> Report:
        """Have them look a last time, and read what they saw.

        Raises:
            CommandFailed: they are gone without a report.
        """
        await self._kubectl("exec", POD, "--", _PYTHON, "-c", _ASK_TO_END)
        wanted = "jsonpath={.status.containerStatuses[0].state.terminated}"
        await self._kubectl(
            "wait", f"pod/{POD}", f"--for={wanted}", f"--timeout={END_SECONDS:.0f}s"
        )
        *_, last = (await self.printed()).splitlines()
        self.report = msgspec.json.decode(last, type=Report)
        return self.report

    async def _kubectl(self, *arguments: str) -> str:
        return await self._commands.kubectl("--namespace", self._namespace, *arguments)


@asynccontextmanager
async def shopping(  # noqa: PLR0913 - who, where, and what is said of it
    commands: Commands,
    story: Story,
    namespace: str,
    image: str,
    *,
    service: str = "shop",
    users: int = USERS,
) -> AsyncIterator[Crowd]:
    """Users who shop as long as it is open; afterwards they must have no promise to complain of.

    Raises:
        AssertionError: a promise was broken; says to whom.
    """
    await commands.apply(namespace, crowd_pod(image, service, users))
    crowd = Crowd(commands, namespace)
    try:
        await eventually(crowd.has_begun, lambda: "the users do not get in", BEGIN_SECONDS)
        story.say(f"{users} users are shopping")
        yield crowd
        report = await crowd.go_home()
    finally:
        # Also where it failed: what they saw is what one wants to read.
        await asyncio.shield(_keep(commands, story, namespace))
    story.row.seen.append(report)
    story.note(in_a_sentence(report))
    assert report.broken == []


async def _keep(commands: Commands, story: Story, namespace: str) -> None:
    try:
        printed = await commands.kubectl("--namespace", namespace, "logs", POD)
    except CommandFailed as error:
        printed = str(error)
    story.keep(f"crowd-{namespace}-{len(story.row.seen)}.log", printed)
    await commands.kubectl(
        *("--namespace", namespace, "delete", "pod", POD, "--ignore-not-found", "--wait=true")
    )


def in_a_sentence(report: Report) -> str:
    return (
        f"{report.users} users, {report.requests} requests, {len(report.failures)} errors,"
        f" slowest {report.slowest_ms:.0f} ms, {report.logouts} logouts,"
        f" {len(report.broken)} promises broken"
    )


def errors_of(reports: Sequence[Report]) -> list[str]:
    """Every error that a user saw."""
    return [line for report in reports for line in report.failures]
