"""Cloudflare's API, beside its Pulumi provider: bucket, operator, and the tokens of runs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import requests
import tenacity

from components.errors import TrainstackError
from components.http_session import make_session
from container.contract.clock import moment
from container.transport.network import reason_of

DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4"
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
RETRY_FOR_S = 60.0
NOT_FOUND = 404
CONFLICT = 409
NO_SUCH_BUCKET = 10006
PER_PAGE = 50
MAX_PAGES = 200


class CloudflareError(TrainstackError):
    """Cloudflare refused, or could not be asked; a transient failure is never taken for absence."""


class UnclearError(CloudflareError):
    """No usable answer; `why` is its status, or the class of what failed."""

    def __init__(self, message: str, *, why: str) -> None:
        super().__init__(message)
        self.why = why


class TokenRefusedError(CloudflareError):
    """A clear no: the token is not valid here, or not active."""


@dataclass(frozen=True, kw_only=True)
class ExistingBucket:
    """A bucket that exists, as far as declaring it needs."""

    name: str
    storage_class: str


@dataclass(frozen=True, kw_only=True)
class S3Access:
    """A key pair for R2's S3 side."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Token:
    """An API token of the account, as the list shows it; its value is never shown again."""

    id: str
    name: str
    issued_on: datetime | None
    buckets: tuple[str, ...] = ()  # that its policies name; () where the list does not tell


def secret_access_key(token_value: str) -> str:
    """Return the S3 secret that belongs to an API token: the SHA-256 of its value, in hex.

    https://developers.cloudflare.com/r2/api/tokens/
    """
    return hashlib.sha256(token_value.encode()).hexdigest()


