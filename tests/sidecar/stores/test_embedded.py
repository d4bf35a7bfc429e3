import importlib.util
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.embedded import EmbeddedServer, embedded_server

from e2e.ports import free_port
from tests.contract.backends import mongo_store
from tests.contract.sessions import inserted, stored
from tests.stores_fixtures import wait_until_answering

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("secantus") is None, reason="secantusdb is not installed"
)


async def test_it_serves_and_keeps_its_data_in_a_folder(tmp_path: Path) -> None:
    async with embedded_server(tmp_path / "data", free_port()) as server:
        store = mongo_store(server.uri, "sessions")
        session = await inserted(store)
        await store.close()

    async with embedded_server(tmp_path / "data", free_port()) as server:
        store = mongo_store(server.uri, "sessions")
        assert await stored(store) == session
        await store.close()


async def test_one_that_ends_at_its_start_says_so(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, ["--no-such-option"])
    server.start()

    with pytest.raises(ConfigurationError, match="ended"):
        wait_until_answering(server)
    server.stop()


def test_it_listens_where_it_is_told_to(tmp_path: Path) -> None:
    assert EmbeddedServer(tmp_path, port=12_345).uri == "mongodb://127.0.0.1:12345/"


PARENT = """
import os, signal, sys
from pathlib import Path
from moorline_sidecar.stores.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
while not server.is_answering():
    pass
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_does_not_outlive_a_process_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.run(
        [sys.executable, "-c", PARENT, str(tmp_path)], check=False, stdout=subprocess.PIPE
    )

    assert parent.returncode == -signal.SIGKILL
    pid = int(parent.stdout)
    deadline = time.monotonic() + 60
    while _exists(pid):
        assert time.monotonic() < deadline, "it is still there"


def _exists(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().split()[2]
    # It may go while it is looked at.
    except (FileNotFoundError, ProcessLookupError):
        return False
    # Nobody may be there to wait for it.
    return state != "Z"
