"""Stand-ins for rented machines: threads that write what a supervisor writes, and train nothing.

A puppet gets the environment of a real container, plain and secret, and only that. It writes real
records under its prefix with the credentials that it got, answers on its port with its status, and
on termination, or when it is told to stop, writes the verdict `stopped`.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from container.contract import keys
from container.contract.bought_time import BoughtTime
from container.contract.environment import RunEnvironment
from container.contract.machine_trust import MachineState
from container.contract.records import (
    Artifact,
    Attempt,
    Lease,
    Manifest,
    Record,
    RunRecord,
    RunStatus,
    Verdict,
)
from container.contract.stop_order import StopOrder
from container.storage.checkpoints import CheckpointMarker
from container.transport.r2 import code_of, kind_of, make_client
from localcloud.caas.runtime.runtime import ContainerSpec

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

FIRST_LINE: Final = b"a stand-in for a rented machine: it writes records and trains nothing\n"
BEAT_S: Final = 1.0
CHECKED_AT_STEP: Final = 3
FAULT: Final = "it is not what was ordered (a stand-in)"
STEPS_A_CHECKPOINT: Final = 10
# The store's identities are renewed while other stories make tokens.
TRIES, PAUSE_S = 4, 0.5
_MACHINES: Final = "puppet"


class Puppet:
    """One machine; `endpoint` is the bucket's address without any planted fault."""

    def __init__(
        self, spec: ContainerSpec, *, endpoint: str, fault: str = "", needs_s: float = 0.0
    ) -> None:
        self.deployment_id = spec.deployment_id
        self.environment = dict(spec.environment)
        self.told = RunEnvironment.from_env(self.environment)
        self.kept: set[str] = set()  # keys in the bucket that nobody may delete
        self.failures: list[str] = []
        self._fault = fault  # "refused" by its own check, or "slow" in its first steps
        self._needs_s = needs_s
        self._left_s: float | None = None
        self._endpoint = endpoint
        self._s3: S3Client | None = None
        self._attempt = 1
        self._step = 0
        self._started_at = _now()
        self._ending = threading.Event()
        self._lost = threading.Event()
        self._page = ThreadingHTTPServer(("127.0.0.1", 0), _page(self._status))
        self._serves = threading.Thread(target=self._page.serve_forever, args=(0.05,), daemon=True)
        self._works = threading.Thread(target=self._run, daemon=True)

    @property
    def port(self) -> int:
        return self._page.server_address[1]

    @property
    def run(self) -> str:
        return self.told.run

    @property
    def lives(self) -> bool:
        return not self._ending.is_set()

    def start(self) -> None:
        self._serves.start()
        self._works.start()

    def stop(self, *, saves: bool = True) -> None:
        """End as on SIGTERM; without `saves` as a machine that is lost."""
        if self._ending.is_set():
            return
        self._ending.set()
        if not saves:
            self._lost.set()
        self._works.join(10)
        if saves:
            self._try(self._write_verdict)
        self._page.shutdown()
        self._page.server_close()

    def refused(self) -> str:
        """Return why the bucket does not take a write of this machine now; "" when it does."""
        try:
            self._put(f"{keys.PROBE_PREFIX}{_MACHINES}", b"probe")
            self._client().delete_object(
                Bucket=self.told.bucket, Key=self._key(f"{keys.PROBE_PREFIX}{_MACHINES}")
            )
        except (ClientError, BotoCoreError) as error:
            return _why(error)
        return ""

    def _run(self) -> None:
        if not self._try(self._begin) or self._fault == "refused":
            return
        while not self._ending.wait(BEAT_S):
            if self._is_told_to_stop():
                self._try(self._write_checkpoint)
                self._try(self._write_verdict)
                return
            self._step += 1
            if self._needs_s:
                self._try(self._look_at_the_end)
            self._try(lambda: self._put(keys.STATUS_KEY, self._status().to_json()))
            if self._step % STEPS_A_CHECKPOINT == 1:
                self._try(self._write_checkpoint)

    def _begin(self) -> None:
        verdict = self._find_verdict()
        if verdict and verdict.outcome == "stopped":
            self._keep(keys.stopped_key(verdict.attempt), verdict)
            self._client().delete_object(Bucket=self.told.bucket, Key=self._key(keys.VERDICT_KEY))
        self._attempt = self._attempts() + 1
        self._put(f"{keys.PROBE_PREFIX}{self._attempt}", b"probe")
        self._client().delete_object(
            Bucket=self.told.bucket, Key=self._key(f"{keys.PROBE_PREFIX}{self._attempt}")
        )
        if self._attempt == 1:
            self._keep(
                keys.RUN_KEY,
                RunRecord(
                    run=self.run,
                    recipe=self.told.recipe,
                    settings=dict(self.told.settings),
                    image_digest=self.told.image_digest,
                    price_usd_per_hour=float(self.told.price_usd_per_hour),
                    duration_hours=self.told.duration_hours,
                    created_at=self._started_at,
                ),
            )
        self._keep(
            keys.attempt_key(self._attempt),
            Attempt(
                number=self._attempt,
                started_at=self._started_at,
                host=_MACHINES,
                reason="first start" if self._attempt == 1 else "restarted",
            ),
        )
        lease = Lease(holder=self.deployment_id, attempt=self._attempt, beat_at=_now())
        self._put(keys.LEASE_KEY, lease.to_json())
        self._put(keys.STATUS_KEY, self._status().to_json())

    def _write_checkpoint(self) -> None:
        weights = f"{keys.CHECKPOINTS_PREFIX}base/d2/model_{self._step:06d}.pt"
        body = f"{self.deployment_id} {self._step}".encode()
        self._put(weights, body)
        self.kept.add(self._key(weights))
        artifact = Artifact(
            key=weights, size_bytes=len(body), sha256=hashlib.sha256(body).hexdigest()
        )
        marker = CheckpointMarker(
            stage="base",
            tag="d2",
            step=self._step,
            world_size=1,
            attempt=self._attempt,
            artifacts=[artifact],
        )
        self._keep(marker.key, marker)

    def _write_verdict(self) -> None:
        manifest = Manifest(run=self.run, artifacts=[])
        self._put(keys.MANIFEST_KEY, manifest.to_json())
        verdict = Verdict(
            run=self.run,
            attempt=self._attempt,
            outcome="stopped",
            stage="base",
            reason="asked to stop (a stand-in)",
            exit_code=0,
            started_at=self._started_at,
            ended_at=_now(),
            elapsed_s=0.0,
            dollars=0.0,
        )
        try:
            self._client().put_object(
                Bucket=self.told.bucket,
                Key=self._key(keys.VERDICT_KEY),
                Body=verdict.to_json(),
                IfNoneMatch="*",
            )
        except ClientError as error:
            if kind_of(error) != "changed":
                raise

    def _look_at_the_end(self) -> None:
        raw = self._find(keys.BOUGHT_KEY)
        bought = None if raw is None else BoughtTime.from_json(raw)
        if bought and bought.end and bought.rental == self.told.rental:
            self._left_s = (bought.end - datetime.now(UTC)).total_seconds()

    def _machine(self) -> tuple[MachineState, str]:
        if self._fault == "refused":
            return "refused", FAULT
        if self._step < CHECKED_AT_STEP:
            return "checking", "it is as ordered"
        return ("refused", FAULT) if self._fault == "slow" else ("passed", "it is as ordered")

    def _is_told_to_stop(self) -> bool:
        try:
            raw = self._find(keys.STOP_KEY)
        except (ClientError, BotoCoreError):
            return False  # it is looked for again
        return raw is not None and StopOrder.from_json(raw).holder == self.deployment_id

    def _find_verdict(self) -> Verdict | None:
        raw = self._find(keys.VERDICT_KEY)
        return None if raw is None else Verdict.from_json(raw)

    def _find(self, key: str) -> bytes | None:
        try:
            found = self._client().get_object(Bucket=self.told.bucket, Key=self._key(key))
        except ClientError as error:
            if kind_of(error) == "absent":
                return None
            raise
        return found["Body"].read()

    def _attempts(self) -> int:
        listed = self._client().list_objects_v2(
            Bucket=self.told.bucket, Prefix=self._key(keys.ATTEMPTS_PREFIX)
        )
        return listed.get("KeyCount", 0)

    def _status(self) -> RunStatus:
        machine, why = self._machine()
        ends = self._left_s is None or self._needs_s <= self._left_s
        return RunStatus(
            run=self.run,
            attempt=self._attempt,
            recipe=self.told.recipe,
            stage="base",
            step=self._step,
            started_at=self._started_at,
            beat_at=_now(),
            machine=machine,
            machine_why=why,
            no_verdict=FAULT if self._fault == "refused" else "",
            bought_left_s=self._left_s,
            in_time="" if self._left_s is None else "yes" if ends else "no",
            stage_needs_s=self._needs_s or None,
        )

    def _keep(self, key: str, record: Record) -> None:
        self._put(key, record.to_json())
        self.kept.add(self._key(key))

    def _put(self, key: str, body: bytes) -> None:
        self._client().put_object(Bucket=self.told.bucket, Key=self._key(key), Body=body)

    def _key(self, key: str) -> str:
        return f"{self.told.prefix}/{key}"

    def _client(self) -> S3Client:
        if self._s3 is None:
            self._s3 = make_client(
                endpoint=self._endpoint,
                access_key_id=self.told.access_key_id,
                secret_access_key=self.told.secret_access_key,
            )
        return self._s3

    def _try(self, write: Callable[[], None]) -> bool:
        """Do it, again after a failure; remember the last one."""
        why = ""
        for _ in range(TRIES):
            try:
                write()
            except (ClientError, BotoCoreError) as error:
                why = _why(error)
                if self._lost.wait(PAUSE_S):
                    return False
            else:
                return True
        self.failures.append(why)
        return False


def _page(status: Callable[[], RunStatus]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = status().to_json()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    return Handler


def _why(error: ClientError | BotoCoreError) -> str:
    return code_of(error) if isinstance(error, ClientError) else type(error).__name__


def _now() -> str:
    return datetime.now(UTC).isoformat()
