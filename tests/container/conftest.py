"""A real S3 server, an empty bucket prefix, and supervisors that run in this process."""

from __future__ import annotations

import io
import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from container.contract.environment import RunEnvironment
from container.contract.keys import VERDICT_KEY
from container.contract.records import Manifest, RunStatus, Verdict
from container.storage.bucket import RunBucket
from container.supervisor.attempt import Timing
from container.supervisor.supervisor import Supervisor
from container.transport.r2 import make_client
from tests.container.recipes import fake_recipe
from tests.container.s3_server import ACCESS_KEY, SECRET_KEY, S3Server, s3_server

BUCKET = "run-artifacts"
TOKEN = "chat-token-planted-77aa"
_numbers = itertools.count(1)
FAST = Timing(look_s=0.1, status_s=0.2, cut_s=0.3, order_s=0.2)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.client().create_bucket(Bucket=BUCKET)
        yield server


def bucket_at(endpoint: str, prefix: str) -> RunBucket:
    """Return the tests' bucket as seen at an address: the server's, or a proxy's before it."""
    client = make_client(endpoint=endpoint, access_key_id=ACCESS_KEY, secret_access_key=SECRET_KEY)
    return RunBucket(client, name=BUCKET, prefix=prefix)


@pytest.fixture
def bucket(s3: S3Server) -> RunBucket:
    return bucket_at(s3.endpoint, f"dev-main-{next(_numbers):08x}")


def wait_for(
    condition: Callable[[], Any],
    *,
    timeout_s: float = 30,
    what: str | Callable[[], str] = "",
) -> Any:
    """Return the condition's value as soon as it is true; `what` may be asked for at the end."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() >= deadline:
            shown = what() if callable(what) else what
            raise AssertionError(f"not within {timeout_s} s: {shown or condition}")
        time.sleep(0.02)  # polls a condition
    return found


@dataclass
class Running:
    """A supervisor in a thread."""

    supervisor: Supervisor
    out: io.StringIO
    thread: threading.Thread
    codes: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.supervisor.page.port}"

    @property
    def log(self) -> str:
        return self.out.getvalue()

    def verdict(self, *, timeout_s: float = 60) -> Verdict:
        """Wait for the verdict of this run."""
        bucket = self.supervisor.bucket
        raw = wait_for(lambda: bucket.get(VERDICT_KEY), timeout_s=timeout_s, what=self.log)
        wait_for(lambda: self.supervisor.live_status.outcome, what="the live status says so too")
        return Verdict.from_json(raw)

    def manifest(self) -> Manifest:
        return Manifest.from_json(self.supervisor.bucket.get("manifest.json") or b"")

    def status(self) -> RunStatus:
        return self.supervisor.live_status.snapshot()

    def end(self) -> int:
        """Stop it and wait for its end."""
        self.supervisor.request_stop()
        self.thread.join(30)
        assert not self.thread.is_alive(), self.log
        return self.codes[0]


Launch = Callable[..., Running]


@pytest.fixture
def launch(bucket: RunBucket, s3: S3Server, tmp_path: Path) -> Iterator[Launch]:
    """Start supervisors on this test's prefix; what still runs at the end is stopped."""
    running: list[Running] = []

    def start(
        recipe: Any = None,
        *,
        work: str = "work",
        holder: str = "one",
        timing: Timing = FAST,
        **env: Any,
    ) -> Running:
        variables = {
            "RUN_NAME": "main",
            "RUN_PREFIX": bucket.prefix,
            "RECIPE": "fake",
            "RECIPE_SETTINGS": json.dumps(env.pop("settings", {})),
            "R2_ENDPOINT": s3.endpoint,
            "R2_BUCKET": BUCKET,
            "R2_ACCESS_KEY_ID": ACCESS_KEY,
            "R2_SECRET_ACCESS_KEY": SECRET_KEY,
            "ACCESS_TOKEN": TOKEN,
            "PRICE_USD_PER_HOUR": "360",
            "WORK_DIR": str(tmp_path / work),
            **env,
        }
        environment = RunEnvironment.from_env(variables)
        out = io.StringIO()
        supervisor = Supervisor(
            replace(environment, traffic_port=0),
            process_env={"PATH": os.environ["PATH"], **variables},
            timing=timing,
            lease_ttl_s=2.0,
            lease_beat_s=0.3,
            holder=holder,
            recipe=recipe or fake_recipe(),
            out=out,
        )
        codes: list[int] = []
        thread = threading.Thread(target=lambda: codes.append(supervisor.run()), daemon=True)
        one = Running(supervisor, out, thread, codes)
        running.append(one)
        thread.start()
        return one

    yield start
    for one in running:
        one.supervisor.request_stop()
    for one in running:
        one.thread.join(30)
