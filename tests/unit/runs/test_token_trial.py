"""What the doctor says of the trial of a run's token."""

from __future__ import annotations

import pytest

from components.ionet.run_tokens import Trial
from runs.token_trial import in_words


@pytest.mark.parametrize(
    ("trial", "told", "remedy"),
    [
        (Trial(outcome="made"), "was revoked", ""),
        (Trial(outcome="made", left="n"), "token n may be left, and expires within", ""),
        (Trial(outcome="unknown", why="No answer. Try"), "not checked: No answer", ""),
        (
            Trial(outcome="refused", why="403.", lacks=("Account API Tokens Write",)),
            "The token lacks Account API Tokens Write",
            "add Account API Tokens Write to the token: dash.cloudflare.com, Manage Account",
        ),
        (Trial(outcome="refused", why="403."), "not told", "add what it lacks"),
        (
            Trial(outcome="refused", why="403.", is_a_users=True),
            "is a user's",
            "make an account-owned one",
        ),
    ],
)
def test_what_the_operators_token_lacks_is_named_and_where_to_click(
    trial: Trial, told: str, remedy: str
) -> None:
    what, to_do = in_words(trial)
    assert told in what
    assert remedy in to_do
    assert bool(remedy) is bool(to_do)
