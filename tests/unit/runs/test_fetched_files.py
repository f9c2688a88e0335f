"""The doctor says before a rental what a machine could not fetch on paid time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from container.contract.upstream import UpstreamFile
from runs import fetched_files
from tests.loopback_server import LoopbackServer, QuietHandler

NOBODY = "http://127.0.0.1:9"
FILE = UpstreamFile(place="needed", url=f"{NOBODY}/needed")
EXTRA = UpstreamFile(place="extra", url=f"{NOBODY}/extra", without="the tea would be cold")
QUESTIONS = UpstreamFile(place="api/questions", url=f"{NOBODY}/api/questions", of_hub=True)


@pytest.fixture
def mirror() -> Iterator[LoopbackServer]:
    class Handler(QuietHandler):
        def answer(self) -> None:
            self.send_response(200 if self.path.startswith("/has/") else 404)
            self.end_headers()

        do_GET = do_HEAD = answer  # noqa: N815

    server = LoopbackServer(Handler)
    yield server
    server.stop()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, mirror: LoopbackServer) -> dict[str, str]:
    """Let a recipe fetch a file, one that it can do without and a question set."""
    gone = [
        UpstreamFile(
            place=one.place,
            url=f"{mirror.url}/gone/{one.place}",
            without=one.without,
            of_hub=one.of_hub,
        )
        for one in (FILE, EXTRA, QUESTIONS)
    ]
    monkeypatch.setattr(fetched_files, "fetched", lambda _: tuple(gone))
    return {"recipe": "nanochat-d20"}


def test_what_is_to_be_had_is_ok_and_says_where(
    asked: dict[str, str], mirror: LoopbackServer
) -> None:
    has = f"{mirror.url}/has"
    found = fetched_files.look({**asked, "datasetMirror": has, "hubMirror": has})
    assert (found.outcome, found.remedy) == ("ok", "")
    assert found.what == "3 looked up, at 127.0.0.1"


def test_what_a_run_cannot_do_without_is_refused_with_the_key_of_each(
    asked: dict[str, str], mirror: LoopbackServer
) -> None:
    """What is told then is done: each key that is named, set, ends its part of the refusal."""
    found = fetched_files.look(asked)
    assert found.outcome == "refused"
    assert "needed is not to be had: 127.0.0.1 answered 404" in found.what
    assert "tea" not in found.what
    assert "trainstack:datasetMirror" in found.remedy
    assert "trainstack:hubMirror" in found.remedy
    half = fetched_files.look({**asked, "datasetMirror": f"{mirror.url}/has"})
    assert "trainstack:datasetMirror" not in half.remedy
    assert half.outcome == "refused"


def test_what_it_can_do_without_and_who_does_not_answer_block_nothing(
    asked: dict[str, str], mirror: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = UpstreamFile(place="extra", url=f"{mirror.url}/gone/extra", without=EXTRA.without)
    monkeypatch.setattr(fetched_files, "fetched", lambda _: (gone,))
    found = fetched_files.look(asked)
    assert (found.outcome, "the tea would be cold" in found.what) == ("unknown", True)
    monkeypatch.setattr(fetched_files, "fetched", lambda _: (FILE, QUESTIONS))
    found = fetched_files.look(asked)
    assert (found.outcome, found.remedy) == ("unknown", "")
    assert "needed was not looked up: 127.0.0.1 gave no usable answer" in found.what


@pytest.mark.parametrize(
    ("recipe", "outcome"), [("rehearsal", "ok"), ("", "unknown"), ("nanochat-d21", "unknown")]
)
def test_a_recipe_that_fetches_nothing_or_is_none_asks_nobody(recipe: str, outcome: str) -> None:
    assert fetched_files.look({"recipe": recipe}).outcome == outcome
