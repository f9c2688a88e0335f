"""What each refusal of a rental says is taken out of it and done: then the next update works.

The world is that of the stories. `pulumi` and `runs` are what the story's engine does for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from components.config.keys import RunKeys
from components.config.one_run import RUNS_KEY, SET_BY_PATH
from components.ionet import session
from components.ionet.client import Client
from components.ionet.errors import NotGoneError, RequestRefusedError
from components.ionet.rental import give_back
from container.contract.records import Outcome
from tests.provider.sim_place import put_in_place
from tests.provider.sim_services import SimClient
from tests.provider.sim_world import Fault
from tests.provider.test_stories import Story
from tests.runs_builders import verdict

Situation = Callable[[Story], None]
NewStory = Callable[[], Story]
MOST_CALLS = 60


@pytest.fixture
def new_story(monkeypatch: pytest.MonkeyPatch) -> NewStory:
    def new() -> Story:
        story = Story(seed=1)
        put_in_place(story.world, monkeypatch=monkeypatch, say=story.told.append)
        return story

    return new


def up(story: Story) -> str:
    return story.run("up", lambda: story.engine.up(story.config))


def rented(story: Story) -> None:
    assert not up(story)


def longer(story: Story) -> None:
    rented(story)
    story.config.hours += 1


def renewed_where_the_vendor_restarts_nothing(story: Story) -> None:
    rented(story)
    story.world.refuses_updates = True
    story.config.renew += 1
    assert "`pulumi up` rents it" in up(story)


def half_destroyed(story: Story) -> None:
    """Killed when the identity was marked, before it left the state."""
    rented(story)
    identity = story.engine.snapshot().identity
    for at in range(1, MOST_CALLS):
        story.world.faults = {story.world.calls + at: Fault(story.world.calls + at, "killed after")}
        story.run("destroy", story.engine.destroy)
        if any(page.closing for page in story.world.pages.values()):
            break
    story.world.faults.clear()
    story.engine.state.identity = identity


def token_deleted(story: Story) -> None:
    rented(story)
    story.engine.state.deployment = None
    story.world.live()[0].ended_at = story.world.now
    story.world.tokens.clear()


def ended(outcome: Outcome) -> Situation:
    """The run has its verdict, and the state has lost its machine."""

    def situation(story: Story) -> None:
        rented(story)
        assert story.engine.state.deployment
        prefix = story.engine.state.deployment[1]["r2Prefix"]
        story.world.verdicts[prefix] = verdict(outcome=outcome)
        story.world.live()[0].ended_at = story.world.now
        story.engine.state.deployment = None

    return situation


def hours_over(story: Story) -> None:
    rented(story)
    story.world.wait(timedelta(hours=1.5).total_seconds())
    story.config.hours += 1


def state_lost(story: Story) -> None:
    rented(story)
    story.engine.state = Story(seed=1).engine.state


def in_another_account(story: Story) -> None:
    state_lost(story)
    story.world.account = "another"


def fewer_hours(story: Story) -> None:
    story.config.hours = 2
    rented(story)
    story.config.hours = 1


def too_dear(story: Story) -> None:
    story.config.hours, story.config.cap = 3, 1


def too_dear_by_far(story: Story) -> None:
    story.world.next_factor = story.world.factor = Decimal(5)
    story.config.cap = 1


def too_dear_to_extend(story: Story) -> None:
    story.config.hours = 2
    rented(story)
    story.config.hours, story.config.cap = 9, 2


def nothing(_: Story) -> None: ...


class Remedy:
    """How a remedy is found in a message, and what a user does then."""

    def __init__(self, words: str, do: Callable[[Story, re.Match[str]], object]) -> None:
        self._words, self._do = re.compile(words), do

    def carry_out(self, story: Story, told: str) -> None:
        found = self._words.search(told)
        assert found, f"{self._words.pattern!r} is not told: {told}"
        self._do(story, found)


def set_key(name: str, value: Callable[[re.Match[str]], int]) -> Callable[..., None]:
    return lambda story, found: setattr(story.config, name, value(found))


def raised(story: Story, found: re.Match[str]) -> None:
    setattr(story.config, found[1], getattr(story.config, found[1]) + 1)


def reap(story: Story, found: re.Match[str]) -> None:
    give_back.give_back(cast("Client", SimClient(story.world)), found[1], clock=story.world.clock())


def that_accounts_key(story: Story, _: re.Match[str]) -> None:
    """The machine shows then, and the next refusal names the command that mends it."""
    story.world.account = "ours"
    REAP.carry_out(story, up(story))


UP_AGAIN = Remedy(r"[Rr]un `pulumi up` again|is done: pulumi up\Z", lambda *_: None)
DESTROY = Remedy(r"then start anew: pulumi destroy\Z", lambda story, _: story.engine.destroy())
RAISE = Remedy(r"[Rr]aise trainstack:(renew|rerun)", raised)
RENEW = Remedy(
    r"pulumi config set trainstack:renew (\d+)\Z", set_key("renew", lambda found: int(found[1]))
)
REAP = Remedy(r"Give it back: python -m runs reap (\S+) --stack dev --yes\Z", reap)
THAT_KEY = Remedy(r"Use that account's key \(IOCLOUD_API_KEY\)", that_accounts_key)
HOURS_BACK = Remedy(
    r"Set trainstack:durationHours back to (\d+)", set_key("hours", lambda found: int(found[1]))
)
HIGHER_CAP = Remedy(r"Raise trainstack:maxCostUsd", set_key("cap", lambda _: 99))
FEWER_HOURS = Remedy(
    r"(\d+) of the \d+ h fit under it.*ask for fewer hours",
    lambda story, found: setattr(story.config, "hours", int(found[1])),
)
CHEAPER = Remedy(
    r"wait for a cheaper offer",
    lambda story, _: setattr(story.world, "next_factor", Decimal("0.2")),
)


REFUSALS = pytest.mark.parametrize(
    ("situation", "words", "remedy"),
    [
        (half_destroyed, "is being deleted by a `pulumi destroy`", DESTROY),
        (token_deleted, "Nothing was rented, as a machine that is not recorded", RENEW),
        (ended("succeeded"), "has ended already (succeeded)", RAISE),
        (ended("failed"), "has ended already (failed)", RAISE),
        (hours_over, "its 1 h are over", RENEW),
        (state_lost, "has a live machine already", REAP),
        (in_another_account, "does not show: it may live in another account", THAT_KEY),
        (fewer_hours, "cannot be given back in part", HOURS_BACK),
        (too_dear, "above the cap", HIGHER_CAP),
        (too_dear, "above the cap", FEWER_HOURS),
        (too_dear, "above the cap", CHEAPER),
        (too_dear_by_far, "none of the 1 h fit", HIGHER_CAP),
        (too_dear_by_far, "none of the 1 h fit", CHEAPER),
        (too_dear_to_extend, "above the cap", HIGHER_CAP),
        (too_dear_to_extend, "above the cap", CHEAPER),
    ],
)


@REFUSALS
def test_what_a_refusal_says_is_done_and_the_next_update_works(
    new_story: NewStory, situation: Situation, words: str, remedy: Remedy
) -> None:
    story = new_story()
    situation(story)
    told = up(story)
    assert words in told
    remedy.carry_out(story, told)
    assert not up(story)
    assert len(story.world.live()) == 1


@REFUSALS
def test_what_a_refusal_says_to_a_run_of_a_sweep_is_of_that_run_alone(
    new_story: NewStory,
    monkeypatch: pytest.MonkeyPatch,
    situation: Situation,
    words: str,
    remedy: Remedy,
) -> None:
    """`pulumi config set trainstack:renew` would rent every machine of the sweep anew, or none."""
    monkeypatch.setitem(session._stack_config, RUNS_KEY, '{"main": {"renew": 0}, "other": {}}')
    story = new_story()
    situation(story)
    told = up(story)
    assert words in told
    assert not re.search(rf"trainstack:({'|'.join(RunKeys.model_fields)})\b", told)
    assert told.count("--path") == (1 if "trainstack:" in told else 0)
    told = told.replace(f"{RUNS_KEY}.main.", "trainstack:").replace("--path ", "")
    remedy.carry_out(story, told.removesuffix(f" {SET_BY_PATH.replace('--path ', '')}"))
    assert not up(story)


def at_call(form: str, *, for_s: float = 70.0) -> Callable[[Story, int], None]:
    def plant(story: Story, at: int) -> None:
        at += story.world.calls
        story.world.faults[at] = Fault(at, form, for_s)

    return plant


def asleep_at(story: Story, at: int) -> None:
    at += story.world.calls
    story.world.faults[at] = Fault(at, "meanwhile", meanwhile=lambda: story.world.wait(60))


def asleep_at_each(story: Story, at: int) -> None:
    for one in range(at, MOST_CALLS):
        asleep_at(story, one)


def beside_another_up(story: Story, at: int) -> None:
    at += story.world.calls
    story.other.state = story.engine.snapshot()
    story.world.faults[at] = Fault(at, "meanwhile", meanwhile=story._another_up)


@pytest.mark.parametrize(
    ("before", "plant", "words"),
    [
        (nothing, at_call("unanswered, not done"), "no clear answer when"),
        (nothing, at_call("storm", for_s=300), "as a machine that is not recorded"),
        (nothing, asleep_at_each, "asleep or too busy to rent"),
        (nothing, beside_another_up, "another `pulumi up` rents a machine"),
        (
            renewed_where_the_vendor_restarts_nothing,
            at_call("unanswered, not done"),
            "no clear answer when",
        ),
        (longer, at_call("unanswered, not done"), "no clear answer to the extension"),
        (longer, at_call("storm", for_s=300), "Check the network, then run"),
        (longer, asleep_at_each, "asleep or too busy to extend"),
    ],
)
def test_an_update_that_is_said_to_be_run_again_works_then(
    new_story: NewStory,
    before: Situation,
    plant: Callable[[Story, int], None],
    words: str,
) -> None:
    told = ""
    for at in range(1, MOST_CALLS):
        story = new_story()
        before(story)
        plant(story, at)
        told = up(story)
        if words in told:
            break
    else:
        raise AssertionError(f"{words!r} is told at no call; last {told!r}")
    story.world.faults.clear()
    story.world.storm_until = 0.0  # the network was checked
    UP_AGAIN.carry_out(story, told)
    refused = up(story)
    if "has a live machine already" in refused:  # the other update's, of a state of its own
        REAP.carry_out(story, refused)
        refused = up(story)
    assert not refused
    assert len(story.world.live()) == 1


def test_a_machine_that_is_slow_to_end_is_gone_after_another_destroy(new_story: NewStory) -> None:
    story = new_story()
    rented(story)
    (machine,) = story.world.live()
    client: Any = SimClient(story.world)
    client.delete = lambda _id: None  # asked, and taken, and not done
    with pytest.raises(NotGoneError, match="run `pulumi destroy` again"):
        give_back.give_back(client, machine.id, clock=story.world.clock())
    assert not story.run("destroy", story.engine.destroy)
    assert story.world.live() == []


@pytest.mark.parametrize("done", ["the hours are set back", "it is tried again later"])
def test_hours_that_nobody_quotes_are_set_back_or_bought_later(
    new_story: NewStory, monkeypatch: pytest.MonkeyPatch, done: str
) -> None:
    def refuse(*_: object, **__: object) -> Decimal:
        raise RequestRefusedError("no price", status=400)

    story = new_story()
    longer(story)
    with monkeypatch.context() as now:
        now.setattr(SimClient, "bill", refuse)
        now.setattr(SimClient, "hardware", lambda _: [])
        told = up(story)
    assert "Set trainstack:durationHours back, or try again later." in told
    if done == "the hours are set back":
        story.config.hours -= 1
    assert not up(story)
    assert [one.hours for one in story.world.live()] == [story.config.hours]


def test_a_run_that_has_its_verdict_is_trained_again_when_rerun_is_raised(
    new_story: NewStory,
) -> None:
    story = new_story()
    rented(story)
    assert story.engine.state.deployment
    prefix = story.engine.state.deployment[1]["r2Prefix"]
    story.world.verdicts[prefix] = verdict()
    story.config.iterations += 1
    assert not up(story)
    RAISE.carry_out(story, next(line for line in story.told if "has its verdict" in line))
    assert not up(story)
    assert len(story.world.machines) == 2
    assert len(story.world.live()) == 1


def test_a_machine_that_refresh_found_ended_is_rented_anew_by_a_plain_update(
    new_story: NewStory,
) -> None:
    story = new_story()
    rented(story)
    story.world.live()[0].ended_at = story.world.now
    assert not story.run("refresh", story.engine.refresh)
    assert any("`pulumi up` rents it anew" in line for line in story.told)
    assert not up(story)
    assert len(story.world.live()) == 1
