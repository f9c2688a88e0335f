"""Which faults wait for which call: the proxies of one story ask here at each call."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.campaign_engine.faults import Call, Effect, Fault, Storm


@dataclass
class _Armed:
    fault: Fault
    seen: int = 0  # calls of its kind in this command
    struck: bool = False
    over_at: float = 0.0  # of a storm that has begun


@dataclass
class Planted:
    """Numbers the calls of a command and says what happens to each; for any thread."""

    calls: list[Call] = field(default_factory=list[Call])  # of this command
    under_way: int = 0
    struck: list[Fault] = field(default_factory=list[Fault])

    def __post_init__(self) -> None:
        self._armed: list[_Armed] = []
        self._changed = threading.Condition()

    def begin(self, faults: Sequence[Fault]) -> None:
        """Start a command: its first call is number 1 of each kind. Storms go on."""
        with self._changed:
            storms = [one for one in self._armed if one.over_at > time.monotonic()]
            self._armed = storms + [_Armed(fault) for fault in faults]
            self.calls = []

    def clean(self) -> None:
        """Let every call pass from now on; those that are held land in their own time."""
        with self._changed:
            self._armed = []

    def arrived(self, call: Call) -> list[Effect]:
        """Count a call; return what happens to it."""
        now = time.monotonic()
        effects: list[Effect] = []
        with self._changed:
            self.calls.append(call)
            for one in self._armed:
                if not one.fault.calls.include(call):
                    continue
                one.seen += 1
                effect = one.fault.effect
                if one.seen == one.fault.nth:
                    one.struck = True
                    self.struck.append(one.fault)
                    if isinstance(effect, Storm):
                        one.over_at = now + effect.for_s
                    effects.append(effect)
                elif one.over_at > now:
                    effects.append(effect)
        return effects

    @contextmanager
    def on_its_way(self) -> Iterator[None]:
        """Mark a call as not landed yet."""
        with self._changed:
            self.under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self.under_way -= 1
                self._changed.notify_all()

    def settle(self, *, within_s: float = 120.0) -> bool:
        """Wait until every call has landed; False when one has not."""
        with self._changed:
            return self._changed.wait_for(lambda: self.under_way == 0, timeout=within_s)
