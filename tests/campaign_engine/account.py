"""The vendor of one story: the CaaS stand-in over HTTP, with puppets for machines.

Asked directly, behind its HTTP face: what it says does not depend on any lag or fault.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from container.contract.environment import NAMES
from localcloud.caas.domain.records import Deployment
from localcloud.caas.runtime.runtime import ContainerSpec, FoundContainer
from tests.campaign_engine.puppets import FIRST_LINE, Puppet
from tests.campaign_engine.story import Machines
from tests.contract.caas_place import CaasPlace, eventually
from tests.contract.in_memory_runtime import InMemoryRuntime


class PuppetRuntime(InMemoryRuntime):
    """Starts a puppet for each container."""

    def __init__(self, *, endpoint: str, machines: Machines) -> None:
        super().__init__()
        self.puppets: dict[str, Puppet] = {}  # by the container's id
        self.faulty: list[str] = []  # deployments that do not work, in the order of their starts
        self._endpoint = endpoint
        self._machines = machines

    def start(self, spec: ContainerSpec) -> FoundContainer:
        fault = self._fault_of(spec.deployment_id)
        puppet = Puppet(spec, endpoint=self._endpoint, fault=fault, needs_s=self._machines.needs_s)
        container = super().start(replace(spec, host_port=puppet.port))
        self.outputs[container.runtime_id].write(FIRST_LINE)
        puppet.start()
        self.puppets[container.runtime_id] = puppet
        return container

    def remove(self, runtime_id: str, *, grace_s: float) -> None:
        if puppet := self.puppets.get(runtime_id):
            puppet.stop()
        super().remove(runtime_id, grace_s=grace_s)

    def answers(self, container: FoundContainer, *, timeout_s: float) -> bool:
        silent = self._machines.how == "silent" and container.deployment_id in self.faulty
        return not silent and super().answers(container, timeout_s=timeout_s)

    def _fault_of(self, deployment_id: str) -> str:
        if deployment_id not in self.faulty and len(self.faulty) < self._machines.faulty:
            self.faulty.append(deployment_id)
        return self._machines.how if deployment_id in self.faulty else ""

    def of(self, deployment_id: str) -> list[Puppet]:
        return [one for one in self.puppets.values() if one.deployment_id == deployment_id]


@dataclass(frozen=True)
class Machine:
    """A deployment as the vendor itself knows it."""

    deployment: Deployment

    @property
    def id(self) -> str:
        return self.deployment.id

    @property
    def run(self) -> str:
        return self.deployment.env.get(NAMES["run"], "main")

    @property
    def identity(self) -> str:
        """The identity of its run, which stands in the prefix before the training hash."""
        return self.deployment.env.get(NAMES["prefix"], "").rpartition("-")[0]

    @property
    def live(self) -> bool:
        """Whether it bills and nobody asked for its end."""
        return self.deployment.status in ("deployment requested", "running")

    @property
    def paid(self) -> Decimal:
        return self.deployment.amount_paid

    def overlaps(self, other: Machine) -> bool:
        """Say whether both billed at the same time."""
        first, second = sorted((self.deployment, other.deployment), key=lambda one: one.created_at)
        ended = first.terminating_at or first.finished_at or datetime.max.replace(tzinfo=UTC)
        return second.created_at < ended


class Account:
    """One account of io.net and all that it ever rented."""

    def __init__(
        self,
        folder: Path,
        *,
        key: str,
        endpoint: str,
        quirks: dict[str, Any],
        machines: Machines | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.key = key
        self.runtime = PuppetRuntime(endpoint=endpoint, machines=machines or Machines())
        self.service = CaasPlace(folder, self.runtime, api_key=key, reconcile_period_s=0.1)
        self.behave(**quirks)

    @property
    def url(self) -> str:
        return self.service.url

    def behave(self, **quirks: Any) -> None:
        self.service.cloud.switches.change(quirks)

    def machines(self) -> list[Machine]:
        """Return all that was ever rented, oldest first."""
        return [Machine(one) for one in reversed(self.service.cloud.store.every())]

    def live(self) -> list[Machine]:
        return [one for one in self.machines() if one.live]

    def puppets(self, machine: Machine) -> list[Puppet]:
        """Return those that the machine ran, one after the other."""
        return self.runtime.of(machine.id)

    def faulty(self, run: str) -> int:
        """Return how many machines of a run did not work."""
        return sum(one.id in self.runtime.faulty and one.run == run for one in self.machines())

    def give_back_all(self) -> list[str]:
        """End every machine as another person does in the console."""
        ended = [one.id for one in self.live()]
        for deployment_id in ended:
            self.service.call("DELETE", f"deployment/{deployment_id}", key=self.key)
        return ended

    def lose_all(self) -> list[str]:
        """Lose every machine with its disk: no verdict is written."""
        ended = [one.id for one in self.live()]
        for deployment_id in ended:
            for puppet in self.runtime.of(deployment_id):
                puppet.stop(saves=False)
            store = self.service.cloud.store
            store.end(deployment_id, "failed", at=self.service.cloud.clock.now())
        return ended

    def let_hours_run_out(self) -> list[str]:
        """Move the vendor's clock on until it has ended every machine, as paid for to the end."""
        ended = [one.id for one in self.live()]
        hours = max((one.deployment.duration_hours for one in self.live()), default=0)
        self.service.time.advance(hours=hours, seconds=1)
        eventually(lambda: not self.live())
        return ended

    def ended(self, *, within_s: float = 30.0) -> bool:
        """Wait until nothing is being terminated any more."""
        pause = threading.Event()
        for _ in range(int(within_s * 10)):
            if not [m for m in self.machines() if m.deployment.status == "termination requested"]:
                return True
            pause.wait(0.1)
        return False

    def close(self) -> None:
        self.runtime.pull_may_end.set()
        self.service.stop()
        for puppet in list(self.runtime.puppets.values()):
            puppet.stop(saves=False)
