"""The command line as its users have it: real processes, their output and their exit codes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

SECONDS: Final = 60.0
"""For a process to do what a test waits for; nothing is measured by it."""

NOBODY: Final = "mongodb://127.0.0.1:1/"
T = TypeVar("T")

FREE_PORTS: Final = ("--listen=127.0.0.1:0", "--health=127.0.0.1:0", "--ops=127.0.0.1:0")


class Done(msgspec.Struct):
    """A process that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """The JSON of the last line of stdout."""
        result: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return result


def environ(uri: str | None = None, **more: str) -> dict[str, str]:
    """Without what the machine may have set for another sidecar."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MOORLINE_")}
    kept |= {} if uri is None else {"MOORLINE_BACKEND_URI": uri}
    return kept | more


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "moorline_sidecar", *arguments]


def run(*arguments: str, env: Mapping[str, str] | None = None) -> Done:
    """Run to the end."""
    done = subprocess.run(
        command(*arguments),
        env=environ() if env is None else env,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def config_file(folder: Path, spec: Mapping[str, object], **more: object) -> str:
    file = folder / "cluster.json"
    file.write_text(json.dumps({"spec": spec, **more}))
    return str(file)


class Process:
    """One that is running; its log is read as it comes."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        self.popen = subprocess.Popen(
            command(*arguments),
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Signals of a terminal go to a whole group: it must not be ours.
            start_new_session=True,
        )
        self.log: list[dict[str, Any]] = []
        self.stderr: list[str] = []
        self.stdout: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_log, daemon=True),
            threading.Thread(target=self._read_output, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, message: str) -> dict[str, Any]:
        """The first line of the log with this message."""
        return until(lambda: [line for line in self.log if line.get("message") == message], self)[0]

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        code = self.popen.wait(SECONDS)
        for reader in self._readers:
            reader.join(SECONDS)
        return code

    def _read_log(self) -> None:
        for line in self.popen.stderr or ():
            self.stderr.append(line)
            if line.startswith("{"):
                self.log.append(json.loads(line))

    def _read_output(self) -> None:
        self.stdout.extend(self.popen.stdout or ())


@contextmanager
def started(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Process]:
    """A process that is killed if it is still there at the end."""
    process = Process(arguments, environ() if env is None else env)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.kill()
        process.wait()
        for stream in (process.popen.stdout, process.popen.stderr):
            if stream is not None:
                stream.close()


def until(condition: Callable[[], T], process: Process) -> T:
    """What `condition` returns once that is true."""
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert process.popen.poll() is None, f"it has ended: {process.stderr}"
        assert time.monotonic() < deadline, f"it takes too long: {process.stderr}"
        time.sleep(0.01)
    return found


def ask(address: str, path: str, method: str = "GET", body: object = None) -> tuple[int, Any]:
    """Status and JSON of an answer, also of one that is a refusal."""
    data = None if body is None else json.dumps(body).encode()
    headers = {} if body is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(
        f"http://{address}{path}", data=data, method=method, headers=headers
    )
    status, text = _answer(request)
    return status, json.loads(text) if text else None


def text_of(address: str, path: str) -> str:
    """The body of a 200; nothing for any other answer."""
    status, text = _answer(urllib.request.Request(f"http://{address}{path}"))
    return text.decode() if status == 200 else ""


def _answer(request: urllib.request.Request) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310 - ours
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
