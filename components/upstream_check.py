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


def ask_all(files: Sequence[UpstreamFile], *, mirror: str) -> list[Answer]:
    """Ask the mirror for each file, then upstream for what it does not have; never raises."""
    if not files:
        return []
    with ThreadPoolExecutor(len(files)) as pool:
        return list(pool.map(_ask, files, repeat(mirror)))


def _ask(file: UpstreamFile, mirror: str) -> Answer:
    places = [place for place in (mirrored(file.place, mirror=mirror), file.url) if place]
    whys: list[str] = []
    outcome: Literal["absent", "unknown"] = "absent"
    for place in places:
        host = urlsplit(place).hostname or "its server"
        said, why = _look(place, host=host)
        if said == "there":
            return Answer(file=file, outcome="there", host=host)
        outcome = "unknown" if said == "unknown" else outcome
        whys.append(why)
    return Answer(file=file, outcome=outcome, why=", ".join(whys))


def _look(url: str, *, host: str) -> tuple[Literal["there", "absent", "unknown"], str]:
    try:
        with make_session() as session:
            answer = session.head(url, timeout=TIMEOUT_S, allow_redirects=False)
            if answer.status_code in (405, 501):  # a mirror that knows no HEAD
                first = {"Range": "bytes=0-0"}
                with session.get(
                    url, headers=first, timeout=TIMEOUT_S, allow_redirects=False, stream=True
                ) as answer:
                    pass
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
