"""One run's page of the ledger: each rental from its intent to its end; pure, no I/O.

An entry is an intent before the vendor is asked, and gets the deployment's ID after. Only a
deletion closes it. Times are the bucket's: laptops sleep, and their clocks are wrong.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, cast

from components.errors import TrainstackError
from container.contract.clock import moment

SCHEMA = 1
FOLDER = "ledger/"
_MOST = 10**9  # of anything that a page counts

State = Literal["asked", "rented", "given back", "lost"]
"""asked: the vendor may have been asked, and told no ID that was stored. rented: its ID is known.
given back: the vendor said that it has ended. lost: asked, and no machine of that name was seen
until none could come any more."""


class PageError(TrainstackError):
    """A page cannot be read: no JSON, a member missing, or written by a newer version."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose rentals a page holds, in parts; nothing ever splits a name to find them."""

    project: str
    stack: str
    run: str

    @property
    def key(self) -> str:
        """Where the page lies in the bucket."""
        return f"{FOLDER}{self.project}/{self.stack}/{self.run}.json"

    @property
    def stem(self) -> str:
        """How the private names of this run's machines begin, up to the identity."""
        return f"{self.project}-{self.stack}-{self.run}-"

    def family(self, identity: str) -> str:
        """Return how the prefixes of an identity begin, and its tokens' names go on."""
        return f"{self.stack}-{self.run}-{identity}"

    def __str__(self) -> str:
        return f"run {self.run} of stack {self.stack}"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One rental."""

    intent: str  # random; tells two intents of one name apart
    identity: str
    name: str  # the deployment's private name
    hours: int
    usd: Decimal  # reserved while it is asked for; then what it costs, extensions included
    asked_at: datetime
    state: State = "asked"
    deployment_id: str = ""
    token_id: str = ""  # of the run's token that it was started with; "" when that is not known
    renew: int = 0  # how often the run had been renewed
    extending_at: datetime | None = None  # hours were asked for; what came of it is not known
    extending_to: int | None = None  # hours in all
    extending_usd: Decimal | None = None  # reserved for them; None in a page of an older release
    extending_by: str = ""  # random; tells two extensions of one machine apart
    container: str = ""  # a hash of what it was told to run instead; see rental/restart.py
    attempts: int = 0  # of the run, before it was told so
    restart_refused: str = ""  # why the vendor started no other container on it, when it was asked
    charged: bool = False  # `usd` is what the vendor said that it charged
    planned_hours: int = 0  # to be bought in all once its machine is checked; 0: all at once
    rest_usd: Decimal = Decimal(0)  # set aside for those of them that are not bought first
    refused: str = ""  # why its machine does not work: an attempt, and no verdict
    automatic_hours: int = 0  # of `hours`: bought without anybody asking for just these
    extending_automatic: int = 0  # of those asked for: the same

    @property
    def reserved_usd(self) -> Decimal:
        """What was set aside for a request of which the outcome is not recorded yet.

        For an extension that an older release recorded, without dollars, at the rental's price.
        """
        if self.state == "asked":
            return self.usd
        if not self.is_open or self.extending_at is None:
            return Decimal(0)
        if self.extending_usd is not None:
            return self.extending_usd
        more = max((self.extending_to or self.hours) - self.hours, 0)
        return self.usd * more / max(self.hours, 1)

    @property
    def awaited_usd(self) -> Decimal:
        """What is set aside for the hours that are bought once its machine is checked."""
        waits = self.is_open and not self.refused and self.extending_at is None
        return self.rest_usd if waits and self.hours < self.planned_hours else Decimal(0)

    @property
    def spent_usd(self) -> Decimal:
        """What it has cost, as far as that is recorded."""
        return self.usd if self.state in ("rented", "given back") else Decimal(0)

    @property
    def is_open(self) -> bool:
        """Whether a machine may live because of it."""
        return self.state in ("asked", "rented")

    def with_extension_over(self, *, bought: int) -> Entry:
        """Return the entry without what is underway; `bought` are its hours as the vendor has them.

        Hours that nobody asked for count as bought once they are among those.
        """
        came = self.extending_at is not None and (self.extending_to or 0) <= bought
        return dataclasses.replace(
            self,
            automatic_hours=self.automatic_hours + (self.extending_automatic if came else 0),
            extending_at=None,
            extending_to=None,
            extending_usd=None,
            extending_by="",
            extending_automatic=0,
        )

    def age(self, now: datetime) -> timedelta:
        """Return the time since the intent, by the bucket's clock."""
        return now - self.asked_at


