"""The users of the shop, in a pod of their own: the cluster's network is the one they use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from e2e.app.crowd import BEGUN, PATIENCE_SECONDS, TRUST_SECONDS, Report
from e2e.suite.commands import CommandFailed
from e2e.suite.namespace import SHOP, SHOP_IMAGE, Namespace
from e2e.suite.pods import PYTHON, restricted
from e2e.suite.story import Stopwatch
from tests.operator.watching import eventually

POD: Final = "crowd"
USERS: Final = 20
BEGIN_SECONDS: Final = 120.0
LEAST_SECONDS: Final = TRUST_SECONDS + 8.0
"""Old cookies of those who log out in the first seconds only prove something after that time."""
END_SECONDS: Final = 2 * PATIENCE_SECONDS
"""A click that has no answer is tried for half of it, and then there is the last look."""
CALM_SECONDS: Final = 5.0
CALM_AGAIN_SECONDS: Final = 120.0

_ASK_TO_END: Final = "import os, signal; os.kill(1, signal.SIGTERM)"


class Crowd:
    """Users who are at it."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    async def printed(self) -> str:
        """What they have told so far: a line for every error and broken promise."""
        return await self._namespace.kubectl("logs", POD)

    async def has_begun(self) -> bool:
        try:
            return BEGUN in await self.printed()
        except CommandFailed:
            return False

    async def until_calm(self) -> float:
        """Wait until nobody meets errors any more; the seconds that it took.

        Raises:
            AssertionError: somebody still does after `CALM_AGAIN_SECONDS`.
        """
        watch = Stopwatch()

        async def is_calm() -> bool:
            told = await self.printed()
            await asyncio.sleep(CALM_SECONDS)
            return await self.printed() == told

        await eventually(is_calm, lambda: "errors do not end", CALM_AGAIN_SECONDS)
        return max(0.0, watch.seconds - CALM_SECONDS)

    async def go_home(self) -> Report:
        """Have them look a last time, and read what they saw.

        Raises:
            AssertionError: they do not end, or are gone without a report.
        """
        try:
            await self._namespace.kubectl("exec", POD, "--", PYTHON, "-c", _ASK_TO_END)
        except CommandFailed as error:
            # Who asks dies with who is asked, where that one is faster: it counts that they end.
            self._namespace.story.say(str(error))
        wanted = "jsonpath={.status.containerStatuses[0].state.terminated}"
        timeout = f"--timeout={END_SECONDS:.0f}s"
        await self._namespace.kubectl("wait", f"pod/{POD}", f"--for={wanted}", timeout)
        return report_in(await self.printed())


@asynccontextmanager
async def shopping(
    namespace: Namespace,
    *,
    service: str = SHOP,
    users: int = USERS,
    may_meet_errors: bool = False,
) -> AsyncIterator[Crowd]:
    """Users who shop as long as it is open, for `LEAST_SECONDS` at least.

    Raises:
        AssertionError: a promise was broken, or somebody has met an error who may not.
    """
    story = namespace.story
    # One that a run has left behind would be taken for the one that is wanted.
    await _remove(namespace)
    await namespace.apply(_pod(namespace.access.target.image(SHOP_IMAGE), service, users))
    crowd = Crowd(namespace)
    try:
        await eventually(crowd.has_begun, lambda: "the users do not get in", BEGIN_SECONDS)
        story.say(f"{users} users are shopping")
        watch = Stopwatch()
        yield crowd
        await asyncio.sleep(max(0.0, LEAST_SECONDS - watch.seconds))
        report = await crowd.go_home()
    finally:
        # Also where it failed: what they saw is what one wants to read.
        await asyncio.shield(_keep(namespace))
    story.row.seen.append(report)
    story.say(in_a_sentence(report))
    assert report.broken == []
    assert may_meet_errors or report.failures == []


def report_in(printed: str) -> Report:
    """What a crowd has printed last.

    Raises:
        AssertionError: that is no report.
    """
    *_, last = printed.splitlines() or [""]
    try:
        return msgspec.json.decode(last, type=Report)
    except msgspec.DecodeError as error:
        raise AssertionError(f"the users are gone without a report: {printed[-200:]}") from error


def in_a_sentence(report: Report) -> str:
    return (
        f"{report.users} users, {report.requests} requests, {len(report.failures)} errors,"
        f" slowest {report.slowest_ms:.0f} ms, {report.logouts} logouts,"
        f" {report.with_old_cookies} clicks after them, {len(report.broken)} promises broken"
    )


async def _keep(namespace: Namespace) -> None:
    story = namespace.story
    try:
        printed = await namespace.kubectl("logs", POD)
    except CommandFailed as error:
        printed = str(error)
    story.keep(f"crowd-{namespace.name}-{len(story.row.seen)}.log", printed)
    await _remove(namespace)


async def _remove(namespace: Namespace) -> None:
    await namespace.kubectl("delete", "pod", POD, "--ignore-not-found")


def _pod(image: str, service: str, users: int) -> dict[str, Any]:
    container = {
        "name": POD,
        "image": image,
        "command": [PYTHON, "-m", "e2e.app.crowd"],
        "args": [f"http://{service}", "--users", str(users)],
        # As much as the store has, or they would count its hunger as the shop's.
        "resources": {"requests": {"cpu": "300m", "memory": "64Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD, "labels": {"app": POD}},
        "spec": {**restricted(container), "terminationGracePeriodSeconds": 2},
    }
