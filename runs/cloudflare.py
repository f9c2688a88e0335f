"""What Cloudflare says of the operator's token: its id, which is the S3 access key; nothing else.

https://developers.cloudflare.com/r2/api/tokens/
"""

from __future__ import annotations

from typing import Any

import requests
import tenacity

from runs.errors import RefusedError, UnreachableError

CLOUDFLARE_URL = "https://api.cloudflare.com/client/v4"
_CONNECT_AND_READ_S = (5, 15)
_TRIES = 3


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(UnreachableError),
    stop=tenacity.stop_after_attempt(_TRIES),
    wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=3, jitter=0.2),
    reraise=True,
)
def token_id(token: str, *, base_url: str, account: str) -> str:
    """Return the id of a live token: an account's own, or a user's.

    Raises RefusedError when Cloudflare clearly says that it is not valid, and UnreachableError when
    there is no answer, or none that says so.
    """
    paths = [f"/accounts/{account}/tokens/verify"] if account else []
    for path in [*paths, "/user/tokens/verify"]:
        found = _ask(base_url + path, token)
        if found.get("status") == "active":
            return str(found["id"])
    raise RefusedError(
        f"{base_url} says that the Cloudflare token is not valid.\n"
        + (
            "It is expired, revoked, of another account, or of another world. Set a live one: "
            "CLOUDFLARE_API_TOKEN, or else config cloudflare:apiToken."
            if account
            else "An account's token needs its account: set CLOUDFLARE_ACCOUNT_ID, or say --stack."
        )
    )


def _ask(url: str, token: str) -> dict[str, Any]:
    """Return the token's description, empty when the answer is a clear no."""
    try:
        answer = requests.get(
            url,
            headers={"authorization": f"Bearer {token}"},
            timeout=_CONNECT_AND_READ_S,
            allow_redirects=False,
        )
        if 400 <= answer.status_code < 500 and answer.status_code not in (408, 429):
            return {}
        if answer.status_code != requests.codes.ok:
            raise UnreachableError(
                f"cannot check the Cloudflare token: Cloudflare answered {answer.status_code}.\n"
                "Try again in a minute."
            )
        found: Any = answer.json()
        return dict(found.get("result") or {})
    except (requests.RequestException, AttributeError) as error:
        raise UnreachableError(
            f"cannot check the Cloudflare token: no answer from {url.partition('/client')[0]} "
            f"({type(error).__name__}).\nIn the local world: python -m localcloud start"
        ) from None
