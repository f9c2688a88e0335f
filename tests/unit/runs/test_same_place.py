"""Commands that a message names ask where the command asked that names them."""

from __future__ import annotations

import pytest

from runs.cli import place_of
from runs.same_place import in_same_place


@pytest.mark.parametrize(
    ("name", "words", "said", "completed"),
    [
        ("logs", {}, "`python -m runs status`", "`python -m runs status`"),
        (
            "logs",
            {"bucket": ["b"], "prefix": ["p"]},
            "`python -m runs status`, and `python -m runs list`",
            "`python -m runs status --bucket b --prefix p`, and `python -m runs list --bucket b`",
        ),
        (
            "watch",
            {"stack": ["me/prod"]},
            "python -m runs logs --run main\n`pulumi destroy`",
            "python -m runs logs --stack me/prod --run main\n`pulumi destroy --stack me/prod`",
        ),
        (
            "watch",
            {"prefix": ["s3://b/p"]},
            "python -m runs logs --run x; python -m runs list; python -m runs cost",
            """python -m runs logs --bucket b --run x; python -m runs list --bucket b; \
python -m runs cost --bucket b --prefix p""",
        ),
        (
            "reap",
            {"stack": ["dev"], "bucket": ["b"]},
            "python -m runs reap ID --yes; python -m runs doctor",
            "python -m runs reap --stack dev --bucket b ID --yes; python -m runs doctor --bucket b",
        ),
        (
            "doctor",
            {"stack": ["dev"]},
            "`pulumi config set --secret trainstack:wandbApiKey`",
            "`pulumi config set --stack dev --secret trainstack:wandbApiKey`",
        ),
        (
            "chat",
            {"stack": ["it's"]},
            "python -m runs pull",
            "python -m runs pull --stack 'it'\"'\"'s'",
        ),
    ],
)
def test_a_command_in_a_message_asks_where_this_one_asked(
    name: str, words: dict[str, list[str]], said: str, completed: str
) -> None:
    with place_of(name, words):
        assert in_same_place(said) == completed
        assert in_same_place(completed) == completed
    assert in_same_place(said) == said


def test_pulumi_is_told_the_stack_that_only_our_variable_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRAINSTACK_STACK", "prod")
    with place_of("rm", {}):
        said = in_same_place("`pulumi destroy`; `python -m runs reap`")
    assert said == "`pulumi destroy --stack prod`; `python -m runs reap`"
