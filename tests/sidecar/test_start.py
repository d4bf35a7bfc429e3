"""What a start imports: all of it delays a pod, and stays in memory."""

import subprocess
import sys

import pytest

DRIVERS = {"aiohttp", "aiomysql", "aiosqlite", "asyncpg", "pymysql", "sqlite3"}
LATER = {"opentelemetry", "prometheus_client"}
"""Imported in the background, once requests are served."""

OPENED = """
import sys
import moorline_sidecar.__main__, moorline_sidecar.serving
from moorline_api import BackendSpec, BackendType
from moorline_sidecar.config import SecretText
from moorline_sidecar.stores.opening import open_store
kind = BackendType(sys.argv[1])
open_store(BackendSpec(type=kind), SecretText("mongodb://127.0.0.1:9/"), "shop")
print(*{name.partition(".")[0] for name in sys.modules})
"""


@pytest.mark.parametrize(
    ("backend", "unwanted"),
    [
        pytest.param("Memory", {"bson", "pymongo", "sqlalchemy"}, id="memory"),
        pytest.param("MongoDB", {"sqlalchemy"}, id="MongoDB"),
    ],
)
def test_a_start_imports_no_more_than_it_needs(backend: str, unwanted: set[str]) -> None:
    command = [sys.executable, "-W", "error", "-c", OPENED, backend]
    done = subprocess.run(command, check=True, capture_output=True, text=True)

    imported = set(done.stdout.split())
    assert "httptools" in imported
    assert not imported & (unwanted | DRIVERS | LATER)
