"""The pages of the ledger of rentals, as they stand in a bucket: one that is damaged hides none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.ledger.page import FOLDER, Page, PageError
from runs.source.bucket import ReadOnlyBucket


@dataclass(frozen=True, kw_only=True)
class Pages:
    """What can be read of the ledger, and why the rest cannot, one line a page."""

    pages: Sequence[Page]
    unreadable: Sequence[str] = ()


def read(bucket: ReadOnlyBucket) -> Pages:
    """Read every page of the bucket."""
    keys = [stored.key for stored in bucket.objects(FOLDER)]
    found: list[Page] = []
    unreadable: list[str] = []
    for key, raw in bucket.read_many(keys):
        try:
            found.append(Page.from_json(raw or b""))
        except PageError as error:
            unreadable.append(f"{bucket.name}/{key} cannot be read: {error}")
    return Pages(pages=found, unreadable=unreadable)
