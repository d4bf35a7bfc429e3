"""The API server of a kubeconfig, by the official client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

CONNECTIONS: Final = 1000
"""At a time; the recorder has one to every container of the cluster."""


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[ApiClient]:
    """A client with the rights of the kubeconfig; it tries nothing twice."""
    configuration = Configuration()
    configuration.connection_pool_maxsize = CONNECTIONS
    configuration.retries = None
    # As the operator's: Python 3.13 wants extensions that certificates of many clusters lack.
    configuration.disable_strict_ssl_verification = True
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        str(kubeconfig), client_configuration=configuration
    )
    async with ApiClient(configuration) as client:
        yield client
