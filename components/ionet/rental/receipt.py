"""The receipt for a machine that was given back: what was kept, what was lost, what it cost.

Kept is what the bucket shows now, held against what the run listed. Money is what the vendor's
record says before and after; whether it refunds anything is not documented.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, TypeVar, cast

from components.ionet import cost
from components.ionet.models import Deployment
from components.ionet.rental import account
from components.r2.run_objects import RunObjects, RunObjectsError
from container.contract import metrics
from container.contract.keys import MANIFEST_KEY, STATUS_KEY, VERDICT_KEY, MarkerKey
from container.contract.records import (
    Artifact,
    Metric,
    Record,
    RecordError,
    RunStatus,
    Verdict,
)
from container.contract.typed_json import typed

_R = TypeVar("_R", bound=Record)

_LAST_SEGMENTS = 5  # the newest may hold evaluations only
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What lies under the prefix, and whether it is all that the run listed there."""

    place: str
    objects: int
    size_bytes: int
    listed: int  # in the manifest and in the markers of checkpoints
    wrong: tuple[str, ...] = ()  # listed, and missing or of another size
    has_manifest: bool = False


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """All of it; None where it is not known."""

    run: str
    deployment_id: str
    ended: str  # how the run ended, in words
    kept: Kept | None
    lost: str
    before: Deployment | None
    after: Deployment | None
    done: str = "given back"  # or why it counts as ended
    bucket_problem: str = ""

    def rows(self) -> dict[str, str]:
        """Return what there is to say, by its name."""
        return {
            "machine": f"{self.deployment_id} is {self.done}"
            if self.deployment_id
            else "none is listed, live or given back",
            "kept": self._kept(),
            "lost": self.lost,
            "hours": _hours(self.before),
            "charged": _charged(self.before or self.after),
            "refunded": _refunded(self.before, self.after),
        }

    def lines(self) -> list[str]:
        """Return the block that people read, 80 columns wide."""
        block = _wrapped(f"{self.run}: {self.ended}", indent=2)
        for name, words in self.rows().items():
            block += _wrapped(f"  {name:<8}  {words}", indent=12)
        return block

    def to_json(self) -> dict[str, Any]:
        """Return it for machines; money as decimal text."""
        kept, before, after = self.kept, self.before, self.after
        refunded = _refunded_usd(before, after)
        left = account.hours_left(before) if before else None
        charged = before or after
        return {
            "run": self.run,
            "deployment_id": self.deployment_id,
            "ended": self.ended,
            "kept": None
            if kept is None
            else {
                "place": kept.place,
                "objects": kept.objects,
                "size_bytes": kept.size_bytes,
                "listed": kept.listed,
                "wrong": list(kept.wrong),
                "has_manifest": kept.has_manifest,
            },
            "lost": self.lost,
            "hours_unused_at_least": None if left is None else round(left[0], 2),
            "hours_unused_at_most": None if left is None else round(left[1], 2),
            "charged_usd": None if charged is None else str(charged.amount_paid_usd),
            "refunded_usd": None if refunded is None else str(refunded),
            "paid_after_usd": None if after is None else str(after.amount_paid_usd),
        }

    def _kept(self) -> str:
        kept = self.kept
        if kept is None:
            return f"not known: {self.bucket_problem}"
        what = f"{kept.objects} objects, {_size(kept.size_bytes)}, in {kept.place}"
        by = "the manifest and the checkpoints list" if kept.has_manifest else "checkpoints list"
        if not kept.listed:
            return f"{what}; nothing of it is listed, as no checkpoint was finished"
        if kept.wrong:
            named = ", ".join(kept.wrong[:_NAMED]) + (", …" if len(kept.wrong) > _NAMED else "")
            return f"{what}; of {kept.listed} that {by} {len(kept.wrong)} are not whole: {named}"
        return f"{what}; all {kept.listed} that {by} are whole"


