"""Whether the addresses that a rented machine fetches from answer, asked from this machine.

Bounded, all at once, and without a byte of content. Only a server's own word counts as a no: what a
proxy or a firewall answers here says nothing of the machine's network.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import Final, Literal
from urllib.parse import urlsplit

import requests

from components.http_session import make_session
from container.contract.upstream import UpstreamFile, mirrored
from container.transport.network import reason_of

TIMEOUT_S: Final = (5.0, 10.0)
_GONE: Final = (404, 410)
_FORBIDDEN: Final = (401, 403)
_OWN_WORD: Final = ("X-Error-Code", "x-amz-request-id")
"""The hub's and S3's: both answer 401 or 403 for what is not there, a proxy for anything."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became known of one file."""

    file: UpstreamFile
    outcome: Literal["there", "absent", "unknown"]
    host: str = ""  # that has it
    why: str = ""

    @property
    def blocks(self) -> bool:
        """Whether a run would fail for want of it."""
        return self.outcome == "absent" and not self.file.without

    @property
    def what(self) -> str:
        """What became known, as a sentence without its point."""
        if self.outcome == "there":
            return f"{self.file.place} is at {self.host}"
        if self.outcome == "unknown":
            return f"{self.file.place} was not looked up: {self.why}"
        lacks = f"; {self.file.without}" if self.file.without else ""
        return f"{self.file.place} is not to be had: {self.why}{lacks}"

    @property
    def remedy(self) -> str:
        """What has it there for the next look, likewise; "" where nothing is to be done."""
        if self.outcome != "absent":
            return ""
        if self.file.of_hub:
            return (
                "Set trainstack:hubMirror to a mirror of the Hugging Face hub that has it, or to "
                "nothing for the hub itself"
            )
        return "Put it at a mirror and set trainstack:datasetMirror to that"


def ask_all(files: Sequence[UpstreamFile], *, mirror: str, hub_mirror: str = "") -> list[Answer]:
    """Ask the mirror for each file, then upstream for what it does not have; never raises.

    What the hub's library fetches is asked of the hub's mirror alone where there is one.
    """
    if not files:
        return []
    with ThreadPoolExecutor(len(files)) as pool:
        return list(pool.map(_ask, files, repeat(mirror), repeat(hub_mirror)))


def _ask(file: UpstreamFile, mirror: str, hub_mirror: str) -> Answer:
    at_hub = mirrored(file.place, mirror=hub_mirror) or file.url
    at_mirror = mirrored(file.place, mirror=mirror)
    places = [at_hub] if file.of_hub else [place for place in (at_mirror, file.url) if place]
    whys: list[str] = []
    outcome: Literal["absent", "unknown"] = "absent"
    for place in places:
        host = urlsplit(place).hostname or "its server"
        said, why = _look(place, host=host, by_get=file.of_hub)
        if said == "there":
            return Answer(file=file, outcome="there", host=host)
        outcome = "unknown" if said == "unknown" else outcome
        whys.append(why)
    return Answer(file=file, outcome=outcome, why=", ".join(whys))


def _look(
    url: str, *, host: str, by_get: bool
) -> tuple[Literal["there", "absent", "unknown"], str]:
    """Ask for one file; what the hub's library asks its API is asked as it does, by GET."""
    try:
        with make_session() as session:
            answer = None if by_get else _answer(session, "HEAD", url)
            if answer is None or answer.status_code in (405, 501):  # a mirror that knows no HEAD
                answer = _answer(session, "GET", url)
    except (requests.RequestException, ValueError) as error:
        return "unknown", f"{host} gave no usable answer: {reason_of(error)}"
    said = f"{host} answered {answer.status_code}"
    if answer.status_code < 400:  # a redirect leads to the hub's store
        return "there", said
    if answer.status_code in _GONE:
        return "absent", said
    if answer.status_code in _FORBIDDEN and any(name in answer.headers for name in _OWN_WORD):
        return "absent", said
    return "unknown", said


def _answer(session: requests.Session, method: str, url: str) -> requests.Response:
    first = {"Range": "bytes=0-0"} if method == "GET" else {}
    with session.request(
        method, url, headers=first, timeout=TIMEOUT_S, allow_redirects=False, stream=True
    ) as answer:
        return answer
