"""Talks with a run's model through the machine's `/v1/chat/completions`, streaming.

The address is public, so the bearer token goes there and nowhere else; no redirect is followed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import requests

from components.http_session import make_session
from container.transport.network import reason_of
from runs.errors import AccessRefusedError, RunsError, UnreachableError
from runs.waits import waiting

_CONNECT_AND_READ_S = (5, 120)  # a small machine may think long before the first token


class Message(TypedDict):
    """One turn of the conversation."""

    role: str
    content: str


class NoChatError(RunsError):
    """The machine answers, and serves no model."""


@dataclass(frozen=True, kw_only=True)
class Chat:
    """One machine's chat; `token` never shows."""

    status_url: str
    token: str
    max_tokens: int = 256
    temperature: float = 0.8

    def __repr__(self) -> str:
        return f"Chat({self.status_url})"

    def say(self, messages: list[Message]) -> Iterator[str]:
        """Yield the answer, piece by piece.

        Raises NoChatError, AccessRefusedError or UnreachableError, also in the middle of an answer.
        """
        body = {
            "model": "default",
            "messages": messages,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "stream": True,
        }
        try:
            with make_session() as session:
                with waiting("the model's machine", at_most_s=sum(_CONNECT_AND_READ_S)):
                    answer = session.post(
                        f"{self.status_url}/v1/chat/completions",
                        json=body,
                        headers={"authorization": f"Bearer {self.token}"},
                        timeout=_CONNECT_AND_READ_S,
                        stream=True,
                        allow_redirects=False,
                    )
                _check(answer.status_code, self.status_url)
                yield from pieces(answer.iter_lines())
        except requests.RequestException as error:
            raise UnreachableError(
                f"no answer from {self.status_url}: {reason_of(error)}.\n"
                "The machine is gone or busy: see `python -m runs status`. A pulled model needs no "
                "machine: `python -m runs pull`."
            ) from None


def pieces(lines: Iterable[bytes]) -> Iterator[str]:
    """Read server-sent events of the OpenAI shape; what is none of them is left out.

    Raises NoChatError when the answer ends in an error: what came before it is not whole.
    """
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        event = line[len(b"data:") :].strip()
        if event == b"[DONE]":
            return
        try:
            members: Any = json.loads(event)
            failed = _failure(members)
            if failed:
                raise NoChatError(f"the answer broke off: {failed}.\nAsk again.")
            choice: dict[str, Any] = members["choices"][0]
            turn: dict[str, Any] = choice.get("delta") or choice.get("message") or {}
            text = turn.get("content")
        except (ValueError, LookupError, TypeError, AttributeError):
            continue
        if isinstance(text, str) and text:
            yield text


def _failure(event: Any) -> str:
    members = cast("dict[str, Any]", event) if isinstance(event, dict) else {}
    error: Any = members.get("error")
    return str(cast("dict[str, Any]", error).get("message", "")) if isinstance(error, dict) else ""


def _check(status_code: int, status_url: str) -> None:
    if status_code == requests.codes.ok:
        return
    if status_code in (401, 403):
        raise AccessRefusedError(
            f"{status_url} refused the access token ({status_code}).\n"
            "It belongs to another deployment: after `pulumi up` the stack has the right one."
        )
    if status_code in (404, 405, 501):
        raise NoChatError(
            f"{status_url} keeps no chat ({status_code}).\n"
            "The run was started with keepAlive: false, or its recipe has no chat. Copy the model "
            "with `python -m runs pull`."
        )
    if status_code in (409, 425, 503):
        raise NoChatError(
            f"the model at {status_url} is not ready ({status_code}).\n"
            "It is served once the run has succeeded and keepAlive is true: see "
            "`python -m runs status`."
        )
    raise UnreachableError(
        f"{status_url} answered {status_code} to the chat.\n"
        "See `python -m runs status` and `python -m runs logs`."
    )
