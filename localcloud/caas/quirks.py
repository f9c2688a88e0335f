"""Switches for what the vendor does not document or does in several ways; the default comes first.

Set them when the application is made, by `--behaviour name=value`, or through
`POST /_local/behaviours` while it runs.
"""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Quirks(BaseModel):
    """One value for every switch; unknown switches are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    args: Literal["dropped", "honoured"] = "dropped"
    container_exit: Literal["restarted", "left_dead"] = "restarted"
    container_id: Literal["changes", "stable"] = "changes"
    bare_dollar: Literal["fails", "refused"] = "fails"
    deploy_answer: Literal["bare", "wrapped", "cluster_id", "id", "empty"] = "bare"
    # What an update does: refused; accepted, and nothing happens; accepted without its plain
    # variables; accepted, with maps that are merged into the old ones.
    update: Literal["done", "refused", "ignored", "env_dropped", "merged"] = "done"
    # How the answer to a deploy (or an update) is lost, how many times, and whether what was asked
    # for happened then.
    lose_reply_to: Literal["deploy", "update"] = "deploy"
    lose_reply: Literal["no", "cut", "504"] = "no"
    lose_reply_times: int = Field(default=1, ge=0)
    lost_create: Literal["created", "not_created"] = "created"
    list_delay_s: float = Field(default=0.0, ge=0)
    status_case: Literal["lower", "upper", "title"] = "lower"
    timestamps: Literal["zoned", "naive"] = "zoned"
    delete_ended: Literal["400", "404"] = "400"
    early_destroy: Literal["no_refund", "first_hour_kept"] = "no_refund"
    expiry: Literal["log_gone", "log_kept"] = "log_gone"
    no_public_url: Literal["null", "empty"] = "null"
    log_framing: Literal["lines", "sse"] = "lines"
    log_end: Literal["at_exit", "stays_open", "cut"] = "at_exit"
    bad_key: Literal["401", "400_key_set", "400_words", "400_message", "403", "html"] = "401"
    # As if the key had expired: every call is answered as `bad_key` says.
    every_key_is_bad: bool = False
    funds: Literal["enough", "refused", "fails_later"] = "enough"
    page: Literal["zero_and_one", "zero_based", "one_based"] = "zero_and_one"
    capacity: Literal["counted", "accepted_then_failed"] = "counted"
    # The country whose machines start no container, and the one whose have less disk than any run
    # needs.
    never_starts_in: str = ""
    little_disk_in: str = ""
    # `public`: the account's catalogue has the members of the one body that was captured live.
    hardware_shape: Literal["account", "public", "unknown"] = "account"
    # `hidden`: no row has its price, as for some was seen; the price call knows it.
    catalogue_prices: Literal["shown", "hidden"] = "shown"
    # What every price of the catalogue is multiplied by: the market moves between any two calls.
    price_factor: Decimal = Field(default=Decimal(1), gt=0)
    # Every answer waits so long; termination stays visible so long.
    delay_s: float = Field(default=0.0, ge=0)
    termination_s: float = Field(default=0.0, ge=0)


class Switches:
    """The quirks in force; may be changed from any thread while requests are served."""

    def __init__(self, initial: Quirks | None = None) -> None:
        self._lock = threading.Lock()
        self._current = initial or Quirks()
        self._replies_lost = 0

    @property
    def current(self) -> Quirks:
        """Return the quirks in force now."""
        return self._current

    def change(self, changes: dict[str, Any]) -> Quirks:
        """Set some switches; raise pydantic's ValidationError for an unknown name or value."""
        with self._lock:
            merged = {**self._current.model_dump(), **changes}
            self._current = Quirks.model_validate(merged)
            self._replies_lost = 0
            return self._current

    def take_lost_reply(self) -> str:
        """Return how this deploy's answer is to be lost ("no" when it is not), and count it."""
        with self._lock:
            now = self._current
            if now.lose_reply == "no" or self._replies_lost >= now.lose_reply_times:
                return "no"
            self._replies_lost += 1
            return now.lose_reply
