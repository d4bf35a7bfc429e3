"""What the operator writes, as the API server's audit log has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from bench.release import NAMESPACE, Release

READS: Final = frozenset({"get", "list", "watch"})


class Writes:
    """The writes from now on, but for those of the leader's Lease."""

    def __init__(self, log: Path, release: Release) -> None:
        self._log = log
        self._user = release.user
        self._lease = (NAMESPACE, "leases", release.settings["election"]["lease"])
        self._read_to = log.stat().st_size

    def read(self) -> list[str]:
        """Since the last time, each as "verb resource"."""
        with self._log.open("rb") as log:
            log.seek(self._read_to)
            lines = log.read()
        end = lines.rfind(b"\n") + 1
        self._read_to += end
        events = (json.loads(line) for line in lines[:end].splitlines())
        return [found for found in map(self._written, events) if found]

    def _written(self, event: dict[str, Any]) -> str:
        about = event.get("objectRef", {})
        place = (about.get("namespace"), about.get("resource"), about.get("name"))
        is_read = event["verb"] in READS
        if event["user"]["username"] != self._user or is_read or place == self._lease:
            return ""
        return f"{event['verb']} {about.get('resource')}"
