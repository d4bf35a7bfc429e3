"""The command line and composition root: builds what a command asks for, and holds no logic.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 the store is out of reach.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec
import structlog

from moorline_sidecar.config import Configuration, ConfigurationSource, Options
from moorline_sidecar.errors import (
    CannotListen,
    ConfigurationError,
    OutcomeUnknown,
    StoreError,
    StoreUnavailable,
)
from moorline_sidecar.hot import IS_COMPILED
from moorline_sidecar.telemetry import configure_logs

if TYPE_CHECKING:
    from moorline_sidecar.serving import Listening

# What only one command needs is imported when it runs: the others start without.
# ruff: noqa: PLC0415

DONE: Final = 0
FAILED: Final = 1
WRONG_CONFIGURATION: Final = 2
STORE_UNREACHABLE: Final = 3

config_option = click.option(
    "--config",
    metavar="FILE",
    help="Cluster and spec, in JSON or YAML. [default: /etc/moorline/cluster.json if it exists]",
)
result_option = click.option(
    "--result-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that gets the last line of stdout as well.",
)
log = structlog.get_logger(__name__)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="moorline-sidecar")
def main() -> None:
    """Clustered HTTP sessions for the application beside it."""


@main.command()
@config_option
@click.option("--listen", metavar="ADDR", help="The data plane. [default: 127.0.0.1:7070]")
@click.option("--health", metavar="ADDR", help="Health and metrics. [default: :7071]")
@click.option("--ops", metavar="ADDR", help="Operations. [default: 127.0.0.1:7072]")
@click.option("--dev", is_flag=True, help="Use an embedded MongoDB-compatible store.")
def serve(
    config: str | None, listen: str | None, health: str | None, ops: str | None, *, dev: bool
) -> None:
    """Serve sessions until SIGTERM or SIGINT; a second one ends at once."""
    options = Options(config=config, listen=listen, health=health, ops=ops, is_dev=dev)

    async def run() -> int:
        from moorline_sidecar.serving import serve

        stop = asyncio.Event()
        _on_signals(stop.set)
        announce = partial(_announce, is_dev=dev)
        is_saved = await serve(_source(options), stop, announce, settle=_settle)
        return DONE if is_saved else FAILED

    sys.exit(_run(run()))


@main.command()
@config_option
@click.option("--full", is_flag=True, help="Delete all tombstones older than a minute.")
@click.option("--dry-run", is_flag=True, help="Only count what would be deleted.")
@click.option(
    "--limit", metavar="N", type=click.IntRange(0), help="The most of each kind; 0: no limit."
)
@click.option(
    "--time-limit", metavar="S", type=click.FloatRange(0, min_open=True), help="Seconds to end in."
)
@result_option
def purge(  # noqa: PLR0913 - one for each option
    config: str | None,
    limit: int | None,
    time_limit: float | None,
    result_file: Path | None,
    *,
    full: bool,
    dry_run: bool,
) -> None:
    """Delete tombstones and long forgotten sessions."""
    from moorline_sidecar.checking import misconfigured, purge_line, reason_of
    from moorline_sidecar.purge import PurgeResult, Purging, log_report, plan_of, terminal_report
    from moorline_sidecar.stores.opening import open_store

    async def run() -> int:
        configuration = _configuration(Options(config=config, serves=False))
        store = open_store(configuration.backend, configuration.uri, configuration.cluster)
        is_terminal = sys.stderr.isatty()
        purging = Purging(
            store,
            plan_of(configuration.purge, limit=limit, is_full=full, is_dry=dry_run),
            seconds=time_limit,
            report=terminal_report(sys.stderr) if is_terminal else log_report(),
            counts_first=is_terminal,
        )
        _on_signals(purging.stop.set)
        failure = None
        try:
            await purging.run()
        except StoreError as error:
            failure = await reason_of(store, error)
            raise
        finally:
            if is_terminal:
                click.echo(err=True)
            told = _conclude(purge_line(purging.result, failure), result_file)
            await store.close()
        return told

    def useless(error: ConfigurationError) -> None:
        result = PurgeResult(dry_run=dry_run)
        _conclude(purge_line(result, misconfigured(error)), result_file)

    sys.exit(_run(run(), useless))


@main.command()
@config_option
@result_option
def check(config: str | None, result_file: Path | None) -> None:
    """Reach the store, and make its indexes."""
    from moorline_sidecar.checking import check, misconfigured
    from moorline_sidecar.stores.opening import open_store

    async def run() -> int:
        configuration = _configuration(Options(config=config, serves=False))
        store = open_store(configuration.backend, configuration.uri, configuration.cluster)
        try:
            result = await check(store)
        finally:
            await store.close()
        told = _conclude(result.line(), result_file)
        if result.ok:
            return told
        return FAILED if result.is_reached else STORE_UNREACHABLE

    def useless(error: ConfigurationError) -> None:
        _conclude(misconfigured(error).line(), result_file)

    sys.exit(_run(run(), useless))


def _source(options: Options) -> ConfigurationSource:
    return ConfigurationSource(options=options, environ=os.environ, hostname=socket.gethostname())


def _configuration(options: Options) -> Configuration:
    configuration = _source(options).read()
    configure_logs(configuration.log_level)
    return configuration


def _run(
    command: Coroutine[Any, Any, int],
    useless: Callable[[ConfigurationError], None] = lambda _: None,
) -> int:
    """The exit code: the outermost place where errors end.

    `useless` is told of a configuration that cannot be used, before the person is.
    """
    import uvloop

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(command)
    except ConfigurationError as error:
        useless(error)
        for mistake in error.mistakes:
            click.echo(f"Error: {mistake}", err=True)
        return WRONG_CONFIGURATION
    except CannotListen as error:
        click.echo(f"Error: {error}", err=True)
        return FAILED
    except (StoreUnavailable, OutcomeUnknown) as error:
        log.error("the store is out of reach", why=str(error))  # noqa: TRY400 - it says enough
        return STORE_UNREACHABLE
    except OSError as error:
        log.error("it cannot be done", why=str(error))  # noqa: TRY400 - it says enough
        return FAILED


def _on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` at the first SIGTERM or SIGINT; a second one ends the process as it is."""
    loop = asyncio.get_running_loop()
    has_been_told = False

    def told(number: signal.Signals) -> None:
        nonlocal has_been_told
        if has_been_told:
            log.error("ended at once, by a second signal", signal=number.name)
            os._exit(FAILED)
        has_been_told = True
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told, number)


