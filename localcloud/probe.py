"""One question to a service of this machine: does it answer, never through a proxy."""

from __future__ import annotations

import socket

import requests

from components.http_session import make_session


def answers(url: str, *, auth: tuple[str, str] | None = None, bearer: str | None = None) -> bool:
    """Tell whether a GET is answered with 200 within two seconds."""
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    with make_session(direct=True) as session:
        try:
            reply = session.get(url, auth=auth, headers=headers, timeout=(1, 2))
        except requests.RequestException:
            return False
    return reply.status_code == 200


def connects(host: str, port: int) -> bool:
    """Tell whether somebody listens there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
