"""Tells a run until when its machine is paid, with the keys and ways that this process has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from components.ionet import machine_state, session
from components.ionet.errors import NotToldError
from components.ionet.rental import bought_time

Props = Mapping[str, Any]


def tell(
    deployment_id: str,
    props: Props,
    *,
    hours: int,
    name: str = "",
    rented_at: datetime | None = None,
) -> None:
    """Tell it; `name` and `rented_at` where the properties have none yet. Raises NotToldError."""
    bought_time.tell(
        session.client(props["cloud"]),
        deployment_id,
        name=name or machine_state.known_text(props, "privateName"),
        hours=hours,
        rented_at=rented_at or machine_state.rented_at(props),
        place=machine_state.place(props),
        accesses=session.ways(props),
    )


def tell_of_more(deployment_id: str, props: Props, *, hours: int, before: str) -> None:
    """Tell it of hours that were just bought, beyond the ones of `before`; raises NotToldError."""
    try:
        tell(deployment_id, props, hours=hours)
    except NotToldError as error:
        raise NotToldError(
            f"{error} The hours of run {props['run']} are bought, and it would stop when the "
            f"{before} ones end. Run `pulumi up` again: it tells the run, and buys nothing twice."
        ) from None
