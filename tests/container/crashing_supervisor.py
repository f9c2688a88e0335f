"""Runs the supervisor on the tests' recipe and dies at a chosen call to the bucket, as by a kill.

Arguments: the number of the writing S3 call to die at (0: never), "before" or "after" it, and
"big" for checkpoints of several parts. Dies without a word, and takes the processes of the stage
with it, as a container does.
"""

import itertools
import os
import signal
import sys
import threading
from dataclasses import replace

import psutil

from container.contract.environment import RunEnvironment
from container.supervisor.attempt import Timing
from container.supervisor.supervisor import Supervisor
from tests.container.recipes import fake_recipe, trainer_stage

operation, _, number = sys.argv[1].rpartition(":")  # "14", "UploadPart:2", "verdict.json:1"
die_at, when, big = int(number), sys.argv[2], sys.argv[3] == "big"
calls = itertools.count(1)
lock = threading.Lock()
WRITES = ("PutObject", "UploadPart", "CreateMultipartUpload", "CompleteMultipartUpload")


def die() -> None:
    children = psutil.Process().children(recursive=True)
    for child in children:
        child.kill()
    os.kill(os.getpid(), signal.SIGKILL)


def before(params, model, context, **_):
    name = params["url_path"].rpartition("/")[2]
    counts = operation in (model.name, name) if operation else model.name in WRITES
    if not counts or model.name not in WRITES or name in QUIET:
        return
    with lock:
        context["test_call"] = next(calls)
    if when == "before" and context["test_call"] == die_at:
        die()


def after(context, **_):
    if when == "after" and context.get("test_call") == die_at:
        die()  # the answer arrived; the supervisor never learns of it


QUIET = ("status.json", "lease.json")  # their number depends on the clock
recipe = fake_recipe()
if big:
    stages = tuple(
        trainer_stage("base", flags=("--payload-bytes=12000000",)) if one.name == "base" else one
        for one in recipe.stages
    )
    recipe = replace(recipe, stages=stages)
supervisor = Supervisor(
    replace(RunEnvironment.from_env(os.environ), traffic_port=0),
    process_env=dict(os.environ),
    timing=Timing(look_s=0.1, status_s=0.5, cut_s=0.3),
    lease_ttl_s=3.0,
    lease_beat_s=0.5,
    recipe=recipe,
    part_bytes=5 * 2**20,
)
events = supervisor.bucket.client.meta.events
events.register("before-call.s3", before)
events.register("after-call.s3", after)
sys.exit(supervisor.run())
