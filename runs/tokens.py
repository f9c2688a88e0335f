"""The Cloudflare tokens of runs: which there are, and which may be revoked.

A run's token is told by its name (components/ionet/run_tokens.py); the operator's own is never
among them. What may be revoked is decided from what was asked, never from what could not be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from components.ionet import run_tokens
from components.r2.cloudflare import (
    Client,
    CloudflareError,
    Token,
    TokenRefusedError,
    UnclearError,
)
from container.contract.keys import STATUS_KEY
from container.contract.records import RunStatus
from runs.errors import AccessRefusedError, UnreachableError, UnreadableError
from runs.rentals import Rental
from runs.source.bucket import ReadOnlyBucket
from runs.view import standing
from runs.waits import waiting

YOUNG = timedelta(days=1)

Beat = standing.Standing | Literal["unreadable"]
"""How a run's status stands, whatever its verdict."""


@dataclass(frozen=True, kw_only=True)
class RunToken:
    """One token of a run; `kept_because` is "" where it may be revoked."""

    id: str
    name: str
    identity: str
    issued_on: datetime | None
    age: timedelta | None
    kept_because: str


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was found out that speaks for a token; None and "" where it was not asked."""

    now: datetime
    bucket: str  # whose ledger and beats were read, all of them
    names: Collection[str]  # private names of all deployments that have not ended
    rentals: Sequence[Rental]
    beats: Mapping[str, Beat]  # by identity, where there is a status
    known: frozenset[str] | None  # what the stack's state knows

    def with_beats(self, found: Mapping[str, Beat], *, bucket: str) -> Evidence:
        """Return it with the beats of a bucket that was read whole."""
        return dataclasses.replace(self, beats=found, bucket=bucket)


def of_runs(client: Client, *, operator_id: str) -> list[Token]:
    """Return the tokens that were made for runs, also those that no state knows."""
    with explained(client):
        listed = client.tokens(name_prefix=run_tokens.NAME_PREFIX)
    return [token for token in listed if token.id != operator_id and identity_of(token)]


def identity_of(token: Token) -> str:
    """Return the identity of the run that a token is for."""
    return run_tokens.identity_of(token.name)


def beats(bucket: ReadOnlyBucket, identities: Collection[str], *, now: datetime) -> dict[str, Beat]:
    """Return how the status stands of the runs with these identities, the liveliest of each."""
    of_prefix = {
        prefix: identity
        for prefix in bucket.folders()
        for identity in identities
        if f"-{identity}-" in prefix
    }
    found: dict[str, Beat] = {}
    keys = {f"{prefix}/{STATUS_KEY}": identity for prefix, identity in of_prefix.items()}
    for key, raw in bucket.read_many(list(keys)):
        identity = keys[key]
        if raw is None or found.get(identity, "gone") != "gone":
            continue
        try:
            status = bucket.decoded(key, raw, RunStatus)
        except UnreadableError:
            found[identity] = "unreadable"
        else:
            heard = standing.hear(None, status.beat_at, now=now, now_s=0.0)
            found[identity] = standing.stand(
                verdict=None,
                beat_age_s=standing.age_s(heard, now_s=0.0),
                waited_s=0.0,
                limits=standing.WatchLimits(),
            )
    return found


def judged(token: Token, evidence: Evidence) -> RunToken:
    """Return a token with whether it may be revoked."""
    return RunToken(
        id=token.id,
        name=token.name,
        identity=identity_of(token),
        issued_on=token.issued_on,
        age=None if token.issued_on is None else evidence.now - token.issued_on,
        kept_because=why_kept(token, evidence),
    )


def why_kept(token: Token, evidence: Evidence) -> str:
    """Return why a token must not be revoked, "" when it may be."""
    identity = identity_of(token)
    beat = evidence.beats.get(identity, "")
    mine = [rental for rental in evidence.rentals if rental.entry.identity == identity]
    if not identity:
        return "it is no run's"
    if any(f"-{identity}-" in name for name in evidence.names):
        return "its run has a live machine"
    if evidence.known and not evidence.known.isdisjoint({token.id, identity}):
        return "the stack's state knows it: `pulumi destroy` revokes it"
    if any(rental.may_live(evidence.now) for rental in mine):
        return "a rental of its run is open in the ledger"
    if beat in ("running", "quiet"):
        return "its run gives signs of life"
    if beat == "unreadable":
        return "its run's status cannot be read"
    if token.issued_on is None:
        return "its age is not known"
    if evidence.now - token.issued_on < YOUNG:
        return "younger than a day"
    if not evidence.bucket:
        return "the bucket could not be asked, or not wholly"
    if evidence.bucket not in token.buckets or len(token.buckets) > 1:
        named = ", ".join(token.buckets) or "one that is not told"
        return f"its bucket was not asked: {named}"
    return ""


def revoke(client: Client, token: RunToken) -> None:
    """Revoke a token by its ID; one that is gone already is as good."""
    with explained(client):
        client.revoke(token.id)


@contextmanager
def explained(client: Client) -> Generator[None]:
    """Turn what Cloudflare's client raises within into this program's errors; tells of the wait."""
    try:
        with waiting("Cloudflare", at_most_s=client.answers_within_s):
            yield
    except UnclearError as error:
        raise UnreachableError(str(error)) from None
    except (TokenRefusedError, CloudflareError) as error:
        raise AccessRefusedError(str(error)) from None
