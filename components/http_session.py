"""The one place that makes HTTP sessions: they read no other tool's files.

A plain `requests` call replaces the key that it was given by what ~/.netrc holds, and sends that to
whoever is asked: https://github.com/psf/requests/issues/3929. Proxies and a CA bundle of the
environment are honoured, as container/transport/network.py reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

from container.transport.network import ca_bundle, proxies_for

if TYPE_CHECKING:
    from collections.abc import MutableMapping


def make_session(*, direct: bool = False) -> requests.Session:
    """Return a session; use it in a `with` when it is for one call.

    With `direct` no proxy is asked: for services of this machine at another than its loopback
    address.
    """
    return _Session(direct=direct)


class _Session(requests.Session):
    def __init__(self, *, direct: bool) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = ca_bundle() or True
        self._direct = direct

    def merge_environment_settings(
        self,
        url: Any,
        proxies: MutableMapping[str, str] | None,
        stream: bool | None,
        verify: Any,
        cert: Any,
    ) -> Any:
        known = {} if self._direct else proxies_for(str(url))
        chosen = {**known, **(proxies or {})}
        return super().merge_environment_settings(url, chosen, stream, verify, cert)
