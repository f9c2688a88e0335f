"""A stand-in for nanochat's programs: real downloads, files and log lines, but its steps only wait.

    python -m benchmarks.paced_nanochat data 240        shards from DATA_URL, four at once
    python -m benchmarks.paced_nanochat tokenizer
    python -m benchmarks.paced_nanochat train base …    waits `--step-s` a step, saves, prints

On a paid machine the GPUs do the steps and the processors are idle, as they are here.
"""

from __future__ import annotations

import os
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import requests
import typer

app = typer.Typer(add_completion=False)
BASE_DIR = Path(os.environ.get("NANOCHAT_BASE_DIR", "."))
TAG = "d20"


@app.command()
def data(count: int, workers: int = 4) -> None:
    """Fetch shards that are not there, as `nanochat.dataset` does."""
    folder = BASE_DIR / "base_data"
    folder.mkdir(parents=True, exist_ok=True)

    def fetch(name: str) -> None:
        if not (folder / name).exists():
            answer = requests.get(f"{os.environ['DATA_URL']}/{name}", timeout=120)
            answer.raise_for_status()
            (folder / f"{name}.tmp").write_bytes(answer.content)
            (folder / f"{name}.tmp").rename(folder / name)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(fetch, [f"shard_{number:05d}" for number in range(count)]))


@app.command()
def tokenizer(seconds: float) -> None:
    """Take a while and leave a file."""
    time.sleep(seconds)
    (BASE_DIR / "tokenizer").mkdir(parents=True, exist_ok=True)
    (BASE_DIR / "tokenizer" / "tokenizer.pkl").write_bytes(os.urandom(1000))


@app.command()
def train(
    folder: str,
    steps: Annotated[int, typer.Option()],
    step_s: Annotated[float, typer.Option()],
    size_bytes: Annotated[int, typer.Option()],
    save_every: Annotated[int, typer.Option()] = -1,
) -> None:
    """Print nanochat's line after each step; save at the end, and every so many steps."""
    print(f"Using user-provided number of iterations: {steps}", flush=True)
    for step in range(steps):
        begin = time.monotonic()
        time.sleep(step_s)
        done, share = step + 1, (step + 1) / steps
        print(
            f"step {step:05d}/{steps:05d} ({100 * share:.2f}%) | loss: {3 - share:.6f}"
            f" | lrm: 1.00 | dt: {(time.monotonic() - begin) * 1000:.2f}ms | tok/sec: 1,000,000 | "
            f"mfu: 40.00 | total time: {done * step_s / 60:.2f}m",
            flush=True,
        )
        if done == steps or (save_every > 0 and done % save_every == 0):
            _save(BASE_DIR / folder / TAG, done, size_bytes)


def _save(folder: Path, step: int, size_bytes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, share in (("model_{:06d}.pt", 0.4), ("optim_{:06d}_rank0.pt", 0.6)):
        with zipfile.ZipFile(folder / name.format(step), "w") as archive:
            archive.writestr("archive/data", os.urandom(int(size_bytes * share)))
    (folder / f"meta_{step:06d}.json").write_text(f'{{"step": {step}}}')


if __name__ == "__main__":
    app()
