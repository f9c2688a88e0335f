"""What stands in front of the service: delays, the key check, and replies that get lost."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localcloud.caas.domain import keys
from localcloud.caas.domain.cloud import Cloud
from localcloud.caas.http import admin, routes

_NEEDS_KEY = re.compile(r"/enterprise/|/v1/io-cloud/")
WORDS_OF_A_BAD_KEY = "Invalid API key provided!"
_PAGE = "<!doctype html><title>{0}</title><h1>{0}</h1><p>A page of the network in front.</p>"

# Closes the connection of a client without a byte; False when it cannot.
Cut = Callable[[Scope], bool]


class Gate:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, cloud: Cloud, cut: Cut) -> None:
        self._app = app
        self._cloud = cloud
        self._cut = cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        key = Headers(scope=scope).get("x-api-key", "")
        if path.startswith(admin.PREFIX):
            answer = None if path == admin.HEALTH else await self._check(key, simulate=False)
        else:
            await asyncio.sleep(self._cloud.switches.current.delay_s)
            guarded = _NEEDS_KEY.match(path) and path != routes.PUBLIC_HARDWARE
            answer = await self._check(key, simulate=True) if guarded else None
        if answer is not None:
            await answer(scope, receive, send)
        elif self._may_be_lost(scope):
            await self._losing(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _check(self, key: str, *, simulate: bool) -> Response | None:
        now = self._cloud.switches.current
        expired = simulate and now.every_key_is_bad
        if not expired and key and await run_in_threadpool(keys.is_good, self._cloud, key):
            return None
        shape = now.bad_key if simulate else "401"
        if shape == "400_key_set":
            return JSONResponse({"key_set": True}, status_code=400)
        if shape == "400_words":
            return JSONResponse({"detail": WORDS_OF_A_BAD_KEY}, status_code=400)
        if shape == "400_message":
            return JSONResponse({"error": {"message": WORDS_OF_A_BAD_KEY}}, status_code=400)
        if shape == "403":
            return JSONResponse({"detail": "Forbidden"}, status_code=403)
        if shape == "html":
            return HTMLResponse(_PAGE.format("Access denied"), status_code=403)
        return JSONResponse({"detail": "Invalid API key"}, status_code=401)

    def _may_be_lost(self, scope: Scope) -> bool:
        if self._cloud.switches.current.lose_reply_to == "update":
            return scope["method"] == "PATCH"
        return scope["path"] == routes.DEPLOY and scope["method"] == "POST"

    async def _losing(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._cloud.switches.current.lost_create == "not_created":
            lost = self._cloud.switches.take_lost_reply()
            if lost != "no":
                await self._lose(lost, scope, receive, send)
                return
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, collect)
        created = any(message.get("status") == 200 for message in messages)
        lost = self._cloud.switches.take_lost_reply() if created else "no"
        if lost != "no":
            await self._lose(lost, scope, receive, send)
            return
        for message in messages:
            await send(message)

    async def _lose(self, how: str, scope: Scope, receive: Receive, send: Send) -> None:
        if how == "cut" and self._cut(scope):
            return
        await HTMLResponse(_PAGE.format("504 Gateway Time-out"), status_code=504)(
            scope, receive, send
        )
