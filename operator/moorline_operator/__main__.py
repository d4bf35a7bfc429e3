"""The command line and composition root: builds what a command asks for, and holds no logic.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import structlog

from moorline_operator.errors import ConfigurationError
from moorline_operator.kube.api import connected
from moorline_operator.probing import webhook_fault
from moorline_operator.running import Replica, watches_of
from moorline_operator.settings import DEFAULT_FILE, Identity, Settings, read_settings
from moorline_operator.telemetry import configure_logs

FAILED: Final = 1
WRONG_SETTINGS: Final = 2

log = structlog.get_logger()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="moorline-operator")
def main() -> None:
    """Makes a Kubernetes cluster what its SessionClusters say."""


@main.command()
@click.option(
    "--settings",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_FILE,
    show_default=True,
    help="The settings, in YAML.",
)
def run(file: Path) -> None:
    """Run one replica until SIGTERM or SIGINT.

    POD_NAME and POD_NAMESPACE say who it is.
    """
    with _explained():
        settings, identity = read_settings(file), _identity()
        configure_logs(settings.log_level)
        asyncio.run(_run(settings, identity))


@main.command()
@click.option("--namespace", required=True, help="Where the pod would be made.")
def probe(namespace: str) -> None:
    """Prove that the webhook is asked: a pod of an unknown SessionCluster must be refused.

    It is a dry run: nothing is made. `helm test` runs it.
    """
    configure_logs("warning")
    with _explained():
        fault = asyncio.run(_probe(namespace))
    if fault is not None:
        click.echo(f"moorline-operator: {fault}", err=True)
        sys.exit(FAILED)
    click.echo("the webhook refuses pods of an unknown SessionCluster: it is at work")


async def _probe(namespace: str) -> str | None:
    async with connected() as kube:
        return await webhook_fault(kube, namespace)


async def _run(settings: Settings, identity: Identity) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with connected(watches_of(settings)) as kube:
        log.info("starting", namespace=identity.namespace, pod=identity.pod)
        await Replica(kube, settings, identity).run(stop)


@contextmanager
def _explained() -> Iterator[None]:
    """Say what ended the command: each mistake in the configuration, or what nobody handled."""
    try:
        yield
    except ConfigurationError as error:
        for mistake in error.mistakes:
            click.echo(f"moorline-operator: {mistake}", err=True)
        sys.exit(WRONG_SETTINGS)
    except Exception as error:
        log.exception("ended", reason=_reason(error))
        sys.exit(FAILED)


def _identity() -> Identity:
    """Raises: ConfigurationError: the environment does not say."""
    names = ("POD_NAMESPACE", "POD_NAME")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise ConfigurationError([f"{name}: set it, as the chart does" for name in missing])
    return Identity(namespace=os.environ["POD_NAMESPACE"], pod=os.environ["POD_NAME"])


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


if __name__ == "__main__":
    main()
