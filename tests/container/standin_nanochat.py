"""A stand-in for nanochat's `python` and `torchrun`: checks arguments, prints and leaves files.

    standin_nanochat.py torchrun --standalone --nproc_per_node=8 -m scripts.base_train -- --depth=20
    standin_nanochat.py python -m scripts.tok_train --vocab-size=32768

The flag tables are those of nanochat dc54a1a ("may") and 92d63d4 ("head"), chosen by
STANDIN_COMMIT. A flag that a program does not have ends it with exit code 2, as argparse does.
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

SHOWN_STEPS = 12
VALIDATION_SHARD = 6542
WHOLE, NUMBER, TEXT, SWITCH = int, float, str, None
DEVICES = ("", "cuda", "cpu", "mps")

RATES = {"--embedding-lr": NUMBER, "--unembedding-lr": NUMBER, "--matrix-lr": NUMBER}
BASE_TRAIN: dict[str, Any] = {
    "--run": TEXT, "--device-type": DEVICES, "--fp8": SWITCH,
    "--fp8-recipe": ("tensorwise", "rowwise"), "--depth": WHOLE, "--aspect-ratio": WHOLE,
    "--head-dim": WHOLE, "--max-seq-len": WHOLE, "--window-pattern": TEXT,
    "--num-iterations": WHOLE, "--target-flops": NUMBER, "--target-param-data-ratio": NUMBER,
    "--device-batch-size": WHOLE, "--total-batch-size": WHOLE, **RATES, "--weight-decay": NUMBER,
    "--scalar-lr": NUMBER, "--warmup-steps": WHOLE, "--warmdown-ratio": NUMBER,
    "--final-lr-frac": NUMBER, "--resume-from-step": WHOLE, "--eval-every": WHOLE,
    "--eval-tokens": WHOLE, "--core-metric-every": WHOLE, "--core-metric-max-per-task": WHOLE,
    "--sample-every": WHOLE, "--save-every": WHOLE, "--model-tag": TEXT,
}  # fmt: skip
CHAT_SFT: dict[str, Any] = {
    "--run": TEXT, "--device-type": DEVICES, "--model-tag": TEXT, "--model-step": WHOLE,
    "--load-optimizer": WHOLE, "--num-iterations": WHOLE, "--max-seq-len": WHOLE,
    "--device-batch-size": WHOLE, "--total-batch-size": WHOLE, **RATES,
    "--init-lr-frac": NUMBER, "--warmup-ratio": NUMBER, "--warmdown-ratio": NUMBER,
    "--final-lr-frac": NUMBER, "--eval-every": WHOLE, "--eval-tokens": WHOLE,
    "--chatcore-every": WHOLE, "--chatcore-max-cat": WHOLE, "--chatcore-max-sample": WHOLE,
    "--mmlu-epochs": WHOLE, "--gsm8k-epochs": WHOLE,
}  # fmt: skip
BASE_EVAL: dict[str, Any] = {
    "--eval": TEXT, "--model-tag": TEXT, "--step": WHOLE, "--max-per-task": WHOLE,
    "--device-batch-size": WHOLE, "--split-tokens": WHOLE, "--device-type": DEVICES,
}  # fmt: skip
CHAT_EVAL: dict[str, Any] = {
    "-i --source": TEXT, "-a --task-name": TEXT, "-t --temperature": NUMBER,
    "-m --max-new-tokens": WHOLE, "-n --num-samples": WHOLE, "-k --top-k": WHOLE,
    "-b --batch-size": WHOLE, "-g --model-tag": TEXT, "-s --step": WHOLE,
    "-x --max-problems": WHOLE, "--device-type": DEVICES,
}  # fmt: skip
CHAT_WEB: dict[str, Any] = {
    "-n --num-gpus": WHOLE, "-i --source": TEXT, "-t --temperature": NUMBER, "-k --top-k": WHOLE,
    "-m --max-tokens": WHOLE, "-g --model-tag": TEXT, "-s --step": WHOLE, "-p --port": WHOLE,
    "--device-type": DEVICES, "--host": TEXT,
}  # fmt: skip
TABLES: dict[str, dict[str, dict[str, Any]]] = {
    "head": {
        "nanochat.dataset": {"-n --num-files": WHOLE, "-w --num-workers": WHOLE},
        "scripts.tok_train": {"--max-chars": WHOLE, "--doc-cap": WHOLE, "--vocab-size": WHOLE},
        "scripts.base_train": BASE_TRAIN,
        "scripts.base_eval": BASE_EVAL,
        "scripts.chat_sft": CHAT_SFT,
        "scripts.chat_eval": CHAT_EVAL,
    }
}
TABLES["may"] = {
    **TABLES["head"],
    "scripts.base_eval": {**BASE_EVAL, "--hf-path": TEXT},
    "scripts.chat_web": CHAT_WEB,
    "nanochat.report": {"command": ("generate", "reset")},
}


class Program:
    """One call: the parsed flags, the world size, the base folder."""

    def __init__(self, module: str, arguments: list[str], *, world_size: int) -> None:
        self.flags = parser(module).parse_args(arguments)
        self.world_size = world_size
        self.base = Path(os.environ["NANOCHAT_BASE_DIR"])
        self.base.mkdir(parents=True, exist_ok=True)

    def flag(self, name: str, default: Any) -> Any:
        """Return a flag's value, or nanochat's default for it."""
        value = getattr(self.flags, name)
        return default if value is None else value


def parser(module: str) -> argparse.ArgumentParser:
    """Return the parser of a program of the chosen commit; exit code 1 when it has none such."""
    commit = os.environ.get("STANDIN_COMMIT", "may")
    table = TABLES[commit].get(module)
    if table is None:
        raise SystemExit(f"No module named {module!r} at nanochat {commit}")
    made = argparse.ArgumentParser(prog=module, allow_abbrev=False)
    for names, kind in table.items():
        if kind is SWITCH:
            made.add_argument(*names.split(), action="store_true")
        elif isinstance(kind, tuple):
            optional = names.startswith("-")
            made.add_argument(*names.split(), choices=kind, nargs=None if optional else "?")
        else:
            made.add_argument(*names.split(), type=kind)
    return made


def dataset(program: Program) -> None:
    """Leave shards that pass for parquet files."""
    folder = program.base / "base_data_climbmix"
    folder.mkdir(exist_ok=True)
    wanted = [*range(program.flag("num_files", -1)), VALIDATION_SHARD]
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


def chat_sft(program: Program) -> None:
    """Warm-start from the base model; count batches, of which one is fetched ahead, as upstream."""
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
    modes = set(program.flag("eval", "core,bpb,sample").split(","))
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
    print("train bpb: 0.700000\nval bpb: 0.721000")
    section(program, "base-model-evaluation")


def chat_eval(program: Program) -> None:
    """Print one score; refuse to run beside credentials, as it runs what the model wrote."""
    seen = [name for name in os.environ if "SECRET" in name or name.endswith(("_KEY", "_TOKEN"))]
    assert not seen, f"credentials in the environment of HumanEval: {seen}"
    source = program.flags.source
    newest(program.base / f"chat{source}_checkpoints" / program.flags.model_tag)
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
        for number in (0, VALIDATION_SHARD):
            (base / "base_data_climbmix").mkdir(exist_ok=True)
            (base / "base_data_climbmix" / f"shard_{number:05d}.parquet").write_bytes(b"PAR1PAR1")
    elif what == "eval-bundle":
        (base / "eval_bundle").mkdir(exist_ok=True)
        (base / "eval_bundle" / "core.yaml").touch()


PROGRAMS: dict[str, Callable[[Program], None]] = {
    "nanochat.dataset": dataset,
    "nanochat.report": report,
    "scripts.tok_train": tok_train,
    "scripts.base_train": base_train,
    "scripts.base_eval": base_eval,
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
    if os.environ.get("STANDIN_COMMIT", "may") == "may":
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
