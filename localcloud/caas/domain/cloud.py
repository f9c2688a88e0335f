"""The parts of one running stand-in, handed to everything in the domain."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from localcloud.caas.clock import BillingClock
from localcloud.caas.domain.store import Store
from localcloud.caas.quirks import Switches
from localcloud.caas.runtime.runtime import ContainerRuntime
from localcloud.caas.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Shared by the request threads and the reconciler; `woken` tells the latter to look now."""

    settings: Settings
    store: Store
    runtime: ContainerRuntime
    clock: BillingClock
    switches: Switches
    woken: threading.Event = field(default_factory=threading.Event)
