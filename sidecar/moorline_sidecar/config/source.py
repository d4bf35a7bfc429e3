"""Where the configuration comes from, for the start and for every look after it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from moorline_sidecar.config.addresses import Address, parse_address
from moorline_sidecar.config.reading import (
    DEFAULT_FILE,
    HEALTH,
    Options,
    missing_file,
    read_configuration,
)
from moorline_sidecar.config.settings import Configuration
from moorline_sidecar.errors import ConfigurationError


class ConfigurationSource(Struct, frozen=True, kw_only=True):
    """A command line, the environment and the file that they name."""

    options: Options
    environ: Mapping[str, str]
    hostname: str

    @property
    def file(self) -> Path:
        return Path(self.options.config or DEFAULT_FILE)

    @property
    def worker(self) -> str:
        """The name that the environment gives, which nobody has looked at yet."""
        return self.environ.get("MOORLINE_WORKER", "")

    @property
    def is_awaited(self) -> bool:
        """Whether the file is missing, and there is hope that it will come by itself.

        The folder of a mounted ConfigMap is there, and empty, until the ConfigMap is. Who mounts
        one gives the worker its name, too; anybody else has mistyped something.
        """
        is_hoped_for = bool(self.worker) and not self.options.is_dev
        return is_hoped_for and self.file.parent.is_dir() and not self.file.exists()

    @property
    def pod(self) -> str:
        """The name of the pod, or of the host where there is none."""
        return self.environ.get("MOORLINE_POD") or self.hostname

    @property
    def missing(self) -> str:
        """What is missing while the file `is_awaited`, and who makes it."""
        return missing_file(self.file, self.environ)

    @property
    def health(self) -> Address:
        """Where probes are answered before there is a file that could say otherwise.

        Raises:
            ConfigurationError: the command line names no address.
        """
        try:
            return HEALTH if self.options.health is None else parse_address(self.options.health)
        except ValueError as error:
            raise ConfigurationError([f"--health: {error}"]) from error

    def read(self) -> Configuration:
        """What a process is to start with.

        Raises:
            ConfigurationError: with every mistake that can be found in one go.
        """
        return read_configuration(self.options, self.environ, self.hostname)

    def read_again(self, running: Configuration) -> Configuration:
        """What a process that started with the same command line and environment is to follow.

        Raises:
            ConfigurationError: as `read`.
        """
        # A name that was made up at the start is kept.
        environ = {**self.environ, "MOORLINE_WORKER": running.worker}
        return read_configuration(self.options, environ, self.hostname, is_running=True)

    def content(self) -> bytes | None:
        """The file as it is now; None if it cannot be read."""
        try:
            return self.file.read_bytes()
        except OSError:
            return None
