"""What TLS and aiohttp cost by themselves: an AdmissionReview that is the same for every pod.

`admission_handler.py PORT FILE CERTIFICATE KEY`: every `POST` of `/inject` is answered with the
file.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

from aiohttp import web


def application(body: bytes) -> web.Application:
    async def inject(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=body, content_type="application/json")

    routed = web.Application()
    routed.router.add_post("/inject", inject)
    return routed


async def serve(port: int, body: bytes, context: ssl.SSLContext) -> None:
    runner = web.AppRunner(application(body), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    await asyncio.Event().wait()


def main(port: str, file: str, certificate: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    asyncio.run(serve(int(port), Path(file).read_bytes(), context))


if __name__ == "__main__":
    main(*sys.argv[1:])
