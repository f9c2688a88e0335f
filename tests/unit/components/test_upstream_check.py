"""What a machine will fetch on paid time is asked for before it is rented."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from components import preflight, upstream_check
from container.contract.recipe import known_recipes, load_recipe
from container.contract.upstream import UpstreamFile, fetched
from tests.loopback_server import LoopbackServer, QuietHandler

NOBODY = "http://127.0.0.1:9"


class Server(LoopbackServer):
    """Answers each path with what a test says, and 404."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str]]] = {}
        self.calls: list[str] = []
        server = self

        class Handler(QuietHandler):
            def answer(self) -> None:
                server.calls.append(f"{self.command} {self.path}")
                status, headers = server.answers.get(self.path, (404, {}))
                if status == 405 and self.command == "GET":
                    status = 206 if self.headers["Range"] == "bytes=0-0" else 500
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_HEAD = answer  # noqa: N815

        super().__init__(Handler)


@pytest.fixture
def upstream() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def mirror() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, upstream: Server) -> None:
    """Let a run need one file, and be able to do without another."""
    sources = (
        UpstreamFile(place="folder/needed", url=f"{upstream.url}/needed"),
        UpstreamFile(place="other", url=f"{upstream.url}/other", without="the tea would be cold"),
    )
    monkeypatch.setattr(preflight, "fetched", lambda _: sources)


def findings(mirror_url: str = "", *, hub_mirror: str = "") -> list[str]:
    env = {
        "RECIPE": "nanochat-d20",
        "DATASET_MIRROR_URL": mirror_url,
        preflight.HUB_MIRROR: hub_mirror,
    }
    return [f"{one.outcome}: {one.text}" for one in preflight.check_upstream(env)]


@pytest.mark.parametrize(
    ("status", "headers", "needed", "other"),
    [
        (200, {}, "passed", "passed"),
        (302, {"Location": NOBODY}, "passed", "passed"),  # the hub's store is elsewhere
        (405, {}, "passed", "passed"),
        (404, {}, "refused", "unknown"),
        (410, {}, "refused", "unknown"),
        (401, {"X-Error-Code": "RepoNotFound"}, "refused", "unknown"),
        (403, {"x-amz-request-id": "1"}, "refused", "unknown"),
        (401, {}, "unknown", "unknown"),
        (403, {}, "unknown", "unknown"),  # a proxy's
        (429, {}, "unknown", "unknown"),
        (503, {}, "unknown", "unknown"),
    ],
)
def test_only_a_servers_own_word_refuses_and_only_for_what_a_run_needs(
    asked: None,
    upstream: Server,
    status: int,
    headers: dict[str, str],
    needed: str,
    other: str,
) -> None:
    """https://github.com/karpathy/nanochat/issues/380: the identity conversations were gone."""
    upstream.answers = {"/needed": (status, headers), "/other": (status, headers)}
    found = findings()
    assert [one.partition(":")[0] for one in found] == [needed, other]
    if needed == "refused":
        assert f"127.0.0.1 answered {status}. Nothing was rented. Put it at a mirror" in found[0]
        assert "the tea would be cold" in found[1]


def test_who_cannot_be_reached_from_here_blocks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    source = UpstreamFile(place="needed", url=f"{NOBODY}/needed")
    monkeypatch.setattr(preflight, "fetched", lambda _: (source,))
    (found,) = findings()
    assert found.startswith("unknown: needed was not looked up: 127.0.0.1 gave no usable answer")


def test_a_file_that_a_mirror_has_needs_no_upstream(
    asked: None, upstream: Server, mirror: Server
) -> None:
    assert findings()[0].startswith("refused")
    upstream.calls.clear()
    mirror.answers = {"/at/folder/needed": (200, {}), "/at/other": (200, {})}
    assert [one.partition(":")[0] for one in findings(f"{mirror.url}/at/")] == ["passed"] * 2
    assert upstream.calls == []


def test_what_a_mirror_lacks_is_asked_of_upstream(
    asked: None, upstream: Server, mirror: Server
) -> None:
    upstream.answers = {"/needed": (200, {})}
    assert [one.partition(":")[0] for one in findings(mirror.url)] == ["passed", "unknown"]


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch, upstream: Server) -> str:
    """Let a run need a question set, and return where it is asked for."""
    place = "api/datasets/a/questions"
    file = UpstreamFile(place=place, url=f"{upstream.url}/{place}", of_hub=True)
    monkeypatch.setattr(preflight, "fetched", lambda _: (file,))
    return place


def test_question_sets_are_asked_of_the_hubs_mirror_alone_and_as_its_library_asks(
    questions: str, upstream: Server, mirror: Server
) -> None:
    """The library knows one place; a GET, as not each mirror of its API answers a HEAD."""
    upstream.answers = {f"/{questions}": (200, {})}
    assert findings(mirror.url)[0].startswith("passed"), "a mirror of files is not the hub's"
    assert (upstream.calls, mirror.calls) == ([f"GET /{questions}"], [])
    (found,) = findings(hub_mirror=f"{mirror.url}/at/")
    assert found.startswith(f"refused: {questions} is not to be had: 127.0.0.1 answered 404")
    assert mirror.calls == [f"GET /at/{questions}"]
    assert len(upstream.calls) == 1


def test_a_mirror_of_the_hub_that_has_them_ends_the_refusal(
    questions: str, upstream: Server, mirror: Server
) -> None:
    assert "Set trainstack:hubMirror to a mirror" in findings()[0]
    mirror.answers = {f"/{questions}": (200, {})}
    assert findings(hub_mirror=mirror.url) == [f"passed: {questions} is at 127.0.0.1"]
    upstream.answers = mirror.answers
    assert findings()[0].startswith("passed"), "to nothing, for the hub itself"


def test_what_the_operators_shell_says_of_the_hub_is_not_the_machines(
    questions: str, upstream: Server
) -> None:
    upstream.answers = {f"/{questions}": (200, {})}
    env = {"RECIPE": "nanochat-d20", "HF_ENDPOINT": NOBODY}
    assert [one.outcome for one in preflight.check_upstream(env)] == ["passed"]


@pytest.mark.parametrize("recipe", [name for name in known_recipes() if name != "rehearsal"])
def test_each_recipes_question_sets_are_asked_for(recipe: str) -> None:
    sets = [one.url for one in fetched(load_recipe(recipe).nanochat) if one.of_hub]
    assert sets == [
        f"https://huggingface.co/api/datasets/{name}"
        for name in (
            "allenai/ai2_arc",
            "openai/gsm8k",
            "openai/openai_humaneval",
            "cais/mmlu",
            "HuggingFaceTB/smol-smoltalk",
        )
    ]


def test_a_rehearsal_and_a_preflight_of_an_older_stack_ask_for_nothing() -> None:
    assert preflight.check_upstream({}) == preflight.check_upstream({"RECIPE": "rehearsal"}) == []
    assert upstream_check.ask_all((), mirror="") == []


@pytest.mark.parametrize("recipe", [name for name in known_recipes() if name != "rehearsal"])
def test_each_recipes_shards_are_asked_for_where_they_will_be_fetched(recipe: str) -> None:
    shard, *_ = fetched(load_recipe(recipe).nanochat)
    data = "fineweb-edu-100b" if recipe == "nanochat-speedrun" else "climbmix-400b"
    folder = "base_data" if recipe == "nanochat-speedrun" else "base_data_climbmix"
    assert shard.url == (
        f"https://huggingface.co/datasets/karpathy/{data}-shuffle/resolve/main/shard_00000.parquet"
    )
    assert shard.place == f"{folder}/shard_00000.parquet"
    assert not shard.without
