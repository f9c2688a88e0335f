"""Seconds paid and seconds in training steps: our supervisor against the guide's script.

Both at the guide's proportions, scaled down, at the same time, each behind a throttled network of
its own: 4 h of training, 24 GB of data, 10 GB of artefacts. The clock starts with the container
(pulling the image is not in it) and ends with the verdict, or with the script.

What does not shrink with the scale (starting Python, the 8 MiB probe) weighs 20 times as much here
as on a paid machine: our share is a lower bound.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from benchmarks.figures import ROOT, Figure
from benchmarks.upload import OTHERS, install_others, s3_keys
from benchmarks.world import bucket, local_world, say
from container.contract.keys import VERDICT_KEY
from container.contract.records import Verdict
from container.storage.bucket import RunBucket
from container.telemetry.nanochat_log import TrainingStep, parse_line
from localcloud.object_store.faults import FaultyStore
from localcloud.place import Place, load_place

TIME_SCALE, BYTES_SCALE = 20, 100
LINE_BYTES_PER_S = 125e6 / BYTES_SCALE * TIME_SCALE  # 1 Gbit/s at full size
TRAINING_S = 4 * 3600 / TIME_SCALE
INSTALL_S = 20 * 60 / TIME_SCALE  # the guide says 20 to 30 minutes
TOKENIZER_S = 60 / TIME_SCALE
STEP_S = 0.5
SHARDS, DATA_BYTES = 240, 24e9 / BYTES_SCALE
BASE_BYTES, SFT_BYTES = 6.6e9 / BYTES_SCALE, 3.4e9 / BYTES_SCALE
BASE_SHARE = 0.85  # of the training
WHOLE = 0.95  # what a side that trained to its end says of its steps, at least
TARGET = 97.0
BUCKET = "trainstack-bench-paid"
FOLDER = ROOT / ".local" / "bench" / "paid"


def measure(_cold: bool) -> list[Figure]:
    """Run both sides at once; about 14 minutes."""
    install_others()
    with local_world() as env, ExitStack() as stack:
        place = load_place()
        client = stack.enter_context(bucket(place, BUCKET))
        data_url = stack.enter_context(_shards())
        minutes = (TRAINING_S + INSTALL_S) / 60
        say(f"our supervisor and the guide's script, side by side: about {minutes:.0f} minutes")
        begin = time.monotonic()
        sides = {
            name: stack.enter_context(_started(name, command, place, data_url, env))
            for name, command in {
                "ours": [sys.executable, "-m", "benchmarks.paced_supervisor"],
                "guide": ["/bin/bash", str(ROOT / "benchmarks/guide_script.sh")],
            }.items()
        }
        paid = dict.fromkeys(sides, 0.0)
        run = RunBucket(client, name=BUCKET, prefix="ours")
        while not all(paid.values()):
            if not paid["ours"] and has_succeeded(run, sides["ours"]):
                paid["ours"] = time.monotonic() - begin
            if not paid["guide"] and has_ended_well(sides["guide"]):
                paid["guide"] = time.monotonic() - begin
            time.sleep(0.05)
    trained = {name: _training_seconds(FOLDER / name / "log") for name in paid}
    for name, seconds in trained.items():
        if seconds < WHOLE * TRAINING_S:  # the guide's script goes on after a stage that failed
            raise RuntimeError(
                f"{name}: {seconds:.0f} s of training of {TRAINING_S:.0f} s; {_log(name)}"
            )
    share = {name: 100 * trained[name] / paid[name] for name in paid}
    guide = f"guide's script {paid['guide']:.0f} s"
    return [
        Figure(f"paid seconds of a run, scaled 1:{TIME_SCALE}", paid["ours"], "s", guide),
        Figure("of them in training steps", trained["ours"], "s", f"guide {trained['guide']:.0f}"),
        Figure(
            "share of training",
            share["ours"],
            "%",
            f"target {TARGET:.0f} %, guide {share['guide']:.1f} %",
        ),
    ]


def has_succeeded(run: RunBucket, supervisor: subprocess.Popen[bytes]) -> bool:
    """Tell whether our side has its verdict; raises when it is a bad one, or when none can come."""
    status = supervisor.poll()  # before the look: a verdict is written before the end
    raw = run.get(VERDICT_KEY)
    if raw is None:
        if status is not None:
            raise RuntimeError(f"our side ended with {status} and no verdict; {_log('ours')}")
        return False
    verdict = Verdict.from_json(raw)
    if verdict.outcome != "succeeded":
        raise RuntimeError(f"our side: {verdict.reason}; {_log('ours')}")
    return True


def has_ended_well(script: subprocess.Popen[bytes]) -> bool:
    """Tell whether the guide's script is done; raises when it failed."""
    status = script.poll()
    if status:
        raise RuntimeError(f"the guide's script ended with {status}; {_log('guide')}")
    return status == 0


def _log(name: str) -> str:
    return f"see {FOLDER / name / 'log'}"


@contextmanager
def _started(
    name: str, command: list[str], place: Place, data_url: str, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start one side, behind throttled lines of its own."""
    work = FOLDER / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with FaultyStore(place.s3_url) as store, FaultyStore(data_url) as data:
        store.faults.bytes_per_s = data.faults.bytes_per_s = LINE_BYTES_PER_S
        base_steps = round(TRAINING_S * BASE_SHARE / STEP_S)
        variables = {
            "PATH": env["PATH"],
            "PYTHON": sys.executable,
            "AWS": str(OTHERS / "bin/aws"),
            "DATA_URL": data.url,
            "NANOCHAT_BASE_DIR": str(work),
            "WORK_DIR": str(work),
            "RUN_PREFIX": name,
            "RECIPE": "paced",
            "R2_ENDPOINT_URL": store.url,
            "R2_BUCKET_NAME": BUCKET,
            "R2_ACCESS_KEY_ID": place.operator_token_id,
            "R2_SECRET_ACCESS_KEY": place.operator_s3_secret,
            "SHARDS": str(SHARDS),
            "INSTALL_S": str(INSTALL_S),
            "TOKENIZER_S": str(TOKENIZER_S),
            "STEP_S": str(STEP_S),
            "BASE_STEPS": str(base_steps),
            "SFT_STEPS": str(round(TRAINING_S / STEP_S) - base_steps),
            "BASE_BYTES": str(round(BASE_BYTES)),
            "SFT_BYTES": str(round(SFT_BYTES)),
            **s3_keys(place),
        }
        with (work / "log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=variables, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def _shards() -> Iterator[str]:
    """Serve the data; yield its address."""
    folder = FOLDER / "shards"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(SHARDS):
        (folder / f"shard_{number:05d}").write_bytes(os.urandom(round(DATA_BYTES / SHARDS)))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        shutil.rmtree(folder)


def _training_seconds(log: Path) -> float:
    steps = [
        parse_line(line) for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    return sum((one.dt_ms or 0) / 1000 for one in steps if isinstance(one, TrainingStep))
