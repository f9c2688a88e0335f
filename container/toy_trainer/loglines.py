"""The lines that nanochat prints and others read: their exact formats, no training.

As at nanochat 92d63d4, scripts/base_train.py and scripts/chat_sft.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EMA_BETA = 0.9
UNCOUNTED_STEPS = 10  # the total time leaves out the first ones, as nanochat does


@dataclass(frozen=True, kw_only=True)
class StepFacts:
    """What one line of the training log says; `loss` is already smoothed."""

    step: int
    total_steps: int
    loss: float
    lrm: float
    dt_s: float
    tokens: int
    epoch: str
    total_s: float


def base_step(facts: StepFacts) -> str:
    """Return the line that base_train prints after each step."""
    line = (
        f"step {facts.step:05d}/{facts.total_steps:05d} ({_percent(facts):.2f}%)"
        f" | loss: {facts.loss:.6f} | lrm: {facts.lrm:.2f} | dt: {facts.dt_s * 1000:.2f}ms"
        f" | tok/sec: {int(facts.tokens / facts.dt_s):,} | bf16_mfu: 0.00"
        f" | epoch: {facts.epoch} | total time: {facts.total_s / 60:.2f}m"
    )
    counted = facts.step - UNCOUNTED_STEPS
    if counted <= 0:
        return line
    eta_s = (facts.total_steps - facts.step) * facts.total_s / counted
    return f"{line} | eta: {eta_s / 60:.1f}m"


def sft_step(facts: StepFacts) -> str:
    """Return the line that chat_sft prints after each step: no total, `mfu`, no eta."""
    return (
        f"step {facts.step:05d} ({_percent(facts):.2f}%) | loss: {facts.loss:.6f}"
        f" | lrm: {facts.lrm:.2f} | dt: {facts.dt_s * 1000:.2f}ms"
        f" | tok/sec: {int(facts.tokens / facts.dt_s):,} | mfu: 0.00"
        f" | epoch: {facts.epoch} | total time: {facts.total_s / 60:.2f}m"
    )


def validation(*, step: int, bpb: float) -> str:
    """Return the line of an evaluation on the validation shard."""
    return f"Step {step:05d} | Validation bpb: {bpb:.6f}"


def closing(*, peak_bytes: int, total_s: float, min_val_bpb: float | None) -> list[str]:
    """Return the last lines of a training program; the third only when there was an evaluation."""
    lines = [
        f"Peak memory usage: {peak_bytes / 1024 / 1024:.2f}MiB",
        f"Total training time: {total_s / 60:.2f}m",
    ]
    if min_val_bpb is not None:
        lines.append(f"Minimum validation bpb: {min_val_bpb:.6f}")
    return lines


def debiased(smooth_loss: float, *, step: int) -> float:
    """Return the moving average of the loss after `step` + 1 steps, free of its zero start."""
    return smooth_loss / (1 - EMA_BETA ** (step + 1))


def epoch_field(position: Mapping[str, int]) -> str:
    """Return where the data is: nanochat's epoch, file and row group; here epoch, file and row."""
    return f"{position['epoch']} pq: {position['pq_idx']} rg: {position['rg_idx']}"


def _percent(facts: StepFacts) -> float:
    return 100 * facts.step / facts.total_steps
