"""An aiohttp application that hands over single paths to a gateway.

usage: in_an_application.py BACKEND_URL PORT
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from wsgw_core import Gateway

GATEWAY = web.AppKey("gateway", Gateway)
REGISTRY = web.AppKey("registry", CollectorRegistry)


async def run_gateway(app: web.Application) -> AsyncIterator[None]:
    """Runs the gateway while the application runs."""
    async with app[GATEWAY] as gateway:
        app[REGISTRY].register(gateway.collector())
        yield


async def metrics(request: web.Request) -> web.Response:
    """Returns the metrics of the application and the gateway."""
    return web.Response(body=generate_latest(request.app[REGISTRY]), content_type="text/plain")


async def index(_request: web.Request) -> web.Response:
    """Answers a plain request."""
    return web.Response(text="charge points connect to /ocpp/ID\n")


def make_application(backend: str) -> web.Application:
    """Returns the application, whose websockets go to a backend."""
    configuration = {
        "upstream": {"backends": [{"url": backend}]},
        "limits": {"max-sessions": 1000},
        "server": {"drain-time": "0s"},
    }
    app = web.Application()
    app[GATEWAY] = Gateway.from_mapping(configuration, listen=False)
    app[REGISTRY] = CollectorRegistry()
    app.cleanup_ctx.append(run_gateway)
    app.router.add_get("/", index)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/ocpp/{id}", app[GATEWAY].handler)
    return app


if __name__ == "__main__":
    web.run_app(make_application(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]))
