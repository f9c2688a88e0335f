"""What one provider process knows of the world: keys, addresses, the stack's config, its voice.

The environment wins over what the last `pulumi up` stored, so that a rotated key reaches
`pulumi destroy`, which does not run the program.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pulumi.dynamic import ConfigureRequest

from components.config.endpoints import CLOUDFLARE_TOKEN, IONET_KEY, mixed_worlds
from components.errors import TrainstackError
from components.ionet import engine_watchdog, properties
from components.ionet.client import DEFAULT_BASE_URL, Client
from components.ionet.errors import KeyRefusedError, WrongWorldError
from components.r2 import verdict_reader
from container.contract.records import Verdict

_stack_config: dict[str, str] = {}
_watched: list[bool] = []


def remember(request: ConfigureRequest) -> None:
    """Keep the secrets of the stack's config, which the engine hands over in clear."""
    for key in (IONET_KEY, CLOUDFLARE_TOKEN):
        value: Any = request.config.get(key)
        if isinstance(value, str):
            _stack_config[key] = value
    if not _watched:
        _watched.append(True)
        engine_watchdog.end_after_engine()


def client(cloud: str) -> Client:
    """Return a client for the world of a resource; raises WrongWorldError inside the other one."""
    problems = mixed_worlds(cloud, env=os.environ)
    if problems:
        raise WrongWorldError("; ".join(problems))
    key = os.environ.get("IONET_API_KEY") or _stack_config.get(IONET_KEY)
    if not key:
        raise KeyRefusedError(
            "there is no io.net key: set IONET_API_KEY, or `pulumi config set --secret "
            f"{IONET_KEY}`."
        )
    return Client(key, base_url=os.environ.get("IONET_BASE_URL") or DEFAULT_BASE_URL)


def verdict(props: Mapping[str, Any]) -> Verdict | None:
    """Return the verdict of the run of these properties; None only when there is surely none."""
    return verdict_reader.find_verdict(
        properties.place(props), run_access=properties.access(props), config=_stack_config
    )


def say(text: str) -> None:
    """Tell the user: the engine shows this process's stderr as it comes."""
    sys.stderr.write(f"{text}\n")  # in one piece: four calls run at a time
    sys.stderr.flush()


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def _is_unforeseen(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], TrainstackError))


# The engine shows what an exception says. gRPC logs its traceback besides, which tells users
# nothing when the failure was foreseen.
logging.getLogger("grpc._server").addFilter(_is_unforeseen)
