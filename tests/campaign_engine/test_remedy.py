"""Which command a user would type who reads a refusal."""

from __future__ import annotations

import pytest

from tests.campaign_engine import remedy


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ("error: it is rented. Type `python -m runs reap 7 --yes`, then `pulumi up`.", None),
        ("error: two machines bill.\n    python -m runs reap 7 --yes", None),
        ("error: run python -m runs reap 7 --yes; nothing was rented.", None),
        (
            "error: renew it with pulumi config set trainstack:renew 1 and up again",
            "pulumi config set trainstack:renew 1",
        ),
        ("error: say so: TRAINSTACK_FORGET=7 pulumi up", "TRAINSTACK_FORGET=7 pulumi up"),
        ("error: no answer. Run `pulumi up` again: it looks first.", "pulumi up"),
        ("error: `pulumi refresh`, then `pulumi up`, rents it again.", "pulumi refresh"),
        (
            "to renew: pulumi up --replace '**T::a' --replace '**D::a'",
            "pulumi up --replace '**T::a' --replace '**D::a'",
        ),
        ("Nothing deletes it but you: python -m runs rm --prefix x --yes", ""),
        ("error: the cap is reached", ""),
    ],
)
def test_the_command_of_a_refusal_is_found(said: str, command: str | None) -> None:
    wanted = "python -m runs reap 7 --yes" if command is None else command
    assert remedy.of(said) == wanted


def test_what_stands_outside_of_the_errors_is_no_remedy() -> None:
    said = "pulumi stack output shows it\n\n  error: refused\n  pulumi refresh\n\nResources: 1"
    assert remedy.of(said) == "pulumi refresh"
