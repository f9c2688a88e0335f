"""What runs cost: attempts with their time and money, what was bought, what storage takes; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from components.ionet.cost import storage_usd_per_month
from container.contract.clock import moment
from container.contract.records import Attempt, RunRecord, RunStatus, Verdict

_HOUR_S = Decimal(3600)


@dataclass(frozen=True, kw_only=True)
class AttemptCost:
    """One container start: from its start to the next one's, or to the last sign of life."""

    number: int
    started_at: str
    host: str
    reason: str
    resumed_from: str
    elapsed_s: float
    usd: Decimal


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """One run. `used_usd` is time × price as the machine counts it.

    `bought_usd` is what the stack says that its rental cost, fees and extensions included, when
    `bought_known`; else the hours first bought × price, to which the vendor adds fees.
    """

    run: str
    prefix: str
    price_usd_per_hour: Decimal
    duration_hours: int
    elapsed_s: float
    used_usd: Decimal
    bought_usd: Decimal
    bought_known: bool
    size_bytes: int
    attempts: Sequence[AttemptCost]

    @property
    def storage_usd_per_month(self) -> Decimal:
        """What keeping the run's objects costs a month, free allowance not counted."""
        return storage_usd_per_month(self.size_bytes)


def run_cost(
    *,
    run: str,
    prefix: str,
    record: RunRecord | None,
    attempts: Sequence[Attempt],
    status: RunStatus | None,
    verdict: Verdict | None,
    size_bytes: int,
    estimated_cost_usd: str = "",
) -> RunCost:
    """Put a run's records together, with the stack's word on what its rental cost, if any."""
    price = _exact(record.price_usd_per_hour if record else 0.0)
    hours = record.duration_hours if record else 0
    end = verdict.ended_at if verdict else status.beat_at if status else ""
    used = verdict.dollars if verdict else status.dollars if status else 0.0
    known = _amount(estimated_cost_usd)
    return RunCost(
        run=run,
        prefix=prefix,
        price_usd_per_hour=price,
        duration_hours=hours,
        elapsed_s=verdict.elapsed_s if verdict else status.elapsed_s if status else 0.0,
        used_usd=_exact(used),
        bought_usd=price * hours if known is None else known,
        bought_known=known is not None,
        size_bytes=size_bytes,
        attempts=_attempts(attempts, price=price, end=end),
    )


def _attempts(attempts: Sequence[Attempt], *, price: Decimal, end: str) -> list[AttemptCost]:
    ordered = sorted(attempts, key=lambda attempt: attempt.number)
    ends = [*(attempt.started_at for attempt in ordered[1:]), end]
    costs: list[AttemptCost] = []
    for attempt, ended_at in zip(ordered, ends, strict=False):
        elapsed_s = _between_s(moment(attempt.started_at), moment(ended_at))
        costs.append(
            AttemptCost(
                number=attempt.number,
                started_at=attempt.started_at,
                host=attempt.host,
                reason=attempt.reason,
                resumed_from=attempt.resumed_from,
                elapsed_s=elapsed_s,
                usd=_exact(elapsed_s) / _HOUR_S * price,
            )
        )
    return costs


def _between_s(begin: datetime | None, end: datetime | None) -> float:
    if begin is None or end is None:
        return 0.0
    return max(0.0, (end - begin).total_seconds())


def _amount(text: str) -> Decimal | None:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount > 0 else None


def _exact(number: float) -> Decimal:
    return Decimal(str(number))
