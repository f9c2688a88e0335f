"""Which commit goes with which recipe is decided from a list, whatever form the commit has."""

from __future__ import annotations

import pytest

from container.contract.commits import CommitRange, Generation, misfit

OLD, NEWER, NEW = "a" * 40, "abcdef0" + "1" * 33, "c" * 40


def generation(title: str, *ranges: CommitRange) -> Generation:
    return Generation(
        title=title,
        ranges=ranges,
        stages=(),
        flags={},
        shards="",
        validation_shard=None,
        checkpoints={},
        question_sets=(),
    )


def commits(*listed: str, has: str = "") -> CommitRange:
    return CommitRange(since="2026-01-01", until="2026-01-02", listing=" ".join(listed), has=has)


THEN = generation("with midtraining", commits(OLD, NEWER, has="whose model is small"))
NOW = generation("without midtraining", commits(NEW))
KNOWN = {"then": THEN, "now": NOW, "now-larger": NOW}
OF_THEN = "then works with aaaaaaa (2026-01-01) to abcdef0 (2026-01-02), whose model is small"
OF_NOW = "now works with ccccccc (2026-01-01) to ccccccc (2026-01-02)"


@pytest.mark.parametrize(
    ("commit", "recipe"),
    [
        (OLD, "then"),
        (OLD[:7], "then"),
        (NEWER[:12], "then"),
        (NEW, "now"),
        (NEW[:39], "now-larger"),
        (OLD, "of no generation"),
    ],
)
def test_a_commit_that_is_listed_works_whole_or_short(commit: str, recipe: str) -> None:
    assert misfit(commit, recipe=recipe, known=KNOWN) == ""


@pytest.mark.parametrize(
    ("commit", "recipe", "why"),
    [
        ("deadbeef", "then", "no recipe is known to work with it. "),
        ("deadbeef" * 5, "then", "no recipe is known to work with it. "),
        (NEWER[:7] + "2", "then", "no recipe is known to work with it. "),
        (OLD + "a", "then", "is no commit (7 to 40 hex digits, in lower case); a name may move. "),
        (OLD[:6], "then", "is no commit (7 to 40 hex digits, in lower case); a name may move. "),
        (OLD.upper(), "then", "is no commit (7 to 40 hex digits, in lower case); a name may move"),
        ("master", "then", "is no commit (7 to 40 hex digits, in lower case); a name may move. "),
        ("HEAD", "then", "is no commit (7 to 40 hex digits, in lower case); a name may move. "),
        (NEW, "then", "is nanochat without midtraining, which is for now, now-larger. "),
        (NEW[:7], "then", "is nanochat without midtraining, which is for now, now-larger. "),
    ],
)
def test_any_other_is_refused_with_the_ranges_that_work(commit: str, recipe: str, why: str) -> None:
    said = misfit(commit, recipe=recipe, known=KNOWN)
    assert said.startswith(why)
    assert said.endswith(f". Of nanochat's master {OF_THEN}")


def test_a_recipe_without_nanochat_is_told_of_all_ranges() -> None:
    said = misfit("master", recipe="of no generation", known=KNOWN)
    assert said.endswith(f"{OF_THEN}, and {OF_NOW.replace('now', 'now-larger')}")
