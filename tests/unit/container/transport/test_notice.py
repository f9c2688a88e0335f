"""What each service that people use is sent."""

from __future__ import annotations

import json

import pytest

from container.transport.notice import Notice, host_of, ping, post_of, send
from tests.unit.container.telemetry.mailbox import mailbox

SLACK = "https://hooks.slack.com/services/T0/B0/planted"
DISCORD = "https://discord.com/api/webhooks/1/planted"


def notice(**members: str) -> Notice:
    return Notice(
        event="verdict",
        run="main",
        **{"text": "main failed: it broke", "outcome": "failed", **members},
    )


@pytest.mark.parametrize(
    ("url", "member"),
    [
        (SLACK, "text"),
        (f"{DISCORD}/slack", "text"),
        (DISCORD, "content"),
        ("https://ptb.discord.com/api/webhooks/1/x", "content"),
        ("https://example.org/hook", "text"),
    ],
)
def test_each_service_finds_the_text_where_it_looks_for_it(url: str, member: str) -> None:
    assert json.loads(post_of(url, notice()).body)[member] == "main failed: it broke"


@pytest.mark.parametrize("url", ["https://ntfy.sh/topic", "https://ntfy.example.org/topic"])
@pytest.mark.parametrize(("outcome", "priority"), [("failed", "high"), ("succeeded", "default")])
def test_ntfy_gets_plain_text_with_a_title(url: str, outcome: str, priority: str) -> None:
    made = post_of(url, notice(outcome=outcome))
    assert made.body == b"main failed: it broke"
    assert (made.headers["Title"], made.headers["Priority"]) == (f"main: {outcome}", priority)


def test_nobody_is_called_by_a_text_with_a_mention_and_no_password_is_sent() -> None:
    made = post_of(DISCORD, notice(text="@everyone https://me:planted@host/x"))
    assert json.loads(made.body)["allowed_mentions"] == {"parse": []}
    assert b"planted" not in made.body


def test_a_long_text_is_cut_to_what_is_taken() -> None:
    assert len(json.loads(post_of(DISCORD, notice(text="x" * 9999)).body)["content"]) < 2000


@pytest.mark.parametrize("url", [SLACK, "http://[", "planted"])
def test_of_an_address_only_its_host_is_shown(url: str) -> None:
    assert "planted" not in host_of(url)


def test_a_redirect_is_not_followed_and_a_refusal_is_told() -> None:
    with mailbox() as box:
        for status in (302, 403):
            box.statuses = [status]
            assert send(f"{box.url}/hook", notice()) == f"127.0.0.1 answered HTTP {status}"
            assert ping(f"{box.url}/id", "fail") == f"127.0.0.1 answered HTTP {status}"
        assert len(box.came) == 4
