"""The finished model over HTTP: an OpenAI-compatible API, and a page to talk with it.

All of it wants the bearer token, or the cookie that the page's own form sets for it: the address
of the machine is public. nanochat's own page is shown where the pinned commit has one.
"""

from __future__ import annotations

import json
import secrets
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from container.web.model_server import ChatError, ChatServer, Chunks

NOT_SERVED_YET = "the model is served some seconds after the verdict; ask again then"
COOKIE = "trainstack_access"
MOST_FORM_BYTES = 4096
_FOLDER = Path(__file__).resolve().parent
_NO_BUFFER = {"X-Accel-Buffering": "no"}  # the vendor's proxy may gather what it passes on
_NO_CACHE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


class ChatPage:
    """Routes of the chat; they answer 503 until `server` is set."""

    def __init__(self, *, access_token: str) -> None:
        self.server: ChatServer | None = None
        self._token = access_token
        self._own_page = (_FOLDER / "chat.html").read_text()
        self._door = (_FOLDER / "chat_door.html").read_text()
        self.routes = [
            Route("/chat", self._page),
            Route("/chat", self._enter, methods=["POST"]),
            Route("/chat/completions", self._as_nanochat, methods=["POST"]),
            Route("/logo.svg", self._logo),
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
        ]

    async def _page(self, request: Request) -> Response:
        if not self._knows(request):
            return HTMLResponse(self._door.replace("$message", ""), headers=_NO_CACHE)
        if self.server is None:
            return _error(503, NOT_SERVED_YET)
        theirs = await run_in_threadpool(self.server.page, "/")
        return HTMLResponse(theirs or self._own_page, headers=_NO_CACHE)

    async def _enter(self, request: Request) -> Response:
        """Take the token from the form; the page comes back with the cookie."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_FORM_BYTES:
                break
        given = parse_qs(body.decode(errors="replace")).get("token", [""])[0]
        if not self._is_token(given):
            page = self._door.replace("$message", "That is not the token of this run.")
            return HTMLResponse(page, status_code=401, headers=_NO_CACHE)
        answer = RedirectResponse("chat", status_code=303, headers=_NO_CACHE)
        answer.set_cookie(
            COOKIE,
            given.strip(),
            httponly=True,
            samesite="strict",
            secure=request.headers.get("x-forwarded-proto") == "https",
        )
        return answer

    async def _logo(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal or self.server is None:
            return refusal or _error(503, NOT_SERVED_YET)
        logo = await run_in_threadpool(self.server.page, "/logo.svg")
        return Response(logo, media_type="image/svg+xml") if logo else Response(status_code=404)

    async def _models(self, request: Request) -> Response:
        refusal = self._refusal(request)
        if refusal or self.server is None:
            return refusal or _error(503, NOT_SERVED_YET)
        model = {"id": self.server.model, "object": "model", "created": 0, "owned_by": "trainstack"}
        return JSONResponse({"object": "list", "data": [model]})

    async def _complete(self, request: Request) -> Response:
        return await self._answer(request, as_nanochat=False)

    async def _as_nanochat(self, request: Request) -> Response:
        """What nanochat's own page asks for."""
        return await self._answer(request, as_nanochat=True)

    async def _answer(self, request: Request, *, as_nanochat: bool) -> Response:
        refusal = self._refusal(request)
        if refusal or self.server is None:
            return refusal or _error(503, NOT_SERVED_YET)
        try:
            parsed: object = json.loads(await request.body())
        except ValueError:
            return _error(400, "the body is not JSON")
        body = cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
        if not isinstance(body.get("messages"), list):
            return _error(400, "the body needs `messages`, a list of {role, content}")
        ask = self.server.pass_on if as_nanochat else self.server.complete
        try:
            status, chunks = await run_in_threadpool(ask, body)
        except ChatError as error:
            return _error(502, str(error))
        streams = status == 200 and (as_nanochat or bool(body.get("stream")))
        return _Answer(
            chunks,
            status_code=status,
            media_type="text/event-stream" if streams else "application/json",
            headers=_NO_CACHE | (_NO_BUFFER if streams else {}),
        )

    def _refusal(self, request: Request) -> Response | None:
        if self._knows(request):
            return None
        response = _error(401, "the bearer token is missing or wrong: stack output access_token")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def _knows(self, request: Request) -> bool:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        cookies = SimpleCookie(request.headers.get("cookie", ""))
        return self._is_token(bearer) or (
            COOKIE in cookies and self._is_token(cookies[COOKIE].value)
        )

    def _is_token(self, given: str) -> bool:
        return bool(self._token) and secrets.compare_digest(
            given.strip().encode(), self._token.encode()
        )


class _Answer(StreamingResponse):
    """Lets the model off the rest when who asked has left; the next one waits for it."""

    def __init__(self, chunks: Chunks, **options: Any) -> None:
        super().__init__(chunks, **options)
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._chunks.close()


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": "trainstack"}}, status_code=status)