class Client:
    """Calls of one account with the operator's token."""

    def __init__(
        self,
        token: str,
        *,
        account_id: str,
        base_url: str = "",
        retry_for_s: float = RETRY_FOR_S,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self._token = token
        self._account_id = account_id
        self._base_url = (base_url or DEFAULT_BASE_URL).rstrip("/")
        self._retry_for_s = retry_for_s
        self._timeout = (CONNECT_TIMEOUT_S, read_timeout_s)

    @property
    def account_id(self) -> str:
        """Whose buckets and tokens these are."""
        return self._account_id

    @property
    def answers_within_s(self) -> float:
        """How long a call may take until it is answered or given up."""
        return self._retry_for_s + sum(self._timeout)

    def find_bucket(self, name: str, *, jurisdiction: str) -> ExistingBucket | None:
        """Return the bucket, or None when Cloudflare says that there is none."""
        status, result = self._call("GET", self._buckets(name), jurisdiction=jurisdiction)
        if status == NOT_FOUND:
            return None
        return ExistingBucket(
            name=name, storage_class=str(result.get("storage_class") or "Standard")
        )

    def make_bucket(self, name: str, *, jurisdiction: str) -> ExistingBucket:
        """Create the bucket; one that is there already is as good."""
        body = {"name": name, "storageClass": "Standard"}
        status, _ = self._call("POST", self._buckets(), jurisdiction=jurisdiction, body=body)
        if status == CONFLICT:
            found = self.find_bucket(name, jurisdiction=jurisdiction)
            if found:
                return found
            raise CloudflareError(
                f"bucket {name} cannot be made: the name is taken in another jurisdiction than "
                f"{jurisdiction}. Choose another trainstack:bucket, or its trainstack:jurisdiction."
            )
        return ExistingBucket(name=name, storage_class="Standard")

    def operator_access(self) -> S3Access:
        """Return the operator's own S3 access; raises as `token_id` does."""
        return S3Access(
            access_key_id=self.token_id(), secret_access_key=secret_access_key(self._token)
        )

    def token_id(self) -> str:
        """Return the id of the operator's token, an account's own or a user's, if it is active.

        The id is the token's S3 access key: https://developers.cloudflare.com/r2/api/tokens/
        Raises TokenRefusedError on a clear no, UnclearError when there is no answer, or none that
        says whether the token is active.
        """
        account = [f"/accounts/{self._account_id}/tokens/verify"] if self._account_id else []
        for path in [*account, "/user/tokens/verify"]:
            try:
                status, result = self._call("GET", path)
            except UnclearError:
                raise
            except CloudflareError:
                continue
            if status == requests.codes.ok and "status" not in result:
                raise UnclearError(
                    f"Cloudflare answered GET {path} and did not say whether the token is active.",
                    why="no status",
                )
            if result.get("status") == "active":
                return str(result["id"])
        raise TokenRefusedError(
            "Cloudflare does not accept CLOUDFLARE_API_TOKEN. Set a token with the permissions "
            "Workers R2 Storage Write and Account API Tokens Write."
        )

    def tokens(self, *, name_prefix: str) -> list[Token]:
        """Return the account's tokens whose name begins so."""
        found: list[Token] = []
        for page in range(1, MAX_PAGES):
            path = f"/accounts/{self._account_id}/tokens?page={page}&per_page={PER_PAGE}"
            _, members = self._answer("GET", path)
            listed = members.get("result")
            rows = cast("list[Any]", listed) if isinstance(listed, list) else []
            found += [_token(row) for row in rows]
            if len(rows) < PER_PAGE:
                break
        return [token for token in found if token.name.startswith(name_prefix)]

    def make_token(self, name: str, *, policy: Mapping[str, Any], expires_on: datetime) -> str:
        """Make a token that nobody uses, its value being thrown away, and return its ID.

        Sent once: after an UnclearError it may be there.
        """
        body = {
            "name": name,
            "policies": [policy],
            "expires_on": expires_on.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        path = f"/accounts/{self._account_id}/tokens"
        _, members = self._answer_once("POST", path, "", body, False)
        return str(cast("dict[str, Any]", members.get("result") or {}).get("id") or "")

    def permissions_of(self, token_id: str) -> frozenset[str] | None:
        """Return the names of a token's permissions; None for one that is not the account's."""
        path = f"/accounts/{self._account_id}/tokens/{token_id}"
        status, members = self._answer("GET", path, may_be_absent=True)
        if status == NOT_FOUND:
            return None
        return frozenset(re.findall(r'"name": "([^"]+)"', json.dumps(_policies(members))))

    def revoke(self, token_id: str) -> None:
        """Delete a token; one that is gone already is as good."""
        path = f"/accounts/{self._account_id}/tokens/{token_id}"
        self._answer("DELETE", path, may_be_absent=True)

    def _buckets(self, name: str = "") -> str:
        return f"/accounts/{self._account_id}/r2/buckets" + (f"/{name}" if name else "")

    def _call(
        self,
        method: str,
        path: str,
        *,
        jurisdiction: str = "",
        body: Mapping[str, Any] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        status, members = self._answer(method, path, jurisdiction=jurisdiction, body=body)
        result = members.get("result")
        return status, cast("dict[str, Any]", result) if isinstance(result, dict) else {}

    def _answer(
        self,
        method: str,
        path: str,
        *,
        jurisdiction: str = "",
        body: Mapping[str, Any] | None = None,
        may_be_absent: bool = False,
    ) -> tuple[int, dict[str, Any]]:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(UnclearError),
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
            stop=tenacity.stop_after_delay(self._retry_for_s),
            reraise=True,
        )
        return retrying(self._answer_once, method, path, jurisdiction, body, may_be_absent)

    def _answer_once(
        self,
        method: str,
        path: str,
        jurisdiction: str,
        body: Mapping[str, Any] | None,
        may_be_absent: bool,
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if jurisdiction:
            headers["cf-r2-jurisdiction"] = jurisdiction
        try:
            with make_session() as session:
                response = session.request(
                    method,
                    self._base_url + path,
                    headers=headers,
                    json=body,
                    timeout=self._timeout,
                    allow_redirects=False,
                )
            answer: Any = response.json()
        except (requests.RequestException, ValueError) as error:
            raise UnclearError(
                f"Cloudflare gave no usable answer to {method} {path}: {reason_of(error)}. "
                "Check the network, then try again.",
                why=type(error).__name__,
            ) from None
        status = response.status_code
        if status in {408, 429} or status >= 500:
            raise UnclearError(
                f"Cloudflare answered {method} {path} with {status}. Try again.", why=str(status)
            )
        members = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
        absent_is_said = may_be_absent or NO_SUCH_BUCKET in _codes(members)
        unroutable = status == NOT_FOUND and not absent_is_said
        if unroutable or not (response.ok or status in {NOT_FOUND, CONFLICT}):
            raise CloudflareError(
                f"Cloudflare refused {method} {path} with {status}{_messages(members)}. Check "
                "trainstack:cloudflareAccountId and that CLOUDFLARE_API_TOKEN has the permissions "
                "Workers R2 Storage Write and Account API Tokens Write."
            )
        return status, members


def _policies(members: dict[str, Any]) -> Any:
    return cast("dict[str, Any]", members.get("result") or {}).get("policies")


def _token(row: Any) -> Token:
    members = cast("dict[str, Any]", row) if isinstance(row, dict) else {}
    return Token(
        id=str(members.get("id") or ""),
        name=str(members.get("name") or ""),
        issued_on=moment(str(members.get("issued_on") or "")),
        buckets=_buckets(members.get("policies")),
    )


def _buckets(policies: Any) -> tuple[str, ...]:
    """Return the buckets of a token's policies: `<resource kind>.<account>_<jurisdiction>_<name>`.

    No bucket's name has an underscore. The resources are an object, or its text.
    """
    found: list[str] = []
    for policy in cast("list[Any]", policies) if isinstance(policies, list) else []:
        for resource in re.findall(r"r2\.bucket\.[\w.-]+", json.dumps(policy)):
            found.append(resource.rpartition("_")[2])
    return tuple(dict.fromkeys(found))


def _codes(answer: dict[str, Any]) -> list[Any]:
    return [error.get("code") for error in _errors(answer)]


def _messages(answer: dict[str, Any]) -> str:
    texts = [
        f"{error.get('code', '')} {error.get('message', '')}".strip() for error in _errors(answer)
    ]
    return f": {'; '.join(texts)}" if texts else ""


def _errors(answer: dict[str, Any]) -> list[dict[str, Any]]:
    errors = answer.get("errors")
    if not isinstance(errors, list):
        return []
    items = cast("list[Any]", errors)
    return [cast("dict[str, Any]", error) for error in items if isinstance(error, dict)]
