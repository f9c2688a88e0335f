"""Whether Cloudflare takes the operator's token, and as whose; nothing of it is shown."""

from __future__ import annotations

from components.r2.cloudflare import Client, TokenRefusedError, UnclearError
from runs.errors import AccessRefusedError, UnreachableError
from runs.waits import waiting


def verified_id(client: Client, *, url: str, account: str) -> str:
    """Return the id of the client's token; `account` is "" where nothing tells it.

    Raises UnreachableError or AccessRefusedError, which say what to do.
    """
    try:
        with waiting("Cloudflare", at_most_s=client.answers_within_s):
            return client.token_id()
    except UnclearError as error:
        raise UnreachableError(_not_checked(error.why, url)) from None
    except TokenRefusedError:
        raise AccessRefusedError(_not_valid(url, account=account)) from None


def _not_checked(why: str, base_url: str) -> str:
    if why.isdigit():
        return (
            f"cannot check the Cloudflare token: Cloudflare answered {why}.\nTry again in a minute."
        )
    return (
        f"cannot check the Cloudflare token: no answer from {base_url.partition('/client')[0]} "
        f"({why}).\nIn the local world: python -m localcloud start"
    )


def _not_valid(base_url: str, *, account: str) -> str:
    return f"{base_url} says that the Cloudflare token is not valid.\n" + (
        "It is expired, revoked, of another account, or of another world. Set a live one: "
        "CLOUDFLARE_API_TOKEN, or else config cloudflare:apiToken."
        if account
        else "An account's token needs its account: set CLOUDFLARE_ACCOUNT_ID, or say --stack."
    )