def take(
    objects: RunObjects | None,
    *,
    run: str,
    deployment_id: str,
    before: Deployment | None,
    after: Deployment | None,
    done: str = "given back",
    why_unknown: str = "",
) -> Receipt:
    """Look at what is left of the run; never raises for a bucket that does not answer."""
    unknown = Receipt(
        run=run,
        deployment_id=deployment_id,
        ended="how it ended is not known",
        kept=None,
        lost="not known",
        before=before,
        after=after,
        done=done,
        bucket_problem=why_unknown,
    )
    if objects is None:
        return unknown
    try:
        sizes = objects.sizes()
        listed = _listed(objects, sizes)
        verdict = _record(objects, VERDICT_KEY, Verdict)
        status = _record(objects, STATUS_KEY, RunStatus)
        last = _last_step(objects, sizes)
    except RunObjectsError as error:
        return replace(unknown, bucket_problem=str(error))
    wrong = tuple(key for key, one in sorted(listed.items()) if sizes.get(key) != one.size_bytes)
    kept = Kept(
        place=objects.place,
        objects=len(sizes),
        size_bytes=sum(sizes.values()),
        listed=len(listed),
        wrong=wrong,
        has_manifest=MANIFEST_KEY in sizes,
    )
    stage = verdict.stage if verdict else status.stage if status else ""
    ended = f"{verdict.outcome} ({verdict.reason})" if verdict else "ended without a verdict"
    lost = lost_in_words(
        outcome=verdict.outcome if verdict else "", stage=stage, last=last, sizes=sizes
    )
    return replace(unknown, ended=ended, kept=kept, lost=lost)


def lost_in_words(
    *, outcome: str, stage: str, last: Metric | None, sizes: Mapping[str, int]
) -> str:
    """Say what has to be done again, from the last step that was told and the checkpoints."""
    if outcome == "succeeded":
        return "nothing"
    if not stage:
        return "nothing: it had not begun"
    saved = [
        marker.step
        for key in sizes
        if (marker := MarkerKey.parse(key)) and marker.folder.split("/")[1] == stage
    ]
    if last is None or last.stage != stage:
        return f"what stage {stage} had done; the stages before it are kept"
    done, newest = last.step + 1, max(saved, default=0)
    steps = max(done - newest, 0)
    since = f"since its checkpoint of step {newest}" if saved else "as it has no checkpoint"
    if not steps:
        return f"nothing: stage {stage} is saved up to step {newest}"
    return f"{steps} {'step' if steps == 1 else 'steps'} of stage {stage}, {since}"


def _listed(objects: RunObjects, sizes: Mapping[str, int]) -> dict[str, Artifact]:
    """Return what the manifest and the markers name, by key."""
    lists = [key for key in sizes if key == MANIFEST_KEY or MarkerKey.parse(key)]
    named: dict[str, Artifact] = {}
    for key in lists:
        for one in _artifacts(objects.read(key) or b""):
            named[one.key] = one
    return named


def _artifacts(raw: bytes) -> list[Artifact]:
    """Return what a manifest or a marker lists; nothing for one that is damaged."""
    try:
        members = cast("dict[str, Any]", json.loads(raw))
        return [typed(Artifact, one) for one in members["artifacts"]]
    except (ValueError, TypeError, LookupError, RecursionError):
        return []


def _record(objects: RunObjects, key: str, kind: type[_R]) -> _R | None:
    try:
        return objects.record(key, kind)
    except RecordError:
        return None


def _last_step(objects: RunObjects, sizes: Mapping[str, int]) -> Metric | None:
    for key in reversed(metrics.in_order(sizes)[-_LAST_SEGMENTS:]):
        steps = [one for one in metrics.parse(objects.read(key) or b"") if one.dt_ms is not None]
        if steps:
            return steps[-1]
    return None


def _hours(before: Deployment | None) -> str:
    if before is None:
        return "io.net tells none now"
    if before.life == "ended":
        return "not known any more, as it had ended before"
    fewest, most = account.hours_left(before)
    return f"{fewest:.1f} h unused" if fewest == most else f"{fewest:.1f} to {most:.1f} h unused"


def _charged(before: Deployment | None) -> str:
    if before is None:
        return "not known: io.net shows no record of it"
    return f"{cost.dollars(before.amount_paid_usd)}, by io.net's record"


def _refunded_usd(before: Deployment | None, after: Deployment | None) -> Decimal | None:
    if before is None or after is None:
        return None
    return before.amount_paid_usd - after.amount_paid_usd


def _refunded(before: Deployment | None, after: Deployment | None) -> str:
    refunded = _refunded_usd(before, after)
    if refunded is None or before is None or after is None:
        return "not known: io.net's record of before and after is not at hand"
    paid = f"{cost.dollars(before.amount_paid_usd)} before, {cost.dollars(after.amount_paid_usd)}"
    return f"{cost.dollars(refunded)} (its record says {paid} after)"


def _wrapped(text: str, *, indent: int) -> list[str]:
    return textwrap.wrap(
        text,
        80,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def _size(size_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"
