"""A stand-in for nanochat's `python` and `torchrun`: checks arguments, prints and leaves files.

    standin_nanochat.py torchrun --standalone --nproc_per_node=8 -m scripts.base_train -- --depth=20
    standin_nanochat.py python -m scripts.tok_train --vocab-size=32768

The flag tables are those of nanochat_parsers.py, at the commit that STANDIN_COMMIT chooses. A flag
that a program does not have ends it with exit code 2, as argparse does.
Nothing is trained; the lines and files look like the real ones.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nanochat_parsers import TABLES, parser

SHOWN_STEPS = 12
COMMIT = os.environ.get("STANDIN_COMMIT", "may")
HAS_MID = "scripts.mid_train" in TABLES[COMMIT]
SHARDS = "base_data" if HAS_MID else "base_data_climbmix"
VALIDATION_SHARD = 6542


class Program:
    """One call: the parsed flags, the world size, the base folder."""

    def __init__(self, module: str, arguments: list[str], *, world_size: int) -> None:
        self.flags = parser_here(module).parse_args(arguments)
        self.world_size = world_size
        self.base = Path(os.environ["NANOCHAT_BASE_DIR"])
        self.base.mkdir(parents=True, exist_ok=True)

    def flag(self, name: str, default: Any) -> Any:
        """Return a flag's value, or nanochat's default for it."""
        value = getattr(self.flags, name)
        return default if value is None else value


def parser_here(module: str) -> argparse.ArgumentParser:
    """Return the parser of a program of the chosen commit; exit code 1 when it has none such."""
    try:
        return parser(module, commit=COMMIT)
    except KeyError:
        raise SystemExit(f"No module named {module!r} at nanochat {COMMIT}") from None


def dataset(program: Program) -> None:
    """Leave shards that pass for parquet files."""
    folder = program.base / SHARDS
    folder.mkdir(exist_ok=True)
    wanted = [*range(program.flag("num_files", -1)), *([] if HAS_MID else [VALIDATION_SHARD])]
    for number in wanted:
        (folder / f"shard_{number:05d}.parquet").write_bytes(b"PAR1 stand-in PAR1")
    print(f"Done! Downloaded: {len(wanted)}/{len(wanted)} shards to {folder}")


def tok_train(program: Program) -> None:
    """Leave a tokenizer; a vocabulary below 265 is refused, as the real one does."""
    assert program.flag("vocab_size", 32768) >= 265, "vocab_size_no_special must be at least 256"
    folder = program.base / "tokenizer"
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.pkl").write_bytes(b"stand-in")
    archive(folder / "token_bytes.pt")
    print(f"max_chars: {program.flag('max_chars', 2_000_000_000):,}\nTraining time: 61.23s")
    section(program, "tokenizer-training")


def base_train(program: Program) -> None:
    """Print the training lines, save as often as asked, resume only from what is there."""
    ranks, rows = program.world_size, program.flag("device_batch_size", 32)
    per_pass = rows * program.flag("max_seq_len", 2048) * ranks
    asked = program.flag("total_batch_size", -1)
    batch = asked if asked > 0 else max(1 << 20, per_pass)
    assert batch % per_pass == 0, f"total_batch_size ({batch}) must be a multiple of {per_pass}."
    total = program.flag("num_iterations", -1)
    if total < 0:
        total = 5568
        print(f"Calculated number of iterations from target data:param ratio: {total:,}")
    print(f"Total batch size {batch:,} => gradient accumulation steps: {batch // per_pass}")
    folder = (
        program.base
        / "base_checkpoints"
        / (program.flags.model_tag or f"d{program.flag('depth', 20)}")
    )
    begin = max(program.flag("resume_from_step", -1), 0)
    if begin and not (folder / f"model_{begin:06d}.pt").exists():
        raise FileNotFoundError(folder / f"model_{begin:06d}.pt")
    every = program.flag("save_every", -1)
    for step in sorted({*range(begin, total, max(1, total // SHOWN_STEPS)), total - 1}):
        print(
            f"step {step:05d}/{total:05d} ({100 * step / total:.2f}%)"
            f" | loss: {9 - step / total:.6f} | lrm: 1.00 | dt: 1066.12ms"
            f" | tok/sec: {batch:,} | bf16_mfu: 61.70"
            f" | epoch: 1 pq: 3 rg: 40 | total time: {step / 56:.2f}m | eta: 1.0m"
        )
    for step in range(begin + 1, total):
        if every > 0 and step % every == 0:
            checkpoint(folder, step, ranks=ranks)
    print(f"Step {total:05d} | Validation bpb: 0.721000")
    checkpoint(folder, total, ranks=ranks)
    closing()
    section(program, "base-model-training")


def mid_train(program: Program) -> None:
    """Go on from the base model, and save once, at the end; only rank 0 keeps its optimizer."""
    tag = program.flags.model_tag
    newest(program.base / "base_checkpoints" / tag)
    per_pass = program.flag("device_batch_size", 32) * program.flag("max_seq_len", 2048)
    assert program.flag("total_batch_size", 524288) % (per_pass * program.world_size) == 0
    total = program.flag("num_iterations", -1)
    total = 800 if total < 0 else total
    for step in range(0, total, max(1, total // SHOWN_STEPS)):
        print(
            f"step {step:05d} ({100 * step / total:.2f}%) | loss: {3 - step / total:.6f}"
            " | lrm: 1.00 | dt: 480.00ms | tok/sec: 1,092,266 | mfu: 47.00 | epoch: 1"
            " | total time: 0.10m"
        )
    print(f"Step {total:05d} | Validation bpb: 0.4000")
    checkpoint(program.base / "mid_checkpoints" / tag, total, ranks=1)
    closing()
    section(program, "midtraining")


def sft_of_mid(program: Program) -> None:
    """Finetune the model of midtraining, with the lines and the one saved step of that time."""
    tag = program.flags.model_tag
    newest(program.base / f"{program.flag('source', 'mid')}_checkpoints" / tag)
    at_once = program.flag("device_batch_size", 4) * program.world_size
    assert program.flag("target_examples_per_step", 32) % at_once == 0, "must be divisible"
    total = program.flag("num_iterations", -1)
    total = 701 if total < 0 else total
    for step in range(0, total - 1, max(1, total // SHOWN_STEPS)):
        print(
            f"Step {step:05d}/{total:05d} | Training loss: {2 - step / total:.6f}"
            f"| lrm: {1 - step / total:.6f}| num_tokens: 12,345"
        )
    print(f"Step {total - 1:05d} | mmlu_acc: 0.310000, arc_easy_acc: 0.390000")
    checkpoint(program.base / "chatsft_checkpoints" / tag, total - 1, ranks=0)
    section(program, "chat-sft")


def chat_sft(program: Program) -> None:
    """Warm-start from the base model; count batches, of which one is fetched ahead, as upstream."""
    if HAS_MID:
        sft_of_mid(program)
        return
    tag = program.flags.model_tag
    newest(program.base / "base_checkpoints" / tag)
    if program.flag("chatcore_every", 200) > 0:
        raise SystemExit("ChatCORE in SFT runs code of the model beside the W&B key")
    rows, length = program.flag("device_batch_size", 32), program.flag("max_seq_len", 2048)
    per_pass = rows * length * program.world_size
    asked = program.flag("total_batch_size", per_pass)
    assert asked % per_pass == 0, f"{asked} tokens are no multiple of {per_pass}"
    total = program.flag("num_iterations", -1)
    total = 500 if total < 0 else total
    step, batches = 0, 1
    while batches < total:
        step, batches = step + 1, batches + asked // per_pass
        done = batches / total
        print(
            f"step {step:05d} ({100 * done:.2f}%) | loss: {2 - done:.6f}"
            f" | lrm: {min(1.0, 2 * (1 - done)):.2f} | dt: 900.00ms"
            f" | tok/sec: 1,048,576 | mfu: 55.00 | epoch: 1 | total time: 0.10m"
        )
    checkpoint(program.base / "chatsft_checkpoints" / tag, step, ranks=program.world_size)
    closing()
    section(program, "sft")


def base_eval(program: Program) -> None:
    """Leave the CORE table when CORE is asked for."""
    step = newest(program.base / "base_checkpoints" / program.flags.model_tag)
    modes = {"core"} if HAS_MID else set(program.flag("eval", "core,bpb,sample").split(","))
    assert modes <= {"core", "bpb", "sample"}, f"unknown evaluation in {modes}"
    if "core" in modes:
        if not (program.base / "eval_bundle" / "core.yaml").exists():
            raise FileNotFoundError("eval_bundle/core.yaml")
        folder = program.base / "base_eval"
        folder.mkdir(exist_ok=True)
        (folder / f"base_model_{step:06d}.csv").write_text(
            "Task, Accuracy, Centered\nCORE, , 0.25\n"
        )
        print("CORE metric: 0.2567")
    if not HAS_MID:
        print("train bpb: 0.700000\nval bpb: 0.721000")
    section(program, "base-model-evaluation")


def base_loss(program: Program) -> None:
    """Print the losses of the base model, which later commits leave to base_eval."""
    newest(program.base / "base_checkpoints" / program.flags.model_tag)
    print("train bpb: 0.7000\nval bpb: 0.7210")
    section(program, "base-model-loss")


def chat_eval(program: Program) -> None:
    """Print one score; refuse to run beside credentials, as it runs what the model wrote."""
    seen = [name for name in os.environ if "SECRET" in name or name.endswith(("_KEY", "_TOKEN"))]
    assert not seen, f"credentials in the environment of HumanEval: {seen}"
    source = program.flags.source
    folder = "mid_checkpoints" if source == "mid" else f"chat{source}_checkpoints"
    newest(program.base / folder / program.flags.model_tag)
    print("ARC-Easy accuracy: 55.00%\nChatCORE metric: 0.3000")
    section(program, f"chat-evaluation-{source}")


def report(program: Program) -> None:
    """Join the sections."""
    folder = program.base / "report"
    folder.mkdir(exist_ok=True)
    if program.flag("command", "generate") == "reset":
        (folder / "header.md").write_text("# nanochat training report\n")
    else:
        (folder / "report.md").write_text("# nanochat training report\n")


def prepare(base: Path, what: str) -> None:
    """Leave what our own preparation fetches; its arguments are checked elsewhere."""
    base.mkdir(parents=True, exist_ok=True)
    if what in ("begin", "shards"):
        for number in (0, 1 if HAS_MID else VALIDATION_SHARD):
            (base / SHARDS).mkdir(exist_ok=True)
            (base / SHARDS / f"shard_{number:05d}.parquet").write_bytes(b"PAR1PAR1")
    elif what == "eval-bundle":
        (base / "eval_bundle").mkdir(exist_ok=True)
        (base / "eval_bundle" / "core.yaml").touch()


PROGRAMS: dict[str, Callable[[Program], None]] = {
    "nanochat.dataset": dataset,
    "nanochat.report": report,
    "scripts.tok_train": tok_train,
    "scripts.base_train": base_train,
    "scripts.base_loss": base_loss,
    "scripts.base_eval": base_eval,
    "scripts.mid_train": mid_train,
    "scripts.chat_sft": chat_sft,
    "scripts.chat_eval": chat_eval,
    "scripts.chat_web": lambda _: None,
}


def checkpoint(folder: Path, step: int, *, ranks: int) -> None:
    """Leave what a step leaves: model, meta with a bare Infinity, an optimizer file a rank."""
    folder.mkdir(parents=True, exist_ok=True)
    archive(folder / f"model_{step:06d}.pt")
    meta = {"step": step, "val_bpb": 0.721, "loop_state": {"min_val_bpb": float("inf")}}
    (folder / f"meta_{step:06d}.json").write_text(json.dumps(meta))
    for rank in range(ranks):
        archive(folder / f"optim_{step:06d}_rank{rank}.pt")


def archive(file: Path) -> None:
    """Leave a file that passes for torch's: a zip archive."""
    with zipfile.ZipFile(file, "w") as content:
        content.writestr("archive/data.pkl", f"stand-in for {file.name}")


