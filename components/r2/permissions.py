"""What a run's token may do, and what the operator's must hold to make it; pure, no HTTP.

Names and IDs: https://developers.cloudflare.com/fundamentals/api/reference/permissions/
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Final

BUCKET_ITEM_WRITE: Final = "2efd5506f9c8494dacb1fa10a3e7d5b6"
"""Reads, writes and lists objects of the buckets that it is given, and nothing else. The id is the
same in every account."""

ITEM_WRITE_NAME: Final = "Workers R2 Storage Bucket Item Write"
R2_WRITE_NAME: Final = "Workers R2 Storage Write"
TOKENS_WRITE_NAME: Final = "Account API Tokens Write"


def bucket_resources(account_id: str, *, jurisdiction: str, bucket: str) -> str:
    """Return the resources of a policy on one bucket, as Cloudflare answers them.

    Compact and sorted: else every update sees a change.
    """
    resource = f"com.cloudflare.edge.r2.bucket.{account_id}_{jurisdiction}_{bucket}"
    return json.dumps({resource: "*"}, separators=(",", ":"), sort_keys=True)


def lacking(held: Collection[str]) -> tuple[str, ...]:
    """Return the permissions that a token lacks to make a run's token, by the names of its own.

    An account token can only be given permissions that its maker holds. Whether the right to all of
    R2 counts as that to the objects of one bucket is not documented: where a token has the former
    and was refused, the latter is what is left to add.
    """
    lacks = () if TOKENS_WRITE_NAME in held else (TOKENS_WRITE_NAME,)
    if ITEM_WRITE_NAME not in held and (R2_WRITE_NAME not in held or not lacks):
        lacks = (*lacks, ITEM_WRITE_NAME)
    return lacks
