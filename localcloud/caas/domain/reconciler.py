"""Keeps every live deployment stepping in the background; none waits for another."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait

from localcloud.caas.domain.cloud import Cloud
from localcloud.caas.domain.life import Life
from localcloud.caas.runtime.runtime import RuntimeUnavailableError

log = logging.getLogger(__name__)

# Steps mostly wait: for a pull, for a container to stop, for a probe that is not answered.
STEPS_AT_ONCE = 16
# Each step asks the daemon and probes; with more deployments the period grows.
STEPS_A_PERIOD = 8
# A step can be left at any point, so nobody waits for a long one.
STOP_S = 5.0


class Reconciler:
    """One thread that looks, and a pool that acts."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._life = Life(cloud)
        self._stopped = threading.Event()
        self._under_way: dict[str, Future[None]] = {}
        self._thread = threading.Thread(target=self._run, name="caas-reconciler", daemon=True)
        self._pool = ThreadPoolExecutor(STEPS_AT_ONCE, thread_name_prefix="caas-step")

    def start(self) -> None:
        """Begin; containers of an earlier process are found by their labels and kept."""
        self._thread.start()

    def stop(self) -> bool:
        """Stop looking; containers go on. False when a step (a pull) is still under way."""
        self._stopped.set()
        self._cloud.woken.set()
        self._thread.join()
        self._pool.shutdown(wait=False, cancel_futures=True)
        begun = [job for job in self._under_way.values() if not job.cancelled()]
        return not wait(begun, timeout=STOP_S).not_done

    def _run(self) -> None:
        swept = False
        while not self._stopped.is_set():
            self._cloud.woken.clear()
            if not swept:
                swept = self._sweep()
            live = self._cloud.store.live()
            for deployment in live:
                self._step(deployment.id)
            crowd = max(1.0, len(live) / STEPS_A_PERIOD)
            self._cloud.woken.wait(self._cloud.settings.reconcile_period_s * crowd)

    def _step(self, deployment_id: str) -> None:
        if deployment_id in self._under_way and not self._under_way[deployment_id].done():
            return
        self._under_way = {key: job for key, job in self._under_way.items() if not job.done()}
        self._under_way[deployment_id] = self._pool.submit(self._guarded, deployment_id)

    def _guarded(self, deployment_id: str) -> None:
        try:
            self._life.step(deployment_id)
        except RuntimeUnavailableError as error:
            log.warning("deployment %s waits: %s", deployment_id, error)
        except Exception:
            log.exception("a step of deployment %s broke; it is tried again", deployment_id)
            raise

    def _sweep(self) -> bool:
        try:
            self._life.sweep()
        except RuntimeUnavailableError as error:
            log.warning("containers of an earlier process were not looked for yet: %s", error)
            return False
        return True