def newest(folder: Path) -> int:
    """Return the newest step in a folder, by name alone, as nanochat's loaders do."""
    found = sorted(folder.glob("model_*.pt"))
    if not found:
        raise FileNotFoundError(f"No checkpoints found in {folder}")
    return int(found[-1].stem.removeprefix("model_"))


def section(program: Program, name: str) -> None:
    """Leave a section of the report, at the commit that has one."""
    if "nanochat.report" in TABLES[COMMIT]:
        folder = program.base / "report"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.md").write_text(f"## {name}\n")


def closing() -> None:
    """Print the last three lines of a training."""
    print("Peak memory usage: 71234.56MiB\nTotal training time: 98.76m")
    print("Minimum validation bpb: 0.721000", flush=True)


def main(argv: list[str]) -> int:
    """Run one call of `python` or `torchrun`."""
    launcher, *arguments = argv
    world_size = 1
    if launcher == "torchrun":
        launch = argparse.ArgumentParser(prog="torchrun", allow_abbrev=False)
        launch.add_argument("--standalone", action="store_true", required=True)
        launch.add_argument("--nproc_per_node", type=int, required=True)
        launch.add_argument("-m", dest="module", action="store_true", required=True)
        cut = arguments.index("--")
        found, rest = launch.parse_known_args(arguments[:cut])
        assert len(rest) == 1, f"torchrun takes one module, got {rest}"
        world_size, module, arguments = found.nproc_per_node, rest[0], arguments[cut + 1 :]
    else:
        assert arguments[0] == "-m", "nanochat's programs are run with -m"
        module, arguments = arguments[1], arguments[2:]
    if module == "container.nanochat.prepare":
        prepare(Path(os.environ["NANOCHAT_BASE_DIR"]), arguments[0])
        return 0
    if module == "container.nanochat.report":
        module, arguments = "nanochat.report", ["generate"]
    PROGRAMS[module](Program(module, arguments, world_size=world_size))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
