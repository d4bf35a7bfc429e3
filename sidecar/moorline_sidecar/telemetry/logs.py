"""Structured logs on stderr: a line of JSON per event, or colours where a person looks on.

Who logs passes facts as an event and values as keys, never a session id, key, cookie or URI:
`short_hash` stands for what has to be told apart.
"""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Final, TextIO, TypeAlias

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LogSettings: TypeAlias = Callable[[str, Mapping[str, str]], None]
"""What takes the level of the log, and what each of its lines holds; `configure_logs` is one."""

_FIRST: Final = ("time", "level", "message")

HASH_CHARACTERS: Final = 8
"""32 bits: enough to follow one session through a log, of no use to find it in a store."""

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def short_hash(text: str) -> str:
    """What a log shows in place of an id or a key."""
    return hashlib.sha256(b"log\0" + text.encode()).hexdigest()[:HASH_CHARACTERS]


def configure_logs(
    level: str, always: Mapping[str, str] | None = None, stream: TextIO | None = None
) -> None:
    """Send the logs of this process to `stream` (stderr), from `level` on, each with `always`.

    Of libraries only warnings and worse are told: below, drivers log the commands they send.
    """
    stream = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _Always(always or {}),
            *(_for_a_person() if stream.isatty() else _for_a_machine()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    logging.captureWarnings(capture=True)
    logging.basicConfig(level=logging.WARNING, handlers=[_Forward()], force=True)


class _Always:
    def __init__(self, pairs: Mapping[str, str]) -> None:
        self._pairs = pairs

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.update(self._pairs)
        return event


# Local variables in a traceback would hold ids and secrets: both renderers leave them out.
def _for_a_person() -> list[Processor]:
    return [
        structlog.dev.ConsoleRenderer(
            exception_formatter=structlog.dev.plain_traceback, timestamp_key="time"
        )
    ]


def _for_a_machine() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(serializer=_json),
    ]


def _json(event: EventDict, **_options: object) -> str:
    first = {name: event.pop(name) for name in _FIRST if name in event}
    return msgspec.json.encode({**first, **event}, enc_hook=str).decode()


class _Forward(logging.Handler):
    """Hands what libraries log to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            logger = structlog.get_logger()
            logger.log(
                min(record.levelno, logging.ERROR),
                record.getMessage(),
                logger=record.name,
                exc_info=record.exc_info,
            )
        except Exception:  # noqa: BLE001 - as in every handler: logging never breaks its caller
            self.handleError(record)
