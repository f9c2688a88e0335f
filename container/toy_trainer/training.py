"""The training loop of base_train and chat_sft: steps, evaluations, checkpoints.

It promises that a run killed at any moment and resumed from a checkpoint ends with the same
weights, bit by bit, given the same flags, data, thread count and processor family.
"""

# pyright: basic, reportMissingImports=false
# torch, tiktoken and rustbpe are in the image only, and torch 1.13 has no type stubs.

from __future__ import annotations

import math
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from container.toy_trainer import checkpoints, loglines
from container.toy_trainer.gpt import GPT, IGNORED
from container.toy_trainer.loglines import StepFacts
from container.toy_trainer.process import STOPPED, StopRequest
from container.toy_trainer.rows import Rows

ADAM_BETAS = (0.8, 0.95)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long, how fast, how often; `user_config` are the flags, kept in the meta file."""

    folder: Path
    total_steps: int
    device_batch_size: int
    accumulation: int
    warmup_steps: int
    warmdown_ratio: float
    init_lr_frac: float
    final_lr_frac: float
    eval_every: int
    eval_tokens: int
    save_every: int
    data_sha256: str
    user_config: dict[str, Any]
    line: Any  # loglines.base_step or loglines.sft_step


@dataclass
class Progress:
    """Loop state that a resumed run needs, besides weights, optimizer and data position."""

    step: int = 0
    val_bpb: float | None = None
    min_val_bpb: float | None = None
    smooth_loss: float = 0.0
    total_s: float = 0.0
    curve: list[tuple[int, float]] = field(default_factory=list)


def optimizer(model: GPT, *, matrix: float, embedding: float, head: float, decay: float):
    """Return AdamW with one learning rate each for matrices, embedding and head."""
    groups = [
        {"params": list(model.blocks.parameters()), "lr": matrix, "weight_decay": decay},
        {"params": [model.wte.weight], "lr": embedding, "weight_decay": 0.0},
        {"params": [model.lm_head.weight], "lr": head, "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups, betas=ADAM_BETAS, eps=1e-10, foreach=True)
    for group in adam.param_groups:
        group["initial_lr"] = group["lr"]
    return adam


def train(
    plan: Plan,
    *,
    model: GPT,
    adam: torch.optim.Optimizer,
    rows: Rows,
    val_rows: Rows,
    token_bytes: torch.Tensor,
    stop: StopRequest,
    resume_from: int,
) -> tuple[int, Progress]:
    """Run to the last step or to a stop; return the exit code and the final state."""
    progress = Progress()
    if resume_from >= 0:
        progress = _resume(plan, model=model, adam=adam, rows=rows, step=resume_from)
    while True:
        step, last = progress.step, progress.step == plan.total_steps
        if plan.eval_every > 0 and (last or step % plan.eval_every == 0):
            _evaluate(plan, progress, model, val_rows, token_bytes)
        due = plan.save_every > 0 and step % plan.save_every == 0
        if last or (step not in (0, resume_from) and (due or stop.asked)):
            _save(plan, progress, model, adam, rows)
        if last:
            break
        if stop.asked:
            print(f"SIGTERM: stopped after step {step:05d}", flush=True)
            return STOPPED, progress
        _step(plan, progress, model, adam, rows)
        progress.step += 1
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for line in loglines.closing(
        peak_bytes=peak_bytes, total_s=progress.total_s, min_val_bpb=progress.min_val_bpb
    ):
        print(line, flush=True)
    return 0, progress


@torch.no_grad()
def bits_per_byte(
    model: GPT, rows: Rows, token_bytes: torch.Tensor, *, batch: int, tokens: int
) -> float:
    """Return the loss in bits per byte of text; targets without bytes do not count."""
    model.eval()
    nats, size_bytes = 0.0, 0
    count = min(len(rows), max(1, tokens // rows.inputs.size(1)))
    for start in range(0, count, batch):
        inputs = rows.inputs[start : min(start + batch, count)]
        targets = rows.targets[start : min(start + batch, count)]
        sizes = torch.where(targets == IGNORED, 0, token_bytes[targets.clamp(min=0)])
        loss = model(inputs, targets, each=True)
        nats += float((loss * (sizes > 0)).sum())
        size_bytes += int(sizes.sum())
    model.train()
    return nats / (math.log(2) * size_bytes) if size_bytes else float("inf")


def accumulation(total_batch_size: int, tokens_per_batch: int) -> int:
    """Return the micro-steps that make up a step; -1 asks for one."""
    total = tokens_per_batch if total_batch_size < 0 else total_batch_size
    if total % tokens_per_batch:
        raise SystemExit(
            f"--total-batch-size {total} must be a multiple of {tokens_per_batch} tokens "
            "(device batch x sequence length)"
        )
    print(f"Total batch size {total:,} => gradient accumulation steps: {total // tokens_per_batch}")
    return total // tokens_per_batch


def facts(plan: Plan, progress: Progress, model: GPT) -> dict[str, object]:
    """Return what the report says about a finished training."""
    return {
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "steps": plan.total_steps,
        "tokens per step": plan.accumulation * plan.device_batch_size * model.config.sequence_len,
        "training time": f"{progress.total_s:.1f} s",
        "first_loss": progress.curve[0][1] if progress.curve else "-",
        "final_loss": progress.curve[-1][1] if progress.curve else "-",
        "loss by step": ", ".join(f"{step}: {loss:.2f}" for step, loss in progress.curve),
        "minimum validation bpb": progress.min_val_bpb and round(progress.min_val_bpb, 4),
    }


def lr_multiplier(plan: Plan, step: int) -> float:
    """Return the factor on all learning rates: up, flat, and down over the last part."""
    if step < plan.warmup_steps:
        return plan.init_lr_frac * (step + 1) / plan.warmup_steps
    warmdown = round(plan.warmdown_ratio * plan.total_steps)
    left = plan.total_steps - step
    if left >= warmdown:
        return plan.init_lr_frac
    share = left / warmdown
    return plan.init_lr_frac * (share + (1 - share) * plan.final_lr_frac)


def _step(
    plan: Plan, progress: Progress, model: GPT, adam: torch.optim.Optimizer, rows: Rows
) -> None:
    started = time.perf_counter()
    lrm = lr_multiplier(plan, progress.step)
    for group in adam.param_groups:
        group["lr"] = group["initial_lr"] * lrm
    loss_value = 0.0
    for _ in range(plan.accumulation):
        inputs, targets = rows.batch(plan.device_batch_size)
        loss = model(inputs, targets)
        (loss / plan.accumulation).backward()
        loss_value = float(loss.detach())
    adam.step()
    adam.zero_grad(set_to_none=True)
    dt_s = time.perf_counter() - started
    if not math.isfinite(loss_value):
        raise FloatingPointError(
            f"The loss is {loss_value} at step {progress.step}: training on would save a useless "
            "model. Lower --matrix-lr and --embedding-lr."
        )
    beta = loglines.EMA_BETA
    progress.smooth_loss = beta * progress.smooth_loss + (1 - beta) * loss_value
    if progress.step > loglines.UNCOUNTED_STEPS:
        progress.total_s += dt_s
    shown = loglines.debiased(progress.smooth_loss, step=progress.step)
    if progress.step % max(1, plan.total_steps // 10) == 0 or progress.step == plan.total_steps - 1:
        progress.curve.append((progress.step, round(shown, 4)))
    facts = StepFacts(
        step=progress.step,
        total_steps=plan.total_steps,
        loss=shown,
        lrm=lrm,
        dt_s=dt_s,
        tokens=plan.accumulation * plan.device_batch_size * rows.inputs.size(1),
        epoch=loglines.epoch_field(rows.position()),
        total_s=progress.total_s,
    )
    print(plan.line(facts), flush=True)


def _evaluate(
    plan: Plan, progress: Progress, model: GPT, val_rows: Rows, token_bytes: torch.Tensor
) -> None:
    bpb = bits_per_byte(
        model, val_rows, token_bytes, batch=plan.device_batch_size, tokens=plan.eval_tokens
    )
    progress.val_bpb = bpb
    progress.min_val_bpb = bpb if progress.min_val_bpb is None else min(bpb, progress.min_val_bpb)
    print(loglines.validation(step=progress.step, bpb=bpb), flush=True)


def _save(
    plan: Plan, progress: Progress, model: GPT, adam: torch.optim.Optimizer, rows: Rows
) -> None:
    meta = {
        "val_bpb": progress.val_bpb,
        "user_config": plan.user_config,
        "device_batch_size": plan.device_batch_size,
        "max_seq_len": rows.inputs.size(1),
        "total_batch_size": plan.accumulation * plan.device_batch_size * rows.inputs.size(1),
        "dataloader_state_dict": rows.position(),
        "loop_state": {
            "min_val_bpb": progress.min_val_bpb,
            "smooth_train_loss": progress.smooth_loss,
            "total_training_time": progress.total_s,
            "curve": progress.curve,
        },
        "total_steps": plan.total_steps,
        "data_sha256": plan.data_sha256,
        "num_threads": torch.get_num_threads(),
    }
    optim = {"optimizer": adam.state_dict(), "rng": torch.get_rng_state()}
    checkpoints.save(plan.folder, step=progress.step, model=model, optim=optim, meta=meta)


def _resume(
    plan: Plan, *, model: GPT, adam: torch.optim.Optimizer, rows: Rows, step: int
) -> Progress:
    meta = checkpoints.load_meta(plan.folder, step)
    now = {
        "total_batch_size": plan.accumulation * plan.device_batch_size * rows.inputs.size(1),
        "total_steps": plan.total_steps,
        "data_sha256": plan.data_sha256,
    }
    changed = [f"{key} {meta[key]} -> {value}" for key, value in now.items() if meta[key] != value]
    if changed:
        raise SystemExit(
            f"Cannot resume {plan.folder.name} from step {step}: {'; '.join(changed)}. "
            "Use the flags and data that it was started with, or start anew with another tag."
        )
    if meta["num_threads"] != torch.get_num_threads():
        print(
            f"WARNING: step {step} was saved with {meta['num_threads']} threads: last bits differ"
        )
    model.load_state_dict(checkpoints.load_model(plan.folder, step).state_dict())
    optim = checkpoints.load_optim(plan.folder, step)
    adam.load_state_dict(optim["optimizer"])
    torch.set_rng_state(optim["rng"])
    rows.seek(meta["dataloader_state_dict"])
    loop = meta["loop_state"]
    print(f"Resumed from step {step:05d} of {plan.folder}", flush=True)
    return Progress(
        step=step,
        val_bpb=meta["val_bpb"],
        min_val_bpb=loop["min_val_bpb"],
        smooth_loss=loop["smooth_train_loss"],
        total_s=loop["total_training_time"],
        curve=[(s, v) for s, v in loop["curve"]],
    )
