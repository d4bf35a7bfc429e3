"""The engines of one connection URI."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from moorline_sidecar.stores.sql_dialects import Dialect


class Engines:
    """Two pools of one URI: for calls that somebody waits for, and for those that may take long."""

    def __init__(self, dialect: Dialect, uri: str) -> None:
        """Raises ConfigurationError if the URI is of no use."""
        self._dialect = dialect
        self.calls: AsyncEngine = dialect.engine(uri)
        self.slow: AsyncEngine = dialect.engine(uri, is_slow=True)

    async def close(self) -> None:
        await self._dialect.close(self.calls)
        await self._dialect.close(self.slow)
