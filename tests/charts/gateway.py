"""Many small requests to the API server, through one `kubectl proxy`.

A kubectl a request would take most of a second of a slow machine.
"""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_SERVING: Final = re.compile(r"Starting to serve on ([\d.]+):(\d+)")
TIMEOUT_SECONDS: Final = 30.0


class Gateway:
    """The API server as the user of a kubeconfig, or as whomever that user may impersonate."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)

    def request(
        self, method: str, path: str, body: str, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        """The status and the object of the answer."""
        self._connection.request(method, path, body.encode(), dict(headers))
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self) -> None:
        self._connection.close()


@contextmanager
def gateway_to(kubeconfig: Path) -> Iterator[Gateway]:
    """Serves on a free port of the loopback address while the context lasts."""
    folders = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    kubectl = shutil.which("kubectl", path=folders) or "kubectl"
    process = subprocess.Popen(
        (kubectl, f"--kubeconfig={kubeconfig}", "proxy", "--port=0"),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = _SERVING.search(line)
            assert found is not None, line
            gateway = Gateway(found[1], int(found[2]))
            try:
                yield gateway
            finally:
                gateway.close()
        finally:
            process.terminate()
