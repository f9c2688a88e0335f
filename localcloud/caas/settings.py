"""What one process of the stand-in is told at its start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Times are real seconds; only paid hours follow the billing clock's speed."""

    api_key: str = field(repr=False)
    database: Path
    place_id: str
    network: str
    clock_speed: float = 1.0
    reconcile_period_s: float = 1.0
    # A container that does not answer on its traffic port for so long is replaced.
    health_grace_s: float = 60.0
    probe_timeout_s: float = 2.0
    # First pause before an exited container is started again; doubles while it never answers.
    restart_delay_s: float = 1.0
    max_restart_delay_s: float = 60.0
    # A deployment that was never running by then has failed.
    boot_deadline_s: float = 1200.0
    # Between SIGTERM and SIGKILL; five seconds is what Nomad gives a task.
    stop_grace_s: float = 5.0