def _settle() -> None:
    """Have the collector leave alone what is there once all parts have started.

    A full collection stops everything, and what was imported is most of what it looks at.
    """
    gc.collect()
    gc.freeze()


def _announce(where: Listening, *, is_dev: bool) -> None:
    addresses = {"data": where.data, "health": where.health, "ops": where.ops}
    told = {name: str(address) for name, address in addresses.items()}
    log.info("ready", **told, compiled=IS_COMPILED)
    if is_dev or sys.stdout.isatty():
        host = where.data.host or "127.0.0.1"
        url = f"http://{msgspec.structs.replace(where.data, host=host)}"
        click.echo(
            f"Moorline serves sessions at {url} (health {where.health}, operations {where.ops}).\n"
            f"Try:  curl -i -X POST {url}/v1/sessions\n"
            "Stop: Ctrl-C"
        )


def _conclude(line: str, result_file: Path | None) -> int:
    """Print the result, and write it to the file; the exit code of work that is done otherwise."""
    click.echo(line)
    if result_file is None:
        return DONE
    try:
        _write(f"{line}\n", result_file)
    except OSError as error:
        click.echo(f"Error: --result-file: {result_file}: {error.strerror}", err=True)
        return FAILED
    return DONE


def _write(text: str, file: Path) -> None:
    """The file has the text whole or not at all, where it can be replaced.

    Kubernetes' termination log cannot: it is mounted over a file, in a folder of somebody else. And
    what is no plain file, such as `/dev/stdout`, must not become one.
    """
    if file.is_symlink() or (file.exists() and not file.is_file()):
        file.write_text(text, encoding="utf-8")
        return
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
