"""The HTTP face of the stand-in for Cloudflare: routes, credentials, envelopes. No behaviour."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from localcloud.cloudflare_api import buckets as r2
from localcloud.cloudflare_api import errors
from localcloud.cloudflare_api import tokens as account_tokens
from localcloud.cloudflare_api.buckets import Buckets
from localcloud.cloudflare_api.errors import CloudflareError
from localcloud.cloudflare_api.identities import IdentityKeeper
from localcloud.cloudflare_api.permissions import (
    GROUPS,
    R2_READ,
    R2_WRITE,
    TOKENS_READ,
    TOKENS_WRITE,
    allowed_groups,
)
from localcloud.cloudflare_api.store import Store, Token
from localcloud.cloudflare_api.tokens import Tokens

BASE = "/client/v4"
_BEARER = re.compile(r"^Bearer ([0-9A-Za-z_-]{40,80})\Z")
Sent = Annotated[Any, Body()]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """The one account of this stand-in, and the operator's token, which may do everything."""

    id: str
    operator_token_id: str
    operator_token_sha256: str = field(repr=False)


def create_app(
    account: Account,
    *,
    store: Store,
    buckets: Buckets,
    keeper: IdentityKeeper,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> FastAPI:
    """Return the API; its lifespan runs the keeper of the S3 identities."""
    tokens = Tokens(store, keeper, account_id=account.id, clock=clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        keeper.start()
        yield
        keeper.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    _add_errors(app)

    def caller(request: Request) -> Token:
        """Return the token that the request carries, usable or not."""
        header = request.headers.get("authorization")
        if header is None:
            raise errors.no_credentials()
        bearer = _BEARER.match(header)
        if bearer is None:
            raise errors.malformed_credentials()
        value_sha256 = sha256(bearer[1].encode()).hexdigest()
        if value_sha256 == account.operator_token_sha256:
            return _operator(account)
        token = store.token_of_value(value_sha256)
        if token is None:
            raise errors.unknown_token()
        return token

    def allow(request: Request, account_id: str, group_ids: set[str]) -> Token:
        """Return the caller, if its token works and holds one of the groups."""
        token = caller(request)
        if not token.usable_at(clock()):
            raise errors.unknown_token()
        if account_id != account.id:
            raise errors.no_route(request.url.path.removeprefix(BASE))
        if token.id != account.operator_token_id and not group_ids & allowed_groups(token.policies):
            of_r2 = R2_WRITE.id in group_ids
            raise errors.r2_forbidden() if of_r2 else errors.tokens_forbidden()
        return token

    _add_buckets(app, account, buckets, keeper, allow)
    _add_verify(app, account, caller, clock)  # before the tokens: `verify` is no token's id
    _add_tokens(app, tokens, allow, clock)
    return app


def _add_buckets(
    app: FastAPI,
    account: Account,
    buckets: Buckets,
    keeper: IdentityKeeper,
    allow: Callable[[Request, str, set[str]], Token],
) -> None:
    path = BASE + "/accounts/{account_id}/r2/buckets"
    reads, writes = {R2_READ.id, R2_WRITE.id}, {R2_WRITE.id}

    def jurisdiction(request: Request) -> str:
        return r2.checked_jurisdiction(request.headers.get("cf-r2-jurisdiction"))

    @app.get(path)
    def list_buckets(request: Request, account_id: str) -> JSONResponse:
        allow(request, account_id, reads)
        part = request.query_params.get("name_contains", "")
        after = request.query_params.get("start_after", "")
        every = buckets.all(jurisdiction=jurisdiction(request))
        shown = [r2.described(b) for b in every if part in b.name and b.name > after]
        if request.query_params.get("direction") == "desc":
            shown.reverse()
        size = min(int(request.query_params.get("per_page", "1000")), 1000)
        return _answer({"buckets": shown[:size]})

    @app.post(path)
    def create_bucket(request: Request, account_id: str, body: Sent = None) -> JSONResponse:
        allow(request, account_id, writes)
        made = buckets.create(body, jurisdiction=jurisdiction(request))
        keeper.reconcile()  # a token for this name in another jurisdiction must not open it
        return _answer(r2.described(made))

    @app.get(path + "/{name}")
    def get_bucket(request: Request, account_id: str, name: str) -> JSONResponse:
        allow(request, account_id, reads)
        return _answer(r2.described(buckets.get(name, jurisdiction=jurisdiction(request))))

    @app.patch(path + "/{name}")
    def change_bucket(request: Request, account_id: str, name: str) -> JSONResponse:
        allow(request, account_id, writes)
        storage_class = request.headers.get("cf-r2-storage-class", "")
        changed = buckets.set_storage_class(name, storage_class, jurisdiction=jurisdiction(request))
        return _answer(r2.described(changed))

    @app.delete(path + "/{name}")
    def delete_bucket(request: Request, account_id: str, name: str) -> JSONResponse:
        allow(request, account_id, writes)
        buckets.delete(name, jurisdiction=jurisdiction(request), account_id=account.id)
        return _answer({})


def _add_tokens(
    app: FastAPI,
    tokens: Tokens,
    allow: Callable[[Request, str, set[str]], Token],
    clock: Callable[[], datetime],
) -> None:
    path = BASE + "/accounts/{account_id}/tokens"
    reads, writes = {TOKENS_READ.id, TOKENS_WRITE.id}, {TOKENS_WRITE.id}

    @app.get(path + "/permission_groups")
    def list_groups(request: Request, account_id: str) -> JSONResponse:
        allow(request, account_id, reads)
        name = request.query_params.get("name")
        scope = request.query_params.get("scope")
        groups = [
            group.described()
            for group in GROUPS.values()
            if name in (None, group.name) and scope in (None, group.scope)
        ]
        return _answer(groups)

    @app.get(path)
    def list_tokens(request: Request, account_id: str) -> JSONResponse:
        allow(request, account_id, reads)
        every = [account_tokens.described(token, now=clock()) for token in tokens.all()]
        page = max(int(request.query_params.get("page", "1")), 1)
        size = min(max(int(request.query_params.get("per_page", "20")), 1), 50)
        shown = every[(page - 1) * size : page * size]
        return _answer(
            shown,
            result_info={
                "page": page,
                "per_page": size,
                "count": len(shown),
                "total_count": len(every),
                "total_pages": -(-len(every) // size),
            },
        )

    @app.post(path)
    def create_token(request: Request, account_id: str, body: Sent = None) -> JSONResponse:
        maker = allow(request, account_id, writes)
        token, value = tokens.create(body, maker=maker)
        return _answer({**account_tokens.described(token, now=clock()), "value": value})

    @app.get(path + "/{token_id}")
    def get_token(request: Request, account_id: str, token_id: str) -> JSONResponse:
        allow(request, account_id, reads)
        return _answer(account_tokens.described(tokens.get(token_id), now=clock()))

    @app.put(path + "/{token_id}/value")
    def roll_token(request: Request, account_id: str, token_id: str) -> JSONResponse:
        allow(request, account_id, writes)
        return _answer(tokens.roll(token_id))

    @app.put(path + "/{token_id}")
    def change_token(
        request: Request, account_id: str, token_id: str, body: Sent = None
    ) -> JSONResponse:
        maker = allow(request, account_id, writes)
        changed = tokens.update(token_id, body, maker=maker)
        return _answer(account_tokens.described(changed, now=clock()))

    @app.delete(path + "/{token_id}")
    def delete_token(request: Request, account_id: str, token_id: str) -> JSONResponse:
        allow(request, account_id, writes)
        tokens.delete(token_id)
        return _answer({"id": token_id})


def _add_verify(
    app: FastAPI,
    account: Account,
    caller: Callable[[Request], Token],
    clock: Callable[[], datetime],
) -> None:
    @app.get(BASE + "/accounts/{account_id}/tokens/verify")
    def verify(request: Request, account_id: str) -> JSONResponse:
        try:
            token = caller(request)
        except CloudflareError as error:
            raise (errors.verify_refused() if error.code == 9109 else error) from error
        if account_id != account.id:
            raise errors.verify_refused()
        shown = account_tokens.verified(token, now=clock())
        said = f"This API Token is valid and {shown['status']}"
        return _answer(shown, messages=[{"code": 10000, "message": said, "type": None}])

    @app.get(BASE + "/user/tokens/verify")
    def verify_of_user(request: Request) -> JSONResponse:
        # Every token here belongs to the account, and those are refused at this address.
        raise (
            errors.no_credentials()
            if "authorization" not in request.headers
            else (errors.verify_refused())
        )


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(CloudflareError)
    async def refused(_: Request, error: CloudflareError) -> JSONResponse:
        return _refusal(error)

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> JSONResponse:
        path = request.url.path.removeprefix(BASE)
        if error.status_code == 405:
            return _refusal(errors.method_refused(request.method))
        return _refusal(errors.no_route(path))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed: %s", request.method, request.url.path, error)
        return _refusal(errors.internal())


def _operator(account: Account) -> Token:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    return Token(
        id=account.operator_token_id,
        value_sha256=account.operator_token_sha256,
        name="operator",
        policies=[
            {"effect": "allow", "permission_groups": [one.described() for one in GROUPS.values()]}
        ],
        issued_on=start,
        modified_on=start,
    )


def _answer(result: Any, **more: Any) -> JSONResponse:
    envelope = {"success": True, "errors": [], "messages": [], "result": result, **more}
    return JSONResponse(envelope)


def _refusal(error: CloudflareError) -> JSONResponse:
    first: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.chained:
        first["error_chain"] = [{"code": c, "message": m} for c, m in error.chained]
    listed = [first, *({"code": code, "message": message} for code, message in error.more)]
    envelope = {"success": False, "errors": listed, "messages": [], "result": None}
    # The vendor's own client would retry a 409 and each 5xx for minutes.
    return JSONResponse(envelope, status_code=error.status, headers={"x-should-retry": "false"})
