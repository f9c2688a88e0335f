"""One POST, bounded in time and in what is read of the answer; follows no redirect. Stdlib only.

What is posted is for the address that a user wrote down: a key, or what happened in his run.
"""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Final

from container.transport.network import ca_bundle, proxies_for

_MOST_BYTES: Final = 100_000


def post(
    url: str, body: bytes, *, headers: Mapping[str, str], timeout_s: float
) -> tuple[int, bytes]:
    """Return status and body of whatever was answered; raises what urllib raises for no answer."""
    request = urllib.request.Request(url, data=body, headers=dict(headers))  # noqa: S310  # a user's
    try:
        with _opener(url).open(request, timeout=timeout_s) as answer:
            return answer.status, answer.read(_MOST_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(_MOST_BYTES)


def _opener(url: str) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=ca_bundle())
    return urllib.request.build_opener(
        _NoRedirect,
        urllib.request.ProxyHandler(proxies_for(url)),
        urllib.request.HTTPSHandler(context=context),
    )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None
