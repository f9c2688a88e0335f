"""One step in the life of a deployment: compare what should run with what runs, and act on it.

A step may be repeated at any time and after any crash; it trusts the store for what is wanted and
the daemon, by its labels, for what there is. Steps of one deployment never run side by side.
"""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import replace
from datetime import timedelta

from localcloud.caas.domain import answers
from localcloud.caas.domain.cloud import Cloud
from localcloud.caas.domain.deployments import RECEIVED
from localcloud.caas.domain.escapes import BareDollarError, unescaped
from localcloud.caas.domain.records import Attempt, Deployment, Event, Status
from localcloud.caas.runtime.runtime import ContainerSpec, FoundContainer, PullError, StartError

log = logging.getLogger(__name__)

KEPT_LOG_BYTES = 1 << 20


class _HopelessError(Exception):
    """The deployment cannot run; the text is for its containers' events."""


class Life:
    """Steps deployments; remembers when each container last answered."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._answered: dict[str, float] = {}

    def sweep(self) -> None:
        """Remove containers of this place that belong to no live deployment."""
        containers = self._cloud.runtime.found()
        live = {deployment.id for deployment in self._cloud.store.live()}
        for container in containers:
            if container.deployment_id not in live:
                log.warning("removed a container of no live deployment: %s", container.runtime_id)
                self._remove(container.runtime_id)

    def step(self, deployment_id: str) -> None:
        """Do what this deployment needs now; on RuntimeUnavailableError call again later."""
        deployment = self._cloud.store.deployment(deployment_id)
        if deployment is None or not deployment.live:
            return
        if deployment.status == "termination requested":
            if self._termination_is_over(deployment):
                self._end(deployment, "destroyed")
            return
        if self._paid_time_is_over(deployment):
            self._end(deployment, "completed")
            return
        try:
            self._advance(deployment)
        except _HopelessError as failure:
            self._fail(deployment, str(failure))

    def _advance(self, deployment: Deployment) -> None:
        self._refuse_hopeless(deployment)
        if deployment.pulled < deployment.generation:
            self._pull(deployment)
        found = {row.attempt_id: row for row in self._cloud.runtime.found(deployment.id)}
        attempts = self._cloud.store.attempts(deployment.id)
        current = {attempt.attempt_id for attempt in attempts}
        for attempt_id, container in found.items():
            if attempt_id not in current:
                self._remove(container.runtime_id)
        if self._cloud.switches.current.never_starts_in in deployment.allocation:
            return
        for attempt in attempts:
            self._tend(deployment, attempt, found.get(attempt.attempt_id))
        self._mark_running(deployment)

    def _refuse_hopeless(self, deployment: Deployment) -> None:
        if not deployment.allocation:
            raise _HopelessError("No machine was available")
        if self._cloud.switches.current.funds == "fails_later":
            raise _HopelessError("Payment failed")
        waited_s = self._cloud.clock.age_s(deployment.created_at)
        if deployment.started_at is None and waited_s > self._cloud.settings.boot_deadline_s:
            raise _HopelessError(f"Deployment was not healthy within {waited_s:.0f} s")

    def _pull(self, deployment: Deployment) -> None:
        for attempt in self._cloud.store.attempts(deployment.id):
            self._tell(attempt, "Downloading image")
        secrets = self._cloud.store.secrets(deployment.id)
        started = time.monotonic()
        try:
            self._cloud.runtime.pull(
                deployment.image_url,
                username=secrets.registry_username,
                secret=secrets.registry_secret,
            )
        except PullError as failure:
            raise _HopelessError(f"Failed to pull image: {failure}") from None
        log.info("%s: image pulled in %.1f s", deployment.name, time.monotonic() - started)
        self._cloud.store.change(deployment.id, pulled=deployment.generation)

    def _tend(
        self, deployment: Deployment, attempt: Attempt, container: FoundContainer | None
    ) -> None:
        if attempt.generation < deployment.generation:
            self._replace(deployment, attempt, container, why="Task configuration changed")
        elif container is None and attempt.runtime_id is None:
            if self._cloud.clock.now() >= attempt.not_before:
                self._start(deployment, attempt)
        elif attempt.status == "exited":
            return  # left dead
        elif container is None:
            self._replace(deployment, attempt, container, why="Task vanished from its machine")
        elif not container.running:
            self._exited(deployment, attempt, container)
        else:
            self._probe(deployment, attempt, container)

    def _start(self, deployment: Deployment, attempt: Attempt) -> None:
        latest = self._cloud.store.deployment(deployment.id)
        if latest is None or latest.status == "termination requested":
            return
        if latest.generation != deployment.generation:
            return  # changed during the pull
        secrets = self._cloud.store.secrets(deployment.id)
        try:
            entrypoint = unescaped(deployment.entrypoint or ())
            args = unescaped(deployment.args)
        except BareDollarError as error:
            raise _HopelessError(str(error)) from None
        spec = ContainerSpec(
            attempt_id=attempt.attempt_id,
            deployment_id=deployment.id,
            image_url=deployment.image_url,
            entrypoint=entrypoint or None,
            args=args,
            environment={**deployment.env, **secrets.env},
            traffic_port=deployment.traffic_port,
            host_port=attempt.host_port,
            little_disk=self._cloud.switches.current.little_disk_in in deployment.allocation,
        )
        try:
            container = self._cloud.runtime.start(spec)
        except StartError as failure:
            raise _HopelessError(f"Failed to start task: {failure}") from None
        self._seen(attempt, container)
        self._tell(attempt, "Task started by client")
        log.info("%s: container %s started", deployment.name, attempt.container_id[:12])

    def _seen(self, attempt: Attempt, container: FoundContainer) -> None:
        self._answered.setdefault(attempt.attempt_id, time.monotonic())
        if (attempt.runtime_id, attempt.host_port) != (container.runtime_id, container.host_port):
            self._cloud.store.change_attempt(
                attempt.attempt_id,
                runtime_id=container.runtime_id,
                host_port=container.host_port or attempt.host_port,
            )

    def _probe(self, deployment: Deployment, attempt: Attempt, container: FoundContainer) -> None:
        self._seen(attempt, container)
        settings = self._cloud.settings
        if self._cloud.runtime.answers(container, timeout_s=settings.probe_timeout_s):
            self._answered[attempt.attempt_id] = time.monotonic()
            if attempt.status != "running":
                self._cloud.store.change_attempt(
                    attempt.attempt_id, status="running", running_at=self._cloud.clock.now()
                )
                self._tell(attempt, "Task is healthy")
            return
        silent_s = time.monotonic() - self._answered[attempt.attempt_id]
        if silent_s > settings.health_grace_s:
            why = f"Unhealthy: no answer on port {deployment.traffic_port} for {silent_s:.0f} s"
            self._replace(deployment, attempt, container, why=why)

    def _exited(self, deployment: Deployment, attempt: Attempt, container: FoundContainer) -> None:
        why = f"Terminated. Exit code: {container.exit_code}"
        if self._cloud.switches.current.container_exit == "restarted":
            self._replace(deployment, attempt, container, why=why)
            return
        self._tell(attempt, why)
        self._cloud.store.change_attempt(
            attempt.attempt_id,
            status="exited",
            runtime_id=container.runtime_id,
            ended_at=self._cloud.clock.now(),
        )

    def _replace(
        self,
        deployment: Deployment,
        attempt: Attempt,
        container: FoundContainer | None,
        *,
        why: str,
    ) -> None:
        """End an attempt and plan the next one: same machine and port, an empty file system."""
        now = self._cloud.clock.now()
        changed = attempt.generation < deployment.generation
        silent = 0 if changed or attempt.running_at else attempt.silent_attempts + 1
        delay_s = 0.0 if changed else self._delay_s(silent)
        attempt_id = uuid.uuid4().hex
        stable = self._cloud.switches.current.container_id == "stable"
        following = replace(
            attempt,
            attempt_id=attempt_id,
            container_id=attempt.container_id if stable else attempt_id,
            created_at=now,
            not_before=now + timedelta(seconds=delay_s),
            status="pending",
            generation=deployment.generation,
            silent_attempts=silent,
            runtime_id=None,
            running_at=None,
            ended_at=None,
            events=(Event(time=now, message=RECEIVED),),
        )
        with self._cloud.store.transaction():
            self._tell(attempt, why)
            self._tell(attempt, f"Task restarting in {delay_s:.0f} s")
            self._cloud.store.change_attempt(attempt.attempt_id, status="exited", ended_at=now)
            self._cloud.store.add_attempt(following)
        log.info("%s: %s; starting it again", deployment.name, why)
        if container is not None:
            self._remove(container.runtime_id)
        self._answered.pop(attempt.attempt_id, None)
        self._cloud.woken.set()

    def _delay_s(self, silent_attempts: int) -> float:
        settings = self._cloud.settings
        doubled = settings.restart_delay_s * 2.0 ** min(silent_attempts, 16)
        return min(doubled, settings.max_restart_delay_s)

    def _mark_running(self, deployment: Deployment) -> None:
        if deployment.status == "running":
            return
        attempts = self._cloud.store.attempts(deployment.id)
        if not attempts or any(attempt.status != "running" for attempt in attempts):
            return
        now = self._cloud.clock.now()
        with self._cloud.store.transaction():
            latest = self._cloud.store.deployment(deployment.id)
            if latest is None or latest.generation != deployment.generation:
                return
            self._cloud.store.change(
                deployment.id,
                only_from=("deployment requested",),
                status="running",
                started_at=deployment.started_at or now,
            )
        log.info("%s: running after %.1f s", deployment.name, self._age_s(deployment))

    def _end(self, deployment: Deployment, status: Status) -> None:
        kept = status == "completed" and self._cloud.switches.current.expiry == "log_kept"
        for container in self._cloud.runtime.found(deployment.id):
            if kept:
                self._keep_log(container)
            self._remove(container.runtime_id)
        now = self._cloud.clock.now()
        for attempt in self._cloud.store.attempts(deployment.id):
            self._cloud.store.change_attempt(attempt.attempt_id, status="exited", ended_at=now)
        self._cloud.store.end(deployment.id, status, at=now)
        log.info("%s: %s after %.1f s", deployment.name, status, self._age_s(deployment))

    def _fail(self, deployment: Deployment, why: str) -> None:
        latest = self._cloud.store.deployment(deployment.id)
        if latest is None or latest.generation != deployment.generation:
            return  # changed meanwhile: the new configuration may do better
        if latest.status == "termination requested":
            return
        for attempt in self._cloud.store.attempts(deployment.id):
            self._tell(attempt, why)
        log.warning("%s: failed: %s", deployment.name, why)
        self._end(deployment, "failed")

    def _keep_log(self, container: FoundContainer) -> None:
        for stream in ("stdout", "stderr"):
            text = b"".join(
                self._cloud.runtime.log(container.runtime_id, stream=stream, follow=False)
            )
            self._cloud.store.keep_log(container.attempt_id, stream, text[-KEPT_LOG_BYTES:])

    def _remove(self, runtime_id: str) -> None:
        self._cloud.runtime.remove(runtime_id, grace_s=self._cloud.settings.stop_grace_s)

    def _paid_time_is_over(self, deployment: Deployment) -> bool:
        paid_s = deployment.duration_hours * 3600.0
        return answers.served_s(self._cloud, deployment) >= paid_s

    def _termination_is_over(self, deployment: Deployment) -> bool:
        since = deployment.terminating_at or deployment.created_at
        return self._cloud.clock.age_s(since) >= self._cloud.switches.current.termination_s

    def _tell(self, attempt: Attempt, message: str) -> None:
        self._cloud.store.add_event(attempt.attempt_id, message, at=self._cloud.clock.now())

    def _age_s(self, deployment: Deployment) -> float:
        return self._cloud.clock.age_s(deployment.created_at)
