"""What the vendor charged in a story, and whether the program could know that it is too much."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from decimal import Decimal

from tests.campaign_engine.account import Account
from tests.campaign_engine.fault_proxy import Answer
from tests.campaign_engine.faults import DEPLOY, EXTEND, QUOTE, Call

ZERO = Decimal(0)


@dataclass(frozen=True)
class Charge:
    """Money taken by one call: what its run has cost by then, if the price was known."""

    deployment_id: str
    run: str
    what: str
    total: Decimal
    foreseeable: bool  # the price had not moved since the program's last look in this command


class Charges:
    """Notes each call that cost money, whatever became of its answer."""

    def __init__(self, account: Account) -> None:
        self.made: list[Charge] = []
        self._account = account
        self._moved_at = 0.0
        self._looked_at = 0.0  # in this command

    def command_begins(self) -> None:
        self._looked_at = 0.0

    def price_moved(self) -> None:
        self._moved_at = time.monotonic()

    def observe(self, call: Call, answer: Answer) -> None:
        """Be told of an answer of the vendor."""
        if answer.status == 200 and QUOTE.include(call):
            self._looked_at = time.monotonic()
        if answer.status != 200 or not (DEPLOY.include(call) or EXTEND.include(call)):
            return
        extended = re.search(r"/deployment/([^/]+)/extend", call.path)
        every = self._account.machines()
        machines = [one for one in every if one.id == extended[1]] if extended else every
        if not machines:
            return
        machine = machines[-1]
        raced = 0 < self._looked_at < self._moved_at
        self.made.append(
            Charge(
                deployment_id=machine.id,
                run=machine.run,
                what="extension" if extended else "rental",
                total=sum((one.paid for one in every if one.run == machine.run), ZERO),
                foreseeable=not raced,
            )
        )