@dataclass(frozen=True, kw_only=True)
class Page:
    """All rentals of one run, and the identities of it that are being deleted, or were."""

    owner: Owner
    entries: tuple[Entry, ...] = ()
    closing: tuple[str, ...] = ()

    @property
    def automatic_hours(self) -> int:
        """How many hours the run got altogether that nobody asked for, those underway included."""
        return sum(one.automatic_hours + one.extending_automatic for one in self.entries)

    def entry_of(self, deployment_id: str) -> Entry | None:
        """Return the entry of a deployment, by its ID."""
        ours = (one for one in self.entries if one.deployment_id == deployment_id)
        return next(ours, None) if deployment_id else None

    def open_entries(self) -> tuple[Entry, ...]:
        """Return those because of which a machine may live."""
        return tuple(entry for entry in self.entries if entry.is_open)

    def refused(self, identity: str) -> tuple[Entry, ...]:
        """Return the rentals of an identity whose machines did not work, oldest first."""
        return tuple(one for one in self.entries if one.identity == identity and one.refused)

    def ended_identities(self) -> frozenset[str]:
        """Return the identities of which machines were rented, and none may live any more."""
        living = {entry.identity for entry in self.open_entries()}
        return frozenset(entry.identity for entry in self.entries) - living

    def put(self, entry: Entry) -> Page:
        """Return the page with this entry, in the place of the one of the same intent."""
        if all(one.intent != entry.intent for one in self.entries):
            return dataclasses.replace(self, entries=(*self.entries, entry))
        entries = (entry if one.intent == entry.intent else one for one in self.entries)
        return dataclasses.replace(self, entries=tuple(entries))

    def without(self, intent: str) -> Page:
        """Return the page without an intent for which the vendor was surely not asked."""
        left = tuple(one for one in self.entries if one.intent != intent)
        return dataclasses.replace(self, entries=left)

    def edited(self, wanted: Callable[[Entry], bool], **changes: Any) -> Page:
        """Return the page with the entries changed that are wanted."""
        return self.mapped(wanted, lambda entry: dataclasses.replace(entry, **changes))

    def mapped(self, wanted: Callable[[Entry], bool], become: Callable[[Entry], Entry]) -> Page:
        """Return the page with what becomes of the entries that are wanted."""
        entries = (become(entry) if wanted(entry) else entry for entry in self.entries)
        return dataclasses.replace(self, entries=tuple(entries))

    def with_closing(self, identity: str) -> Page:
        """Return the page with the mark that this identity is being deleted."""
        if identity in self.closing:
            return self
        return dataclasses.replace(self, closing=(*self.closing, identity))

    def to_json(self) -> bytes:
        """Return the page as UTF-8 JSON, one object, with a final newline."""
        members = {
            "schema": SCHEMA,
            **dataclasses.asdict(self.owner),
            "closing": list(self.closing),
            "entries": [_members(entry) for entry in self.entries],
        }
        return (json.dumps(members, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, raw: bytes) -> Page:
        """Parse a page; raises PageError."""
        try:
            parsed: Any = json.loads(raw)
            members = cast("dict[str, Any]", parsed)
            if _whole(members["schema"]) > SCHEMA:
                raise PageError(f"schema {members['schema']}, this program reads up to {SCHEMA}")
            return cls(
                owner=Owner(
                    project=_text(members["project"]),
                    stack=_text(members["stack"]),
                    run=_text(members["run"]),
                ),
                closing=tuple(_text(one) for one in members.get("closing", [])),
                entries=tuple(_entry(one) for one in members["entries"]),
            )
        except (
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            ArithmeticError,
            RecursionError,
        ) as error:
            raise PageError(f"not a page of the ledger ({type(error).__name__})") from None


def _members(entry: Entry) -> dict[str, Any]:
    return {
        **dataclasses.asdict(entry),
        "usd": str(entry.usd),
        "asked_at": _written(entry.asked_at),
        "extending_at": _written(entry.extending_at) if entry.extending_at else None,
        "extending_usd": None if entry.extending_usd is None else str(entry.extending_usd),
        "rest_usd": str(entry.rest_usd),
    }


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(value: Any) -> str:
    """Return a name; ValueError for anything else, and for what cannot be written or shown."""
    if not isinstance(value, str) or not (value.isprintable() or value == ""):
        raise ValueError("no text")
    return value


def _whole(value: Any) -> int:
    """Return a number of hours or renewals: more than there can be would break what reckons."""
    if isinstance(value, bool) or not 0 <= value <= _MOST or int(value) != value:
        raise ValueError("no whole number")
    return int(value)


def _amount(value: Any) -> Decimal:
    """Return dollars, none of them owed."""
    usd = Decimal(str(value))
    if not usd.is_finite() or not 0 <= usd <= _MOST:
        raise ValueError("no amount")
    return usd


def _entry(members: Mapping[str, Any]) -> Entry:
    asked_at = moment(str(members["asked_at"]))
    extending_at = moment(str(members.get("extending_at") or ""))
    if members.get("extending_at") and extending_at is None:
        raise ValueError("no time")
    if asked_at is None or members["state"] not in ("asked", "rented", "given back", "lost"):
        raise ValueError(members)
    extending_to, extending_usd = members.get("extending_to"), members.get("extending_usd")
    return Entry(
        intent=_text(members["intent"]),
        identity=_text(members["identity"]),
        name=_text(members["name"]),
        hours=_whole(members["hours"]),
        usd=_amount(members["usd"]),
        asked_at=asked_at,
        state=members["state"],
        deployment_id=_text(members.get("deployment_id") or ""),
        extending_at=extending_at,
        extending_to=None if extending_to is None else _whole(extending_to),
        extending_usd=None if extending_usd is None else _amount(extending_usd),
        extending_by=_text(members.get("extending_by") or ""),
        container=_text(members.get("container") or ""),
        attempts=_whole(members.get("attempts") or 0),
        restart_refused=_text(members.get("restart_refused") or ""),
        charged=members.get("charged") is True,
        token_id=_text(members.get("token_id") or ""),
        renew=_whole(members.get("renew") or 0),
        planned_hours=_whole(members.get("planned_hours") or 0),
        rest_usd=_amount(members.get("rest_usd") or 0),
        refused=_text(members.get("refused") or ""),
        automatic_hours=_whole(members.get("automatic_hours") or 0),
        extending_automatic=_whole(members.get("extending_automatic") or 0),
    )
