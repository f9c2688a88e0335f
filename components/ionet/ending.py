"""How a rented machine came to its end, and what a user is told of it; pure."""

from __future__ import annotations

from typing import Literal

from container.contract.records import Verdict

End = Literal["done", "hours over", "vanished"]
"""done: the run has its verdict. hours over: what was bought was used. vanished: it ended before,
by somebody's hand or by itself, and the run goes on on another machine."""


def end_of(verdict: Verdict | None, *, hours_over: bool) -> End:
    """Return how a machine ended. A run that was only stopped has not ended."""
    if verdict is not None and verdict.outcome != "stopped":
        return "done"
    return "hours over" if hours_over else "vanished"


def vanished(run: str, deployment_id: str, *, resumes_at: str) -> str:
    """Return what a plan says of a machine that is rented anew."""
    return (
        f"{run}: deployment {deployment_id} has ended before its hours were over. It is rented "
        f"anew, and the run goes on from {resumes_at}"
    )


def hours_over(run: str, hours: int, *, resumes_at: str, renew: int) -> str:
    """Return what a user is told who may still believe that something trains.

    `renew` is how often the run was renewed.
    """
    return (
        f"{run}: its {hours} h are over, and its run has not ended. Nothing bills and nothing "
        f"trains. To go on from {resumes_at}, on a machine rented anew: "
        f"pulumi config set trainstack:renew {renew + 1}"
    )


def unknown(run: str, deployment_id: str, *, account: str) -> str:
    """Return what is said of a machine that the account does not show."""
    return (
        f"{run}: deployment {deployment_id} is unknown to {account}. Another account may have "
        "rented it, and it may bill: nothing changes because of that"
    )
