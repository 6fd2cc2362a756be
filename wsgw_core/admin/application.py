"""The web application of the admin API: routes, checks, and an answer to every request."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager

from aiohttp import web

from ..api import Counter
from ..api.rare_warning import RareWarning
from ..config.admin_token import Role
from ..config.server_options import AdminOptions
from ..one_line import shortened
from ..tracebacks import drop_tracebacks
from .answers import failed
from .call_turns import CallTurns
from .calls import BY_PATH, CALLS
from .guard import Denied, Guard

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]

_REASONS = {404: "NotFound", 413: "BodyTooLarge"}

_AUDITED_ROLES: tuple[Role | None, ...] = ("operate", "send")

_audit = logging.getLogger("wsgw.audit")


def make_application(
    options: AdminOptions,
    responders: Mapping[str, Respond],
    logger: logging.Logger,
    answering: Callable[[web.Request], AbstractContextManager[None]],
    denied: Counter,
) -> web.Application:
    """Makes the application.

    Args:
        options: the options of the admin API.
        responders: the functions that answer, by `Call.name`.
        logger: logs internal errors.
        answering: a context that is active while a request is checked and answered.
        denied: counts denied calls.
    """
    pipeline = _CallPipeline(options, logger, denied)

    @web.middleware
    async def respond(request: web.Request, handler: Respond) -> web.StreamResponse:
        with answering(request):
            return await pipeline.respond(request, handler)

    application = web.Application(middlewares=[respond], client_max_size=options.max_body_bytes)
    application.on_response_prepare.append(_hide_version)
    for call in CALLS:
        application.router.add_route(call.method, call.path, responders[call.name])
        if call.method == "GET":
            application.router.add_route("HEAD", call.path, responders[call.name])
    return application


class _CallPipeline:
    """Checks and answers each call, and writes the audit log."""

    def __init__(self, options: AdminOptions, logger: logging.Logger, denied: Counter) -> None:
        self._guard = Guard(options)
        self._timeout = options.answer_timeout
        self._max_body = options.max_body_bytes
        self._logger = logger
        self._denied = denied
        self._turns = CallTurns()
        self._warnings: defaultdict[tuple[Role | None, int], RareWarning] = defaultdict(
            lambda: RareWarning(_audit)
        )

    async def respond(self, request: web.Request, respond: Respond) -> web.StreamResponse:
        """Checks and answers a call; logs actions."""
        await self._turns.wait()
        role = _role(request)
        try:
            who = self._guard.admit(request, role)
        except Denied as denied:
            self._denied.value += 1
            warn = self._warnings[role, denied.response.status]
            warn("%s denied: %s", _described(request), denied)
            return denied.response
        response = await self._answered(request, respond)
        if role in _AUDITED_ROLES:  # of calls in the table, all of which are POST
            body = response.body if isinstance(response, web.Response) else None
            result = body.decode() if isinstance(body, bytes) else ""
            _audit.info("%s by %s: %d %s", _described(request), who, response.status, result)
        return response

    async def _answered(self, request: web.Request, respond: Respond) -> web.StreamResponse:
        if (request.content_length or 0) > self._max_body:
            respond = _too_large
        try:
            async with asyncio.timeout(self._timeout):
                return await respond(request)
        except TimeoutError:
            failure = failed("TookTooLong", 503)
        except web.HTTPMethodNotAllowed as error:
            drop_tracebacks(error)
            return _not_allowed(error.allowed_methods)
        except web.HTTPException as error:
            drop_tracebacks(error)  # aiohttp keeps it in the request
            failure = failed(_REASONS.get(error.status, "BadRequest"), error.status)
        except web.RequestPayloadError:  # such as a body that ends too early
            failure = failed("BadRequest", 400)
        except Exception as error:
            if not isinstance(error, ConnectionError) or request.transport is not None:
                self._logger.exception("%s: internal error in the admin API", _described(request))
                return failed("InternalError", 500)
            failure = failed("BadRequest", 400)  # the caller has gone
        failure.force_close()
        return failure


async def _too_large(_request: web.Request) -> web.StreamResponse:
    raise web.HTTPRequestEntityTooLarge(0, 0)


def _not_allowed(allowed: Collection[str]) -> web.Response:
    if "POST" in allowed:
        return failed("OnlyPostAllowed", 400)
    return failed("OnlyGetAllowed", 405, {"Allow": "GET, HEAD"})


def _role(request: web.Request) -> Role | None:
    resource = request.match_info.route.resource
    call = BY_PATH.get(resource.canonical) if resource is not None else None
    return call.role if call is not None else "read"


def _described(request: web.Request) -> str:
    return f"{shortened(request.method)} {shortened(request.path)} from {request.remote}"


async def _hide_version(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "wsgw"
