"""Whether the operator's Cloudflare token can make a run's: tried, and put into words.

`pulumi up` would fail at it, with the image already pushed.
"""

from __future__ import annotations

from datetime import UTC, datetime

from components.ionet import run_tokens
from components.ionet.run_tokens import Trial
from components.r2.permissions import (
    ITEM_WRITE_NAME,
    R2_WRITE_NAME,
    TOKENS_WRITE_NAME,
    bucket_resources,
)
from runs.source.source import Source
from runs.waits import waiting

WHERE_TO_CLICK = "dash.cloudflare.com, Manage Account, Account API Tokens"


def tried(source: Source) -> Trial:
    """Make a token as a run gets it, for the stack's bucket, and revoke it."""
    client = source.cloudflare_client()
    resources = bucket_resources(
        source.account,
        jurisdiction=source.config.get("jurisdiction") or "default",
        bucket=source.bucket_name,
    )
    with waiting("Cloudflare", at_most_s=client.answers_within_s):
        return run_tokens.try_out(client, resources=resources, now=datetime.now(UTC))


def in_words(trial: Trial) -> tuple[str, str]:
    """Return what was found, and what is to be done about it; pure."""
    left = f"; token {trial.left} may be left, and expires within a minute" if trial.left else ""
    if trial.outcome == "made":
        return (f"can be made{left}" if left else "can be made, and was revoked"), ""
    if trial.outcome == "unknown":
        return f"not checked: {trial.why.partition('.')[0]}{left}", ""
    if trial.is_a_users:
        what = f"{trial.why} The operator's token is a user's, which may lack the right at all"
        wanted = f"{R2_WRITE_NAME}, {ITEM_WRITE_NAME} and {TOKENS_WRITE_NAME}"
        return what, f"make an account-owned one, with {wanted}: {WHERE_TO_CLICK}, Create Token"
    lacks = " and ".join(trial.lacks)
    what = f"{trial.why} {f'The token lacks {lacks}' if lacks else 'What it lacks is not told'}"
    remedy = f"add {lacks or 'what it lacks'} to the token: {WHERE_TO_CLICK}, the token, Edit"
    return what, f"{remedy}; a token can only give what it holds"
