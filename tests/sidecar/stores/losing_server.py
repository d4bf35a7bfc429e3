"""A gRPC server before another one, which loses the answers that a test tells it to lose.

Of a connection that is broken by its bytes nobody knows how far the server came: gRPC sends others
than answers, too, and does not begin with what nobody waits for.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc


class LosingServer(grpc.GenericRpcHandler):
    """Passes everything on, until it is told otherwise."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._losing: bytes | None = None
        self.address = ""

    def lose_answer_after(self, content: bytes) -> None:
        """Lose that to the next request that holds these bytes, once it was carried out."""
        self._losing = content

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ANN401
        return grpc.unary_unary_rpc_method_handler(self._passing_on(handler_call_details.method))

    def _passing_on(
        self, method: str
    ) -> Callable[[bytes, grpc.aio.ServicerContext[Any, Any]], Awaitable[bytes]]:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        call = self._channel.unary_unary(method)

        async def pass_on(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            is_lost = self._losing is not None and self._losing in request
            if is_lost:
                self._losing = None
            try:
                answer = await call(request)
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")
            if is_lost:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            return answer

        return pass_on


@asynccontextmanager
async def losing_server(address: str) -> AsyncIterator[LosingServer]:
    """One before the server at `address`."""
    async with grpc.aio.insecure_channel(address) as channel:
        losing = LosingServer(channel)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((losing,))
        losing.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            yield losing
        finally:
            await server.stop(None)
