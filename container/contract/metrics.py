"""The loss curve from the metric segments of a run: their order, their lines, one history of all.

Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any

from container.contract.keys import MetricSegment
from container.contract.records import Metric
from container.contract.typed_json import typed


def in_order(keys: Iterable[str]) -> list[str]:
    """Return the keys of metric segments in the order in which they were written.

    Attempt and sequence are numbers, so `10-2` comes after `9-11`; other keys are left out.
    """
    segments: list[tuple[int, int, str]] = []
    for key in keys:
        if segment := MetricSegment.parse(key):
            segments.append((segment.attempt, segment.sequence, key))
    return [key for _, _, key in sorted(segments)]


def parse(raw: bytes) -> Iterator[Metric]:
    """Yield the metrics of one segment; a line that is none (cut, or too new) is left out."""
    for line in raw.decode("utf-8", errors="replace").splitlines():
        try:
            members: Any = json.loads(line)
            metric = typed(Metric, members)
        except (ValueError, TypeError, RecursionError):
            continue
        yield metric


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


def _overlay(known: Metric, later: Metric) -> Metric:
    return replace(known, **{k: v for k, v in asdict(later).items() if v is not None})
