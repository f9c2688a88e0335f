"""What can be planted in a command: which HTTP call is hit, and what happens to it; data only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Vendor = Literal["ionet", "cloudflare", "bucket"]

Form = Literal[
    "cut-unsent",
    "cut",
    "page-unsent",
    "page",
    "half-json",
    "half-body",
    "empty",
]
"""How a reply is lost. The first three words mean: before the upstream saw the call, or after it.

cut: the connection is closed. page: 504 with a page of HTML. half-json: 200 with the first half of
the body. half-body: the connection is closed in the middle of the body. empty: 200 with none.
"""

FORMS: Final[tuple[Form, ...]] = (
    "cut-unsent",
    "cut",
    "page-unsent",
    "page",
    "half-json",
    "half-body",
    "empty",
)

Role = Literal["engine", "provider", "host", "program", "plugin", "all"]
When = Literal["unsent", "sent", "answered"]
"""Of something done at a call: the call is then lost, or goes on its way, or had been answered."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One HTTP call on its way through a proxy."""

    vendor: Vendor
    method: str
    path: str  # with its query


@dataclass(frozen=True)
class Calls:
    """A kind of call; empty members take any."""

    name: str
    vendor: Vendor | Literal[""] = ""
    method: str = ""
    path: str = ""  # a regular expression that is searched for

    def include(self, call: Call) -> bool:
        return (
            self.vendor in ("", call.vendor)
            and self.method in ("", call.method)
            and re.search(self.path, call.path) is not None
        )


ANY: Final = Calls("any call")
DEPLOY: Final = Calls("deploy", "ionet", "POST", r"/deploy$")
CHANGE: Final = Calls("change in place", "ionet", "PATCH", r"/deployment/")
EXTEND: Final = Calls("extend", "ionet", "POST", r"/extend$")
DELETE: Final = Calls("delete", "ionet", "DELETE", r"/deployment/")
LIST: Final = Calls("list", "ionet", "GET", r"/deployments\b")
DETAILS: Final = Calls("details", "ionet", "GET", r"/deployment/[^/]+$")
QUOTE: Final = Calls("quote", "ionet", "GET", r"/(price|hardware)\b")
OF_IONET: Final = Calls("io.net call", "ionet")
OF_CLOUDFLARE: Final = Calls("Cloudflare call", "cloudflare")
OF_BUCKET: Final = Calls("bucket call", "bucket")
BUCKET_MADE: Final = Calls("bucket made", "cloudflare", "POST", r"/r2/buckets$")
TOKEN_MADE: Final = Calls("token made", "cloudflare", "POST", r"/tokens$")
TOKEN_DELETED: Final = Calls("token deleted", "cloudflare", "DELETE", r"/tokens/")
LEDGER_WRITTEN: Final = Calls("ledger written", "bucket", "PUT", r"/ledger/")
LEDGER_READ: Final = Calls("ledger read", "bucket", "GET", r"/ledger/|prefix=ledger")
LEDGER_DELETED: Final = Calls("ledger deleted", "bucket", "DELETE", r"/ledger/")


@dataclass(frozen=True)
class Lose:
    """The reply is lost."""

    form: Form

    def __str__(self) -> str:
        return self.form


@dataclass(frozen=True)
class WrongId:
    """The deployment is made, and the answer bears an ID that is no deployment's."""

    def __str__(self) -> str:
        return "wrong ID"


@dataclass(frozen=True)
class Storm:
    """From this call on, all of its kind get a status for some seconds and do not arrive."""

    status: int
    for_s: float

    def __str__(self) -> str:
        return f"{self.status} for {self.for_s:.0f} s"


@dataclass(frozen=True)
class Hold:
    """The call stays on its way for some seconds, then arrives, whether its sender lives or not."""

    for_s: float

    def __str__(self) -> str:
        return f"held {self.for_s:.0f} s"


@dataclass(frozen=True)
class Kill:
    """SIGKILL to those processes of the command that play a role."""

    role: Role

    def __str__(self) -> str:
        return f"kill {self.role}"


@dataclass(frozen=True)
class Interrupt:
    """Ctrl-C in the terminal of the command, once or twice."""

    times: int = 1

    def __str__(self) -> str:
        return "Ctrl-C" if self.times == 1 else f"Ctrl-C x{self.times}"


@dataclass(frozen=True)
class Price:
    """All prices are this factor of what they were at first."""

    factor: float

    def __str__(self) -> str:
        return f"prices x{self.factor:g}"


@dataclass(frozen=True)
class Lag:
    """The list shows a deployment only so long after it was made."""

    for_s: float

    def __str__(self) -> str:
        return f"list lags {self.for_s:.0f} s"


@dataclass(frozen=True)
class EndMachines:
    """Machines end without the program.

    Given back in the console, lost with their disk, or ended by the vendor when their hours are
    over.
    """

    how: Literal["given back", "lost", "over"]

    def __str__(self) -> str:
        return f"machine {self.how}"


Action = Kill | Interrupt | Price | Lag | EndMachines


@dataclass(frozen=True)
class Do:
    """Something happens in the world while the call is on its way."""

    action: Action
    when: When = "sent"

    def __str__(self) -> str:
        return str(self.action) if self.when == "sent" else f"{self.action}, call {self.when}"


Effect = Lose | WrongId | Storm | Hold | Do


@dataclass(frozen=True)
class Fault:
    """What happens to the `nth` call of a kind within one command."""

    calls: Calls
    effect: Effect
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.calls.name} {self.nth}: {self.effect}"
