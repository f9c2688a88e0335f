"""The loss curve: metric objects of all attempts merged into one history, and drawn as text."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from container.contract.keys import METRICS_PREFIX, MetricSegment
from container.contract.records import Metric
from runs.source.bucket import Bucket

_MAX_WIDTH = 120  # wider, and a curve is flat
_FIELDS = frozenset(Metric.__dataclass_fields__)


def read_metrics(bucket: Bucket, prefix: str) -> list[Metric]:
    """Return a run's one history, read from every metric object in parallel."""
    keys = in_order(o.key for o in bucket.objects(f"{prefix}/{METRICS_PREFIX}"))
    return merge(
        metric for _, raw in bucket.read_many(keys) if raw is not None for metric in parse(raw)
    )


def in_order(keys: Iterable[str]) -> list[str]:
    """Return the keys of metric objects in the order in which they were written.

    Attempt and sequence are numbers, so `10-2` comes after `9-11`; other keys are left out.
    """
    found: list[tuple[int, int, str]] = []
    for key in keys:
        if segment := MetricSegment.parse(key):
            found.append((segment.attempt, segment.sequence, key))
    return [key for _, _, key in sorted(found)]


def parse(raw: bytes) -> Iterator[Metric]:
    """Yield the metrics of one object; a line that is none (cut, or too new) is left out."""
    for line in raw.decode("utf-8", errors="replace").splitlines():
        try:
            found: Any = json.loads(line)
            yield Metric(**{k: v for k, v in found.items() if k in _FIELDS})
        except (ValueError, TypeError, AttributeError):
            continue


def merge(metrics: Iterable[Metric]) -> list[Metric]:
    """Merge metrics, in the order written, into one history: one entry a stage and step.

    A step counter that goes back means that the run resumed from a checkpoint: what an earlier
    attempt did from that step on was thrown away, and is dropped here too. The same step again (an
    evaluation and a training line) is one entry with the members of both.
    """
    histories: dict[str, dict[int, Metric]] = {}
    for metric in metrics:
        history = histories.setdefault(metric.stage, {})
        last = next(reversed(history), None)
        if last is not None and metric.step < last:
            for step in [step for step in history if step >= metric.step]:
                del history[step]
        known = history.get(metric.step)
        history[metric.step] = metric if known is None else _overlay(known, metric)
    return [metric for history in histories.values() for metric in history.values()]


def pictures(
    metrics: Sequence[Metric], *, run: str, width: int, colour: bool, height: int = 16
) -> Iterator[str]:
    """Yield one drawing a stage: loss, and validation bits per byte, over the steps."""
    for stage in dict.fromkeys(metric.stage for metric in metrics):
        yield _draw(
            [metric for metric in metrics if metric.stage == stage],
            title=f"{run} {stage}",
            width=min(width, _MAX_WIDTH),
            height=height,
            colour=colour,
        )


def as_json(metrics: Iterable[Metric]) -> list[dict[str, Any]]:
    """Return what `--json` prints: one object a step, without absent members."""
    return [{k: v for k, v in asdict(m).items() if v is not None} for m in metrics]


def round_ticks(steps: Sequence[int], *, count: int = 6) -> list[int]:
    """Return whole, round step numbers between the first and the last step, for an axis."""
    if not steps:
        return []
    first, last = min(steps), max(steps)
    rough = max(1.0, (last - first) / count)
    scale = 10 ** math.floor(math.log10(rough))
    stride = int(next(m for m in (1, 2, 5, 10) if m * scale >= rough) * scale)
    return list(range(-(-first // stride) * stride, last + 1, stride))


def csv_lines(metrics: Iterable[Metric]) -> Iterator[str]:
    """Yield a header and one line a step, an absent value being empty."""
    names = list(Metric.__dataclass_fields__)
    yield ",".join(names)
    for metric in metrics:
        values = asdict(metric)
        yield ",".join("" if values[name] is None else str(values[name]) for name in names)


def _overlay(known: Metric, later: Metric) -> Metric:
    return replace(known, **{k: v for k, v in asdict(later).items() if v is not None})


def _draw(metrics: Sequence[Metric], *, title: str, width: int, height: int, colour: bool) -> str:
    losses = [(m.step, m.loss) for m in metrics if m.loss is not None]
    bpbs = [(m.step, m.val_bpb) for m in metrics if m.val_bpb is not None]
    untyped: Any = importlib.import_module("plotext")  # untyped; 0.3 s that others need not wait
    figure = untyped.figure
    figure.clear()
    figure.plot_size(width, height)
    if not colour:
        figure.theme("colorless")
    for points, marker, name, side in (
        (losses, "hd", "loss", "left"),
        (bpbs, "●", "val bpb ●", "right"),
    ):
        if not points:
            continue
        signal = figure.signal(
            [p[0] for p in points], [p[1] for p in points], marker=marker, yside=side
        )
        if marker == "hd":
            signal.lines()
        figure.draw(signal)
        title += f"   {name} {points[0][1]:.4f} → {points[-1][1]:.4f}"
    ticks = round_ticks([step for step, _ in losses + bpbs])
    figure.ruler("x", "lower").ticks(ticks, [f"{tick:,}" for tick in ticks])
    figure.title(title)
    text = str(figure.build())
    return text if colour else str(untyped.uncolorize(text))
