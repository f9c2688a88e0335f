"""How runs look on a terminal: panel, tables, plain lines; decides nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from container.contract import bought_time, machine_trust
from container.contract.link_speed import in_words
from container.contract.records import RunStatus, StageStatus
from runs.same_place import in_same_place
from runs.terminal import formats
from runs.view.layout import FromWidth, Records
from runs.view.standing import ENDED, Standing, View, stages_left

STYLE: dict[Standing, str] = {
    "waiting": "yellow",
    "running": "cyan",
    "quiet": "yellow",
    "gone": "red",
    "succeeded": "green",
    "failed": "red",
    "stopped": "yellow",
}
_MARK = {"done": "✓", "running": "▶", "failed": "✗", "skipped": "–", "waiting": "·"}
_MARK_STYLE = {"done": "green", "running": "cyan", "failed": "red"}
_SPARKS = 16
_BAR = 34
_LATE_SHOWN = 2  # of several runs
_STAGES_SHOWN = 12  # a panel of 24 lines has no room for more; the middle ones are left out


def plain_line(view: View) -> str:
    """Write one run as one log line: how long, how much, where it is."""
    head = f"[{formats.duration(view.elapsed_s)} {formats.usd(view.dollars)}]"
    parts = [head, view.run]
    status = view.status
    if view.standing in ("waiting", "quiet", "gone"):
        parts.append(silence(view))
    elif view.standing in ENDED:
        parts.append(f"{view.standing}: {formats.flat(view.reason)}")
    if status is None or (view.standing in ENDED and view.standing != "gone"):
        return " ".join(parts)
    parts.append(f"{status.stage} {_steps(status)}".rstrip())
    if status.loss is not None:
        parts.append(f"loss {formats.loss(status.loss)}")
    if status.tokens_per_s:
        parts.append(f"{formats.count(status.tokens_per_s)} tok/s")
    if status.uploaded_bytes or status.pending_bytes:
        parts.append(_sent(status))
    if view.eta_s is not None:
        parts.append(f"eta {formats.duration(view.eta_s)}")
    if told := bought(status):
        parts.append(f"({told})")
    if told := checked(status):
        parts.append(f"({told})")
    if view.trouble:
        parts.append(f"({view.trouble})")
    return " ".join(parts)


def bought(status: RunStatus) -> str:
    """Say in words whether a run ends within its bought hours; "" while their end is not near."""
    return bought_time.in_words(
        status.in_time, ends_in_s=status.bought_left_s, needs_s=status.stage_needs_s
    )


def checked(status: RunStatus) -> str:
    """Say in words what the check of the machine came to; "" once it has passed."""
    if status.outcome is not None or status.no_verdict:
        return ""  # that tells
    return machine_trust.in_words(status.machine, status.machine_why)


def silence(view: View) -> str:
    """Say in words how long a machine has been silent, or waited for."""
    if view.standing == "waiting":
        return f"waiting for the machine's first sign of life ({formats.duration(view.waited_s)})"
    if view.beat_age_s is None:
        return f"no sign of life within {formats.duration(view.waited_s)}"
    return f"no sign of life for {formats.duration(view.beat_age_s)}"


def panel(view: View) -> RenderableType:
    """Draw one run: stages, progress, numbers; fits 80 × 24, and any width."""
    rows: list[RenderableType] = []
    status = view.status
    if status is None:
        rows.append(Text(silence(view) + " …", style="yellow"))
        rows.append(Text("pulling the image and starting takes a while", style="dim"))
    else:
        rows += [_stage_table(status.stages), Text()]
        if view.verdict is None or status.step is not None:
            rows.append(_progress(view, status))
        rows.append(_numbers(view, status))
    rows.append(_money(view))
    rows += _remarks(view)
    recipe = f" · {formats.flat(status.recipe)}" if status else ""
    attempt = f" · attempt {status.attempt}" if status and status.attempt > 1 else ""
    title = Text.assemble((view.run, "bold"), recipe, attempt, " · ", _standing(view))
    return _framed(rows, title=title, origin=_origin(view), border_style=STYLE[view.standing])


def _framed(
    rows: Sequence[RenderableType], *, title: Text, origin: str, border_style: str
) -> RenderableType:
    """Put title and origin into the frame, within it where the frame has no room for them."""
    wide = Panel(
        Group(*rows),
        title=title,
        title_align="left",
        subtitle=Text(origin, style="dim"),
        subtitle_align="right",
        border_style=border_style,
        padding=(0, 1),
    )
    below = [Text(origin, style="dim")] if origin else []
    narrow = Panel(Group(title, *rows, *below), border_style=border_style, padding=(0, 1))
    least = max(title.cell_len, len(origin)) + 6
    return FromWidth(least=least, wide=wide, narrow=narrow)


def picture(views: Sequence[View], *, height: int, width: int = 80) -> RenderableType:
    """Draw what is watched: one run as a panel, several as a table that fits the height."""
    if len(views) == 1:
        return panel(views[0])
    most = max(1, (height - 6) // table_of_runs(views).lines_each(width))
    shown = sorted(views, key=lambda view: view.standing in ENDED)
    parts: list[RenderableType] = [_counts(views), table_of_runs(shown[:most])]
    if len(shown) > most:
        more = in_same_place(f"… and {len(shown) - most} more: python -m runs status")
        parts.append(Text(more, style="dim"))
    late = [view for view in views if view.status and view.status.in_time == "no"]
    for view in late[:_LATE_SHOWN]:
        if view.standing not in ENDED and view.status:
            parts.append(Text(f"{view.run}: {bought(view.status)}", style="red"))
    troubles = sorted({view.trouble for view in views if view.trouble})
    return Group(*parts, *(Text(trouble, style="yellow") for trouble in troubles[:2]))


def table_of_runs(views: Sequence[View]) -> Records:
    """Draw several runs, one line each where there is room."""
    table = Records("run", "state", "stage", ">steps", ">loss", ">tok/s", ">time", ">cost")
    for view in views:
        status = view.status
        table.add(
            view.run,
            _standing(view),
            view.stage,
            _steps(status, percent=False) if status else "",
            formats.loss(status.loss) if status else "-",
            formats.count(status.tokens_per_s) if status and status.tokens_per_s else "-",
            formats.duration(view.elapsed_s),
            formats.usd(view.dollars),
        )
    return table


def as_json(view: View) -> dict[str, Any]:
    """Return a view as the object that `--json` prints."""
    status = view.status
    return {
        "run": view.run,
        "prefix": view.prefix,
        "standing": view.standing,
        "stage": view.stage,
        "attempt": status.attempt if status else None,
        "step": status.step if status else None,
        "total_steps": status.total_steps if status else None,
        "loss": status.loss if status else None,
        "tokens_per_s": status.tokens_per_s if status else None,
        "mfu": status.mfu if status else None,
        "all_reduce_bytes_per_s": (status.all_reduce_bytes_per_s or None) if status else None,
        "usual_all_reduce_bytes_per_s": (status.usual_all_reduce_bytes_per_s or None)
        if status
        else None,
        "machine": (status.machine or None) if status else None,
        "machine_why": (status.machine_why or None) if status else None,
        "bought_left_s": status.bought_left_s if status else None,
        "ends_in_time": (status.in_time or None) if status else None,
        "stage_needs_s": status.stage_needs_s if status else None,
        "uploaded_bytes": status.uploaded_bytes if status else None,
        "pending_bytes": status.pending_bytes if status else None,
        "stages": [
            {"name": s.name, "state": s.state, "elapsed_s": round(s.elapsed_s, 1)}
            for s in (status.stages if status else [])
        ],
        "elapsed_s": round(view.elapsed_s, 1),
        "dollars": view.dollars,
        "estimated_cost_usd": view.estimated_cost_usd or None,
        "stage_eta_s": None if view.eta_s is None else round(view.eta_s, 1),
        "beat_age_s": None if view.beat_age_s is None else round(view.beat_age_s, 1),
        "source": view.origin,
        "reason": view.reason if view.verdict else view.reason or None,
        "exit_code": view.verdict.exit_code if view.verdict else None,
        "trouble": view.trouble or None,
    }


def _counts(views: Sequence[View]) -> Text:
    counts = Counter[Standing](view.standing for view in views)
    parts = [Text(f"{number} {name}", style=STYLE[name]) for name, number in counts.items()]
    dollars = sum(view.dollars for view in views)
    return Text(", ").join([Text(f"{len(views)} runs"), *parts, Text(formats.usd(dollars))])


def _standing(view: View) -> Text:
    return Text(view.standing, style=STYLE[view.standing])


def _steps(status: RunStatus, *, percent: bool = True) -> str:
    if status.step is None:
        return ""
    if not status.total_steps:
        return f"{status.step:,}"
    share = f" {100 * status.step // status.total_steps}%" if percent else ""
    return f"{status.step:,}/{status.total_steps:,}{share}"


def _sent(status: RunStatus) -> str:
    pending = f" +{formats.size(status.pending_bytes)}" if status.pending_bytes else ""
    return f"sent {formats.size(status.uploaded_bytes)}{pending}"


def _stage_table(stages: Sequence[StageStatus]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column()
    table.add_column(justify="right")
    shown = list(stages)
    if len(shown) > _STAGES_SHOWN:
        shown = [s for s in shown if s.state != "waiting"][-_STAGES_SHOWN:]
    for stage in shown:
        style = _MARK_STYLE.get(stage.state, "dim")
        took = (
            formats.duration(stage.elapsed_s) if stage.state not in ("waiting", "skipped") else ""
        )
        table.add_row(
            Text(_MARK.get(stage.state, "?"), style=style),
            Text(formats.flat(stage.name), style="bold" if stage.state == "running" else style),
            took or Text(stage.state if stage.state == "skipped" else "", style="dim"),
        )
    return table


def _progress(view: View, status: RunStatus) -> RenderableType:
    if status.step is None or not status.total_steps:
        return Text(formats.flat(status.stage), style="bold")
    row = Table.grid(padding=(0, 2))
    left = f"{formats.duration(view.eta_s)} left" if view.eta_s and not view.verdict else ""
    stage = Text(formats.flat(status.stage), style="bold")
    steps, eta = Text(_steps(status)), Text(left, style="cyan")
    bar = ProgressBar(total=status.total_steps, completed=status.step, width=_BAR)
    row.add_row(stage, bar, steps, eta)
    narrow = Text("  ").join([text for text in (stage, steps, eta) if text.plain])
    least = _BAR + 8 + stage.cell_len + steps.cell_len + eta.cell_len
    return FromWidth(least=least, wide=row, narrow=narrow)


def _numbers(view: View, status: RunStatus) -> Text:
    parts: list[str] = []
    if status.loss is not None:
        parts.append(f"loss {formats.loss(status.loss)}")
        if len(view.losses) > 1:
            parts[-1] += f" {formats.sparkline(view.losses, width=_SPARKS)}"
    if status.tokens_per_s:
        parts.append(f"{formats.count(status.tokens_per_s)} tok/s")
    if status.mfu:
        parts.append(f"MFU {status.mfu:.1f} %")
    if status.gpu_memory_bytes:
        parts.append(f"GPU {formats.size(status.gpu_memory_bytes)}")
    links = in_words(
        status.all_reduce_bytes_per_s, usual_bytes_per_s=status.usual_all_reduce_bytes_per_s
    )
    if links:
        parts.append(f"all-reduce {links}")
    parts.append(f"uploaded {formats.size(status.uploaded_bytes)}")
    if status.pending_bytes:
        parts[-1] += f" +{formats.size(status.pending_bytes)} pending"
    return Text("   ".join(parts), overflow="fold")


def _money(view: View) -> Text:
    cost = formats.usd(view.dollars)
    if view.estimated_cost_usd:
        cost += f" of ${view.estimated_cost_usd.lstrip('$')} bought"
    left = stages_left(view.status.stages) if view.status and not view.verdict else []
    then = f"   then {', '.join(left)}" if left else ""
    text = f"{formats.duration(view.elapsed_s)}   {cost} so far{then}"
    return Text(text, overflow="fold")


def _remarks(view: View) -> list[RenderableType]:
    remarks: list[RenderableType] = []
    if view.standing in ("quiet", "gone") and view.status is not None:
        remarks.append(Text(silence(view), style=STYLE[view.standing]))
    if view.standing not in ENDED and view.status is not None and (told := bought(view.status)):
        remarks.append(Text(told, style="red" if view.status.in_time == "no" else "yellow"))
    if view.standing not in ENDED and view.status is not None and (told := checked(view.status)):
        remarks.append(Text(told, style="red" if view.status.machine == "refused" else "dim"))
    if view.verdict is not None or view.reason:
        remarks.append(Text(formats.flat(view.reason) or view.standing, style=STYLE[view.standing]))
    elif view.status is not None and view.status.message:
        remarks.append(Text(formats.flat(view.status.message), style="dim"))
    if view.trouble:
        remarks.append(Text(view.trouble, style="yellow"))
    return remarks


def _origin(view: View) -> str:
    if view.origin == "nowhere":
        return ""
    age_s = view.beat_age_s or 0.0
    age = f", {formats.duration(age_s)} ago" if age_s >= 30 and not view.verdict else ""
    return f"said by the {view.origin}{age}"
