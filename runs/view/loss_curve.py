"""The loss curve of a run in the bucket: read, drawn as text, and as CSV or JSON."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from container.contract.keys import METRICS_PREFIX
from container.contract.metrics import in_order, merge, parse
from container.contract.records import Metric
from runs.source.bucket import ReadOnlyBucket
from runs.terminal import formats

_MAX_WIDTH = 120  # wider, and a curve is flat
_MOST = 1e9


def read_metrics(bucket: ReadOnlyBucket, prefix: str) -> list[Metric]:
    """Return a run's one history, read from every metric object in parallel."""
    keys = in_order(o.key for o in bucket.objects(f"{prefix}/{METRICS_PREFIX}"))
    return merge(
        metric for _, raw in bucket.read_many(keys) if raw is not None for metric in parse(raw)
    )


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


def _drawable(value: float) -> bool:
    """Say whether a point can be drawn: plotext ends the whole process over one that is no number.

    A loss that has diverged is none, and so far beyond all others that these would be a line.
    """
    return math.isfinite(value) and abs(value) < _MOST


def _draw(metrics: Sequence[Metric], *, title: str, width: int, height: int, colour: bool) -> str:
    losses = [(m.step, m.loss) for m in metrics if m.loss is not None and _drawable(m.loss)]
    bpbs = [(m.step, m.val_bpb) for m in metrics if m.val_bpb is not None and _drawable(m.val_bpb)]
    untyped: Any = importlib.import_module("plotext")  # untyped; 0.3 s that others need not wait
    figure = untyped.figure
    figure.clear()
    figure.plot_size(width, height)
    # The default theme paints the background white, whatever the terminal's is.
    figure.theme("simple" if colour else "colorless")
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
    left_out = sum(m.loss is not None and not _drawable(m.loss) for m in metrics)
    if left_out:
        title += f"   {formats.plural(left_out, 'step')} without a number"
    if not losses and not bpbs:
        return title
    ticks = round_ticks([step for step, _ in losses + bpbs])
    figure.ruler("x", "lower").ticks(ticks, [f"{tick:,}" for tick in ticks])
    text = str(figure.build())
    # Not figure.title: plotext leaves a title out for which it has no room.
    return f"{title}\n{text if colour else untyped.uncolorize(text)}"
