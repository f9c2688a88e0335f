"""Our upload against rclone and the AWS CLI: same files, same S3 server, each in its own process.

Two loads: many small objects, and one large file. Wall time and peak memory of the process; the
order turns from round to round, so that a noisy minute does not always fall on the same one.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import ROOT, Figure
from benchmarks.world import bucket, local_world, say
from localcloud.place import Place, load_place

SMALL_FILES, SMALL_BYTES = 2000, 16 * 1024
LARGE_BYTES = 4 * 2**30
ROUNDS = 3
BUCKET = "trainstack-bench-upload"
OTHERS = ROOT / ".local" / "bench" / "others"
MIB = 2**20
_MEASURED = """
import resource, subprocess, sys, time
begin = time.monotonic()
code = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr)
print(time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def measure(_cold: bool) -> list[Figure]:
    """Upload both loads with all three, in turn; medians."""
    install_others()
    with local_world() as env, _files() as loads:
        place = load_place()
        figures: list[Figure] = []
        for name, folder in loads.items():
            with bucket(place, BUCKET):
                figures += _compare(name, folder, place, env)
    return figures


def _compare(name: str, folder: Path, place: Place, env: dict[str, str]) -> list[Figure]:
    size_bytes = sum(file.stat().st_size for file in folder.iterdir())
    taken: dict[str, list[tuple[float, float]]] = {}
    for turn in range(ROUNDS):
        commands = list(_commands(folder, f"{name}-{turn}", place).items())
        for who, command in commands[turn % 3 :] + commands[: turn % 3]:
            say(f"{name}, round {turn + 1} of {ROUNDS}: {who}")
            taken.setdefault(who, []).append(_timed(command, env | s3_keys(place)))
    seconds = {who: statistics.median(s for s, _ in rounds) for who, rounds in taken.items()}
    memory = {who: statistics.median(m for _, m in rounds) for who, rounds in taken.items()}
    others = ", ".join(f"{who} {s:.1f} s" for who, s in seconds.items() if who != "ours")
    other_memory = ", ".join(f"{who} {m:.0f} MiB" for who, m in memory.items() if who != "ours")
    return [
        Figure(f"upload {name}", seconds["ours"], "s", others),
        Figure(f"upload {name}, rate", size_bytes / MIB / seconds["ours"], "MiB/s"),
        Figure(f"upload {name}, peak memory", memory["ours"], "MiB", other_memory),
    ]


def _commands(folder: Path, prefix: str, place: Place) -> dict[str, list[str]]:
    target = f"{BUCKET}/{prefix}"
    rclone = [str(OTHERS / "bin/rclone"), "copy", "--quiet", "--config", os.devnull]
    rclone += ["--s3-provider=Other", f"--s3-endpoint={place.s3_url}", "--s3-env-auth"]
    rclone += ["--s3-no-check-bucket", str(folder), f":s3:{target}/rclone"]
    aws = [str(OTHERS / "bin/aws"), "s3", "cp", "--only-show-errors", "--recursive"]
    aws += ["--endpoint-url", place.s3_url, str(folder), f"s3://{target}/aws"]
    ours = [sys.executable, "-m", "benchmarks.our_upload", str(folder), BUCKET, f"{prefix}/ours"]
    return {"ours": ours, "rclone": rclone, "aws": aws}


def s3_keys(place: Place) -> dict[str, str]:
    """Return the credentials as the AWS CLI and rclone read them."""
    return {
        "AWS_ACCESS_KEY_ID": place.operator_token_id,
        "AWS_SECRET_ACCESS_KEY": place.operator_s3_secret,
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_DEFAULT_REGION": "auto",
    }


def _timed(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Return wall seconds and peak MiB of one process; raises when it fails."""
    # A child's peak begins with what its parent had at the fork: hence a small one between.
    between = [sys.executable, "-S", "-c", _MEASURED, *command]
    done = subprocess.run(between, cwd=ROOT, env=env, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}")
    seconds, kib = done.stdout.split()
    return float(seconds), int(kib) / 1024


@contextmanager
def _files() -> Iterator[dict[str, Path]]:
    """Make the loads on disk: bytes that do not compress, and no two blocks alike."""
    root = ROOT / ".local" / "bench" / "files"
    loads = {"many small objects": root / "small", "one large file": root / "large"}
    for folder in loads.values():
        folder.mkdir(parents=True, exist_ok=True)
    try:
        for number in range(SMALL_FILES):
            (loads["many small objects"] / f"{number:06d}").write_bytes(os.urandom(SMALL_BYTES))
        block = os.urandom(32 * MIB)
        with (loads["one large file"] / "model_000001.pt").open("wb") as file:
            for number in range(LARGE_BYTES // len(block)):
                file.write(number.to_bytes(8, "big") + block[8:])
        yield loads
    finally:
        shutil.rmtree(root)


def install_others() -> None:
    """Get rclone and the AWS CLI into an environment of their own: they pin other versions."""
    if (OTHERS / "bin/aws").exists() and (OTHERS / "bin/rclone").exists():
        return
    say("getting rclone and the AWS CLI")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(OTHERS)], check=True)
    lock = ROOT / "benchmarks/requirements.lock"
    pip = [str(OTHERS / "bin/python"), "-m", "pip", "install", "--quiet", "--require-hashes"]
    subprocess.run([*pip, "-r", str(lock)], check=True)
