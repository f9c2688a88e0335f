"""The run on the paid machine: page, lease, one attempt, manifest, one verdict; then serving."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TextIO, TypeVar

from container.contract.bought_time import is_hours_over
from container.contract.clock import Clock
from container.contract.environment import SECRET_NAMES, RunEnvironment
from container.contract.recipe import Recipe, RecipeError, as_asked, load_recipe
from container.contract.records import RecordError, Verdict
from container.stages.context import RunContext, StoppedError
from container.storage.bucket import BucketClockError, BucketError, RunBucket
from container.storage.multipart import PART_BYTES
from container.storage.resume import PastAttempts, look
from container.storage.retry import EndedError, retry_until, steady
from container.storage.upload_queue import UploadQueue
from container.supervisor.attempt import (
    ForeignRunError,
    MachineRefusedError,
    RunEnd,
    Timing,
    put_status,
    run_attempt,
    with_models,
)
from container.supervisor.claim import PrefixClaim
from container.supervisor.hours_watch import HoursWatch
from container.supervisor.lease import BEAT_S, TTL_S, LeaseKeeper, container_id
from container.supervisor.order_watch import OrderWatch
from container.supervisor.serving import serve_model
from container.supervisor.verdict import first_answer, read_verdict, set_aside, settle
from container.system.stop import StopBudget, StopRequest
from container.telemetry.history import show_past
from container.telemetry.notifier import Notifier
from container.telemetry.run_log import RunLog
from container.telemetry.run_status import LiveStatus
from container.transport.r2 import make_client, skew_in_words
from container.transport.signing_clock import sign_with_the_buckets_time
from container.web.status_page import StatusPage

EX_TEMPFAIL = 75
AGAIN = -1  # no exit code: the run was stopped and is to go on, and the same process does so
TOLD_WITHIN_S = 1.0  # of the few seconds that a stop leaves, after all that is of value is safe

T = TypeVar("T")


class Supervisor:
    """One container's life."""

    def __init__(
        self,
        environment: RunEnvironment,
        *,
        process_env: Mapping[str, str],
        clock: Clock | None = None,
        timing: Timing | None = None,
        lease_ttl_s: float = TTL_S,
        lease_beat_s: float = BEAT_S,
        holder: str = "",
        recipe: Recipe | None = None,
        part_bytes: int = PART_BYTES,
        out: TextIO | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        self.environment = environment
        self._process_env = process_env
        self._clock = clock or Clock()
        self._timing = timing or Timing()
        self._recipe = recipe
        self._stop_budget = StopBudget.of(environment.stop_grace_s)
        self._stop = StopRequest(budget=self._stop_budget, clock=self._clock)
        self.stop = self._stop.event
        self._kill = threading.Event()
        self.live_status = LiveStatus(
            run=environment.run,
            recipe=environment.recipe,
            price_usd_per_hour=environment.price_usd_per_hour,
            clock=self._clock,
            rented_hours=environment.duration_hours,
        )
        self.run_log = RunLog(
            folder=environment.work_dir / ".trainstack",
            live_status=self.live_status,
            clock=self._clock,
            secrets=[process_env.get(name, "") for name in SECRET_NAMES],
            out=out,
        )
        self._notifier = notifier or Notifier(environment, say=self.run_log.event)
        self.page = StatusPage(
            self.live_status,
            port=environment.traffic_port,
            access_token=environment.access_token,
            stop_command=_stop_command(environment),
        )
        key_id, secret = environment.access_key_id, environment.secret_access_key
        client = make_client(
            endpoint=environment.endpoint, access_key_id=key_id, secret_access_key=secret
        )
        sign_with_the_buckets_time(
            client, access_key_id=key_id, secret_access_key=secret, on_skew=self._correct_clock
        )
        self.bucket = RunBucket(client, name=environment.bucket, prefix=environment.prefix)
        self._holder = holder or container_id(environment.work_dir)
        self._lease_ttl_s, self._lease_beat_s = lease_ttl_s, lease_beat_s
        self._lease = LeaseKeeper(
            self.bucket,
            holder=self._holder,
            clock=self._clock,
            ttl_s=lease_ttl_s,
            beat_s=lease_beat_s,
            on_lost=self._kill.set,
        )
        self._orders = OrderWatch(
            self.bucket,
            holder=self._holder,
            stop=self._stop,
            live_status=self.live_status,
            clock=self._clock,
            say=self.run_log.event,
            ask_every_s=self._timing.order_s,
            look_every_s=self._timing.look_s,
        )
        self._hours = HoursWatch(
            self.bucket,
            rental=environment.rental,
            hours=self._timing.hours,
            stop=self._stop,
            live_status=self.live_status,
            clock=self._clock,
            say=self.run_log.event,
            tell=lambda text: self._notifier.tell("will not end in time", text),
            ask_every_s=self._timing.order_s,
            look_every_s=self._timing.look_s,
        )
        self._upload_queue = UploadQueue(
            self.bucket,
            clock=self._clock,
            say=self.run_log.event,
            may_write=self._lease.may_write,
            part_bytes=part_bytes,
        )
        self.live_status.bytes_counter = self._upload_queue.counters

    def request_stop(self) -> None:
        """Ask for an orderly end; returns at once."""
        self._stop.make()

    def run(self) -> int:
        """Live until asked to stop; return the exit code, or AGAIN."""
        self.page.start()
        self.run_log.event(f"status page on port {self.page.port}")
        try:
            return self._run()
        except BucketClockError as error:
            return self._only_serve(f"this machine cannot sign with the right time: {error}")
        except (StoppedError, EndedError):
            if self._kill.is_set():
                self.run_log.event("another container trains this run: this one ends")
                return EX_TEMPFAIL
            return 0
        finally:
            self._upload_queue.stop()
            self._notifier.close(within_s=TOLD_WITHIN_S)
            self.page.stop()

    def _run(self) -> int:
        if not self.bucket.prefix:
            try:
                self._claim_prefix()
            except RecipeError as error:
                return self._only_serve(f"refused: {error}")
        verdict = self._first_look()
        if verdict is not None and verdict.outcome == "stopped" and self._stays_stopped(verdict):
            return self._serve(verdict, None)
        if verdict is None or verdict.outcome == "stopped":
            if not self._lease.acquire(stop=self.stop, say=self.run_log.event):
                return 0
            self._lease.keep()
            verdict = self._first_look()
        if verdict is not None and verdict.outcome == "stopped":
            self._go_on_after(verdict)
            verdict = None
        context, problem = None, ""
        try:
            context = self._context()
        except RecipeError as error:
            problem = str(error)
        show_past(self.live_status, self.bucket)
        if verdict is not None:
            self._lease.release()
            return self._serve(verdict, context)
        if context is None:
            return self._close(RunEnd(outcome="failed", stage="verify", reason=problem), None)
        self._lease.attempt = context.past.attempt
        self._upload_queue.know(context.past.artifacts)
        self._upload_queue.start()
        self.run_log.begin(attempt=context.past.attempt, upload_queue=self._upload_queue)
        self.live_status.count_earlier(
            attempt=context.past.attempt, elapsed_s=context.past.earlier_s
        )
        self._notifier.begin()
        try:
            with self._orders.watching(), self._hours.watching():
                end = run_attempt(context, timing=self._timing)
        except ForeignRunError as error:
            self._lease.release()
            return self._only_serve(f"refused: {error}")
        except MachineRefusedError as error:
            # Another machine goes on: until it is given back, this one tells why.
            self._lease.release()
            self.run_log.cut()
            self.live_status.end_without_verdict(str(error))
            put_status(context)
            return self._only_serve(str(error))
        return self._close(end, context)

    def _first_look(self) -> Verdict | None:
        try:
            return self._first(lambda: read_verdict(self.bucket))
        except RecordError as error:
            self._only_serve(f"refused: the verdict cannot be read: {error}")
            raise StoppedError from None

    def _first(self, call: Callable[[], T]) -> T:
        return first_answer(call, stop=self.stop, clock=self._clock, say=self._say)

    def _say(self, text: str) -> None:
        self.run_log.event(text)
        self.live_status.say(text)

    def _claim_prefix(self) -> None:
        """Find the prefix of a container that was told none; raises RecipeError."""
        claim = PrefixClaim(
            bucket=self.bucket,
            recipe=self._recipe_with_settings(),
            environment=self.environment,
            holder=self._holder,
            clock=self._clock,
            stop=self.stop,
            silent_s=self._lease_ttl_s,
            look_s=self._lease_beat_s / 2,
            say=self._say,
        )
        self.bucket.prefix = self._first(claim.settle)
        self._say(f"this run's prefix is {self.bucket.prefix}")

    def _stays_stopped(self, verdict: Verdict) -> bool:
        """Whether it was this very container that was stopped for good: it was started again.

        Whoever gave an order is about to give the machine back; and when its hours are over nothing
        more comes of it.
        """
        return self._until_answered(
            lambda: self._orders.stands() or (is_hours_over(verdict) and self._hours.are_over()),
            say=lambda error: self.run_log.event(
                f"cannot look for an order or more hours: {error}; retrying"
            ),
        )

    def _go_on_after(self, verdict: Verdict) -> None:
        """Set the verdict `stopped` aside: a machine is there again, and it bills.

        The vendor starts a container again that it ended itself; whoever wants the run to end gives
        the machine back.
        """
        self._until_answered(
            lambda: set_aside(self.bucket, verdict),
            say=lambda error: self.run_log.event(
                f"cannot set the earlier verdict aside: {error}; retrying"
            ),
        )
        self.run_log.event(f"attempt {verdict.attempt} was stopped: this one goes on")

    def _context(self) -> RunContext:
        """Build what the attempt needs; raises RecipeError."""
        environment = self.environment
        recipe = self._recipe_with_settings()
        past = self._look()
        ordered = environment.device_batch_size or recipe.device_batch_size
        shrunk = [one.device_batch_size for one in past.stages.values() if one.device_batch_size]
        return RunContext(
            recipe=recipe,
            environment=environment,
            past=past,
            bucket=self.bucket,
            upload_queue=self._upload_queue,
            live_status=self.live_status,
            run_log=self.run_log,
            clock=self._clock,
            stop=self.stop,
            stop_budget=self._stop_budget,
            why_stopped=lambda: self._stop.why,
            kill=self._kill,
            process_env=self._process_env,
            notifier=self._notifier,
            device_batch_size=min([ordered, *shrunk]),
        )

    def _recipe_with_settings(self) -> Recipe:
        asked = self.environment
        recipe = self._recipe or load_recipe(asked.recipe)
        return as_asked(recipe, settings=asked.settings, commit=asked.nanochat_commit)

    def _look(self) -> PastAttempts:
        return self._until_answered(
            lambda: look(self.bucket),
            say=lambda error: self.run_log.event(
                f"cannot read what earlier attempts left: {error}; retrying"
            ),
        )

    def _until_answered(self, call: Callable[[], T], *, say: Callable[[BucketError], None]) -> T:
        """Call until the bucket answers; raises EndedError when asked to stop."""
        return retry_until(
            call, ended=self.stop.is_set, wait=self.stop.wait, pauses=steady(), say=say
        )

    def _close(self, end: RunEnd, context: RunContext | None) -> int:
        """Flush, write manifest and verdict, release the lease, serve."""
        self.run_log.event(f"{end.outcome}: {end.reason}")
        self.live_status.begin_stage("verdict")
        self.run_log.cut()
        if context is not None:
            self._wait_for_uploads(context)
            end = with_models(end, context, give_up=self._gives_up)
        verdict: Verdict | None = end.verdict(
            run=self.environment.run,
            attempt=context.past.attempt if context else 0,
            live_status=self.live_status,
            clock=self._clock,
        )
        verdict = settle(
            self.bucket,
            verdict,
            known=dict(self._upload_queue.artifacts),
            may_write=self._lease.may_write,
            give_up=lambda: self._kill.is_set() or self._stop.too_late(),
            say=self.run_log.event,
        )
        if verdict is None:
            raise StoppedError
        self.live_status.end_stage("verdict", "done")
        if context is not None:
            self._show_end(verdict)
            put_status(context)
        self._lease.release()
        self._notifier.tell_verdict(verdict)
        return self._serve(verdict, context)

    def _wait_for_uploads(self, context: RunContext) -> None:
        told_at = self._clock.monotonic()
        while not self._upload_queue.wait_empty(0.5) and not self._gives_up():
            if self._clock.monotonic() - told_at >= self._timing.status_s:
                told_at = self._clock.monotonic()
                put_status(context)

    def _gives_up(self) -> bool:
        return self._kill.is_set() or self._stop.verdict_is_due()

    def _show_end(self, verdict: Verdict) -> None:
        self.live_status.end(verdict.outcome, elapsed_s=verdict.elapsed_s)
        self.live_status.say(f"{verdict.outcome}: {verdict.reason}")

    def _serve(self, verdict: Verdict, context: RunContext | None) -> int:
        """Keep the page up until SIGTERM, and the model with it when asked to."""
        self.live_status.count_earlier(attempt=verdict.attempt, elapsed_s=verdict.elapsed_s)
        self._show_end(verdict)
        self.run_log.event(f"this run has a verdict: {verdict.outcome}; serving", stage="serve")
        chat = None
        if (
            self.environment.keep_alive
            and verdict.outcome == "succeeded"
            and context is not None
            and not self.stop.is_set()
        ):
            fresh = replace(context, past=self._look())
            chat = serve_model(fresh, self.page)
        if is_hours_over(verdict) and self._hours.wait_for_more(ended=self._stop.terminated):
            self.run_log.event("more hours were bought: the run goes on")
            return AGAIN
        if verdict.outcome == "stopped" and self._orders.wait_until_taken_back(
            ended=self._stop.terminated
        ):
            self.run_log.event("the order to stop was taken back: the run goes on")
            return AGAIN
        self._stop.terminated.wait()
        if chat is not None:
            chat.stop()
        return 0

    def _only_serve(self, reason: str) -> int:
        """Say on the page, the one place left, that the run has ended here without a verdict."""
        self.run_log.event(f"ended without a verdict: {reason}")
        self.live_status.end_without_verdict(reason)
        self._notifier.tell_no_verdict(reason)
        self._stop.terminated.wait()
        return 0

    def _correct_clock(self, ahead_s: float) -> None:
        self._clock.ahead_s = ahead_s
        self.run_log.event(
            f"this machine's clock is {skew_in_words(ahead_s)}: what is signed and recorded is "
            "corrected by that"
        )


def _stop_command(environment: RunEnvironment) -> str:
    """Return what gives this machine back, wherever it is typed; "" for one that nobody rented."""
    if not (environment.prefix and environment.duration_hours):
        return ""
    return f"python -m runs stop {environment.prefix} --bucket {environment.bucket}"
