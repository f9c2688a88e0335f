"""Tables and JSON of lists: runs in a bucket, artefacts, costs, checks.

What `reap` shows is in rental_tables.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from container.contract.keys import ATTEMPTS_PREFIX, LOGS_PREFIX, METRICS_PREFIX, STAGES_PREFIX
from container.contract.records import Artifact
from runs.checks import Finding
from runs.remove import Remains
from runs.terminal import formats
from runs.view.layout import FromWidth, Records, indented
from runs.view.panel import STYLE
from runs.view.run_cost import RunCost
from runs.view.run_list import Entry

_RECORDS = frozenset({ATTEMPTS_PREFIX, LOGS_PREFIX, METRICS_PREFIX, STAGES_PREFIX})
_CHECKPOINT_FILE = re.compile(r"checkpoints/.+/[a-z]+_(?P<step>\d{6})(?:_rank\d+)?\.\w+")
_DOCTOR_COLUMNS = 60
_OUTCOME = {"ok": ("✓", "green"), "refused": ("✗", "red"), "unknown": ("?", "yellow")}


def entries(runs: Sequence[Entry], *, current: AbstractSet[str]) -> Records:
    """Draw all runs of a bucket, two lines each: the prefix with its numbers, then what it is."""
    table = Records("run", "state", ">steps", ">loss", ">time", ">cost", ">size")
    for entry in runs:
        mark = "*" if entry.prefix in current else " "
        recipe = formats.flat(entry.recipe)
        about = f"{mark} {formats.when(entry.created_at)[5:]} {recipe}".rstrip()
        table.add(
            Text.assemble((formats.flat(entry.prefix), "bold"), (f"\n{about}", "dim")),
            Text(entry.standing, style="red")
            if entry.standing == "unreadable"
            else Text(entry.standing, style=STYLE[entry.standing]),
            "-" if entry.step is None else f"{entry.step:,}",
            formats.loss(entry.loss),
            "-" if entry.trouble else formats.duration(entry.elapsed_s),
            "-" if entry.trouble else formats.usd(entry.dollars),
            formats.size(entry.size_bytes),
        )
    return table


def entry_json(entry: Entry, *, current: bool) -> dict[str, Any]:
    """Return one run as the object that `--json` prints."""
    return {**asdict(entry), "in_stack": current}


def artifacts(kept: Sequence[Artifact], *, every: bool) -> Records:
    """Draw a manifest: keys, sizes, the beginning of each hash, and the sum.

    Small records (logs, metrics) and checkpoints before the last of their folder are one line each,
    unless `every` is true.
    """
    table = Records("artefact", ">size", "sha256")
    single, groups = (list(kept), {}) if every else grouped(kept)
    for artifact in single:
        table.add(artifact.key, formats.size(artifact.size_bytes), artifact.sha256[:12])
    for name, members in groups.items():
        size = formats.size(sum(artifact.size_bytes for artifact in members))
        table.add(f"{name}: {formats.plural(len(members), 'object')}", size, "", style="dim")
    total = sum(artifact.size_bytes for artifact in kept)
    table.add(formats.plural(len(kept), "object"), formats.size(total), "", style="bold")
    return table


def grouped(kept: Sequence[Artifact]) -> tuple[list[Artifact], dict[str, list[Artifact]]]:
    """Part what is worth a line of its own from what is not, the latter by a name for the group.

    nanochat writes `<kind>_<step>[_rank<r>].<ending>`; the last step of a folder is the model.
    """
    last: dict[str, int] = {}
    for artifact in kept:
        if (step := _step(artifact.key)) is not None:
            folder = artifact.key.rpartition("/")[0]
            last[folder] = max(step, last.get(folder, step))
    single: list[Artifact] = []
    groups: dict[str, list[Artifact]] = {}
    for artifact in kept:
        top, _, _ = artifact.key.partition("/")
        folder = artifact.key.rpartition("/")[0]
        step = _step(artifact.key)
        if f"{top}/" in _RECORDS:
            groups.setdefault(f"{top}/", []).append(artifact)
        elif step is not None and step < last[folder]:
            groups.setdefault(f"{folder}/, earlier steps", []).append(artifact)
        else:
            single.append(artifact)
    return single, groups


def _step(key: str) -> int | None:
    match = _CHECKPOINT_FILE.fullmatch(key)
    return int(match["step"]) if match else None


def costs(runs: Sequence[RunCost]) -> Records:
    """Draw one line a run, and the sum when there are several."""
    table = Records("run", ">$/hour", ">time", ">used", ">hours", ">bought", ">size", ">a month")
    for cost in runs:
        table.add(
            cost.run,
            formats.usd(cost.price_usd_per_hour),
            formats.duration(cost.elapsed_s),
            formats.usd(cost.used_usd),
            str(cost.duration_hours),
            ("" if cost.bought_known else "~") + formats.usd(cost.bought_usd),
            formats.size(cost.size_bytes),
            formats.usd(cost.storage_usd_per_month),
        )
    if len(runs) > 1:
        table.add(
            formats.plural(len(runs), "run"),
            "",
            formats.duration(sum(cost.elapsed_s for cost in runs)),
            formats.usd(sum((cost.used_usd for cost in runs), Decimal())),
            str(sum(cost.duration_hours for cost in runs)),
            ("" if all(cost.bought_known for cost in runs) else "~")
            + formats.usd(sum((cost.bought_usd for cost in runs), Decimal())),
            formats.size(sum(cost.size_bytes for cost in runs)),
            formats.usd(sum((cost.storage_usd_per_month for cost in runs), Decimal())),
            style="bold",
        )
    return table


def attempts(runs: Sequence[RunCost]) -> Records:
    """Draw every container start of these runs."""
    table = Records("run", ">attempt", "started", ">time", ">used", "~why")
    for cost in runs:
        for attempt in cost.attempts:
            resumed = attempt.resumed_from.rpartition("/")[2]
            table.add(
                cost.run,
                str(attempt.number),
                formats.when(attempt.started_at)[5:],
                formats.duration(attempt.elapsed_s),
                formats.usd(attempt.usd),
                formats.flat(attempt.reason) + (f", from {resumed}" if resumed else ""),
            )
    return table


def cost_json(cost: RunCost) -> dict[str, Any]:
    """Return one run's costs as the object that `--json` prints; money as decimal text."""
    return {
        "run": cost.run,
        "prefix": cost.prefix,
        "price_usd_per_hour": str(cost.price_usd_per_hour),
        "duration_hours": cost.duration_hours,
        "elapsed_s": round(cost.elapsed_s, 1),
        "used_usd": str(cost.used_usd),
        "bought_usd": str(cost.bought_usd),
        "bought_from": "stack" if cost.bought_known else "hours first bought, without fees",
        "size_bytes": cost.size_bytes,
        "storage_usd_per_month": str(cost.storage_usd_per_month),
        "attempts": [
            {**asdict(attempt), "usd": str(round(attempt.usd, 6))} for attempt in cost.attempts
        ],
    }


def finding(one: Finding) -> RenderableType:
    """Draw one check of the doctor, with its remedy below."""
    mark, style = _OUTCOME[one.outcome]
    row = Table.grid(padding=(0, 1))
    row.add_column(width=9)
    row.add_column(width=16, overflow="fold")
    row.add_column(overflow="fold")
    outcome, what = Text(f"{mark} {one.outcome}", style=style), Text(one.what, overflow="fold")
    if one.remedy:
        what.append(f"\n→ {one.remedy}", style="cyan")
    row.add_row(outcome, Text(one.check), what)
    narrow = Group(Text.assemble(outcome, f" {one.check}", overflow="fold"), indented(what))
    return FromWidth(least=_DOCTOR_COLUMNS, wide=row, narrow=narrow)


def remains_json(remains: Remains, *, deleted: bool) -> dict[str, Any]:
    """Return what `rm --json` prints."""
    return {
        "prefix": remains.prefix,
        "objects": len(remains.keys),
        "size_bytes": remains.size_bytes,
        "open_uploads": len(remains.uploads),
        "deleted": deleted,
    }
