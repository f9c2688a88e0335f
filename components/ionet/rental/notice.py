"""Tells whoever a run's config names that its machine bills no more; whichever command ended it."""

from __future__ import annotations

from components.ionet.rental.waiting import Say
from container.transport.notice import Notice, send


def tell_given_back(url: str, *, run: str, prefix: str, say: Say) -> None:
    """Tell it once; "" is nobody. Never raises: what was not told is said."""
    if not url:
        return
    text = f"{run}: its machine was given back; nothing bills for it any more."
    wrong = send(url, Notice(event="given back", run=run, prefix=prefix, text=text))
    if wrong:
        say(f"{run}: trainstack:notifyUrl was not told that the machine is given back: {wrong}")
