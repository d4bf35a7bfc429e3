"""One running part of a cluster: a process that does not outlive the one that started it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
STOP_SECONDS: Final = 10.0
TAIL_LINES: Final = 30


class EndedByItself(Exception):
    """A part is gone that nobody has stopped; the text ends with the last lines of its log."""


class Part:
    """A process whose arguments stay the same however often it is stopped and started.

    All that it prints is appended to `log`.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name: Final = name
        self.log: Final = log
        self._command = tuple(command)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_started(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """None while it is stopped."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process if it is not; what it does from then on is not waited for.

        Raises:
            EndedByItself: it was started before, and has ended since.
        """
        self.check()
        if self._process is not None:
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a program of this repository
                self._command,
                # The program ends when this pipe does, and the kernel closes it with us.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.log.parent,
                env={**os.environ, "CLUSTER_ENDS_WITH_STDIN": "1"},
                # Ctrl-C is for us: what is torn down in good order still needs it.
                start_new_session=True,
            )

    def check(self) -> None:
        """See that it has not ended.

        Raises:
            EndedByItself: it has.
        """
        if self._process is not None and self._process.poll() is not None:
            status = self._process.returncode
            raise EndedByItself(f"{self.name} ended with status {status}:\n{self.tail()}")

    def stop(self, *, by_force: bool = False) -> None:
        """End it in good order, or by force after 10 s or at once."""
        process, self._process = self._process, None
        if process is None:
            return
        with process:
            if by_force:
                process.kill()
                return
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

    def tail(self) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return "(no log)"
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-TAIL_LINES:])


def component(program: Path, name: str, flags: Mapping[str, object], folder: Path) -> Part:
    """A part of Kubernetes: `program` is what `build.CLUSTER` makes, the log goes to `folder`."""
    arguments = [f"--{flag}={value}" for flag, value in flags.items()]
    return Part(name, (str(program), name, *arguments), folder / f"{name}.log")
