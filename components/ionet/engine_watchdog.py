"""Whether the Pulumi engine that this provider process works for is still there, and what if not.

A provider outlives a killed engine and would go on with its call, rent a machine, and hand the id
to nobody (seen with Pulumi 3.259). The engine's address is among the process's arguments.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence

from components.ionet.errors import EngineGoneError

CONNECT_TIMEOUT_S = 5.0
LOOK_EVERY_S = 5.0
CALLS_END_WITHIN_S = 60.0
_ADDRESS = re.compile(r"(127\.0\.0\.1|localhost|\[::1\]):(\d{1,5})")


def address_in(arguments: Sequence[str]) -> tuple[str, int] | None:
    """Return the engine's host and port from a provider's arguments."""
    for argument in arguments:
        found = _ADDRESS.fullmatch(argument)
        if found:
            return found.group(1).strip("[]"), int(found.group(2))
    return None


def require_alive(arguments: Sequence[str] | None = None) -> None:
    """Raise EngineGoneError when nobody listens at the engine's address any more."""
    address = address_in(sys.argv if arguments is None else arguments)
    if address is None:
        return  # not started by an engine
    try:
        socket.create_connection(address, timeout=CONNECT_TIMEOUT_S).close()
    except OSError:
        raise EngineGoneError(
            "the Pulumi engine has ended in the middle of this call. Nothing was rented or given "
            "back by it: run the same command again (`pulumi up`, `pulumi destroy`), after `pulumi "
            "cancel` where it left the stack locked."
        ) from None


def end_after_engine() -> None:
    """End this process some time after its engine was killed: nobody else would (seen)."""
    if address_in(sys.argv) is not None:
        threading.Thread(target=watch_parent, daemon=True).start()


def watch_parent(
    *,
    parent: Callable[[], int] = os.getppid,
    sleep: Callable[[float], None] = time.sleep,
    end: Callable[[int], None] = os._exit,
) -> None:
    """Wait until the parent is another one, leave running calls a minute, then end the process."""
    engine = parent()
    while parent() == engine:
        sleep(LOOK_EVERY_S)
    sleep(CALLS_END_WITHIN_S)
    end(0)
