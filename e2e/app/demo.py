"""Shows why: two workers, a shop behind a round-robin balancer, and a kill -9 in the middle.

    make demo
    make demo STORE=postgresql
    make demo STORE=postgresql L2=memcached

Ends with 0 if every promise was kept, with 1 if one was broken, with 3 if it could not start, and
with 130 if it was stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from moorline_sidecar.errors import ConfigurationError

from e2e.app.balancer import running_balancer
from e2e.app.browser import Browser
from e2e.app.databases import NotInstalled
from e2e.app.pods import running_pod
from e2e.app.stores import L2S, STORES
from e2e.app.story import Story, Verdict

NAMES: Final = ("node1", "node2")
ALIASES: Final = {"mariadb": "mysql", "valkey": "redis"}
"""Words for stores that stand for another one."""

KEPT: Final = 0
BROKEN: Final = 1
NOT_STARTED: Final = 3
STOPPED: Final = 130


async def show(kind: str, l2: str | None) -> Verdict:
    """Start everything on stores of these kinds, play the story, and stop everything again.

    Raises:
        ConfigurationError, NotInstalled, RuntimeError: something does not start.
    """
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="moorline-demo-")))
        store = await stack.enter_async_context(STORES[kind](folder))
        if l2 is not None:
            store = await stack.enter_async_context(L2S[l2](store))
        pods = {
            name: await stack.enter_async_context(running_pod(name, store, folder))
            for name in NAMES
        }
        backends = [pod.shop_url for pod in pods.values()]
        shop_url = await stack.enter_async_context(running_balancer(backends))
        print(f"{store.name}, two pods ({', '.join(pods)}) of sidecar and shop, and a balancer")
        print(f"without affinity at {shop_url}: started in {time.monotonic() - began:.1f} s\n")
        browser = await stack.enter_async_context(Browser(shop_url))
        verdict = await Story(browser, shop_url, pods).play()
    print(f"\n{verdict}")
    return verdict


async def main(kind: str, l2: str | None) -> int:
    """The exit code; SIGTERM stops it as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        verdict = await show(kind, l2)
    except (ConfigurationError, NotInstalled, RuntimeError, OSError) as error:
        print(f"the demo cannot start: {error}", file=sys.stderr)
        return NOT_STARTED
    return BROKEN if verdict.broken else KEPT


def arguments_of(words: Sequence[str]) -> argparse.Namespace:
    """What a command line says, with names of stores in upper or lower case.

    Raises:
        SystemExit: it is none; what may be said is on stderr.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--store", type=_store, choices=STORES, default="mongodb", help="where sessions are"
    )
    parser.add_argument(
        "--l2", type=str.lower, choices=L2S, help="what is between them and the sidecars"
    )
    return parser.parse_args(words)


def _store(word: str) -> str:
    return ALIASES.get(word.lower(), word.lower())


if __name__ == "__main__":
    try:
        arguments = arguments_of(sys.argv[1:])
        sys.exit(asyncio.run(main(arguments.store, arguments.l2)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(STOPPED)
