"""Every command on records that are damaged: a message that names the object, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from components.ledger.page import Owner, Page
from container.contract.records import Attempt, RunRecord
from runs.errors import EXIT_FAILED, EXIT_GONE, EXIT_OK, EXIT_STOPPED, EXIT_USAGE
from tests.runs_builders import BEAT, jsonl, manifest, metric, status, verdict
from tests.unit.runs.rental_builders import rental
from tests.unit.runs.typed import Ended, typed

PREFIX = "dev-main-0a1b2c3d-deadbeef"
HEALTHY = "dev-wide-0a1b2c3e-deadbeef"
OWNER = Owner(project="trainstack", stack="dev", run="main")


def run_of(prefix: str, run: str) -> dict[str, bytes]:
    record = RunRecord(
        run=run,
        recipe="rehearsal",
        settings={"depth": 4},
        gpus=["H100"],
        price_usd_per_hour=2.5,
        duration_hours=5,
        created_at=BEAT,
    )
    first = Attempt(number=1, started_at=BEAT, host="c0ffee", reason="first start")
    objects = {
        "run.json": record.to_json(),
        "attempts/1.json": first.to_json(),
        "status.json": status(run=run, outcome="succeeded").to_json(),
        "manifest.json": manifest({"report/report.md": b"x"}, run=run).to_json(),
        "verdict.json": verdict(run=run).to_json(),
        "metrics/1-00000.jsonl": jsonl(*(metric("base", n, loss=6 - n / 20) for n in range(9))),
        "logs/1-base-00000.log": b"first line\n",
    }
    return {f"{prefix}/{key}": raw for key, raw in objects.items()}


WHOLE = {
    **run_of(PREFIX, "main"),
    **run_of(HEALTHY, "wide"),
    OWNER.key: Page(owner=OWNER, entries=(rental("d-1").entry,)).to_json(),
}
ALONE = run_of(PREFIX, "main")
RECORDS = [f"{PREFIX}/{name}.json" for name in ("run", "attempts/1", "status", "manifest")]
RECORDS += [f"{PREFIX}/verdict.json", f"{PREFIX}/metrics/1-00000.jsonl", OWNER.key]
WRONG = (None, True, -1, 0, 1.5, 10**400, -(10**30), float("nan"), float("inf"), 1e308)
TEXTS = ("", "x", "\x1b[2J", "\ud800", "[red]", "../..", "9" * 5000, "9999-12-31T23:59:59-23:59")
VALUES = st.sampled_from([*WRONG, *TEXTS, [], {}, [None], [[]], {"a": 1}, [{"key": 1}], "é\u2028"])
COMMANDS = st.sampled_from(
    [
        ("list",),
        ("status",),
        ("cost",),
        ("artifacts",),
        *((command, "--run", PREFIX) for command in ("status", "watch", "logs", "loss", "cost")),
        ("artifacts", "--run", PREFIX),
        ("logs", "--run", PREFIX, "--stage", "base"),
        ("logs", "--run", "main", "--follow"),
        ("loss", "--run", PREFIX, "--csv"),
        ("rm", "--run", "main"),
        ("rm", "--prefix", PREFIX, "--yes"),
        ("status", "--run", "typo"),
        ("status", "--prefix", f"dev-main-{rental().entry.identity}-00000000"),
    ]
)
CODES = (EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_STOPPED, EXIT_GONE)


def places(found: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place within a JSON value, its members' members too."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(found, dict):
        inner = list(found.items())
    if isinstance(found, list):
        inner = list(enumerate(found))
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


@st.composite
def damaged(draw: Callable[..., Any], raw: bytes) -> bytes:
    """One object with one thing wrong: cut, no text, nested without end, or a member of it."""
    lines = raw.splitlines() if b"\n{" in raw else [raw]  # metrics: one line of several
    how = draw(st.sampled_from(["member", "member", "member", "absent", "more", "cut", "bytes"]))
    if how == "cut":
        return raw[: draw(st.integers(0, len(raw) - 2))]
    if how == "bytes":
        bad = [b"", b"\xff\xfe", b"\x00", b"[" * 100_000, b"null", b"[]", b'"x"', b"NaN", b"1e999"]
        newer = [b'{"schema": 99}', b'{"schema": 1' + b"0" * 4000 + b"}", b'{"schema": Infinity}']
        return draw(st.sampled_from([*bad, *newer]))
    members: Any = json.loads(lines[-1])
    if how == "more":
        members["of_another_program"] = draw(VALUES)
    else:
        *parents, last = draw(st.sampled_from(places(members)[1:]))
        holder = members
        for part in parents:
            holder = holder[part]
        if how == "member":
            holder[last] = draw(VALUES)
        else:
            del holder[last]
    return b"\n".join([*lines[:-1], json.dumps(members).encode("utf-8", "surrogatepass")])


def ended_well(objects: Mapping[str, bytes], *words: str) -> Ended:
    with mock.patch("time.sleep", side_effect=AssertionError("nobody waits here")):
        ended = typed(objects, *words, "--bucket", "b")
    assert ended.code in CODES, ended.err
    assert "Traceback" not in ended.err
    (ended.out + ended.err).encode()  # it can be written
    assert "\x1b[2J" not in ended.out + ended.err
    return ended


@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=400,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data(), words=COMMANDS, key=st.sampled_from(RECORDS))
def test_a_damaged_object_is_told_by_its_key_or_does_no_harm(
    data: st.DataObject, words: tuple[str, ...], key: str
) -> None:
    objects = {**WHOLE, key: data.draw(damaged(WHOLE[key]))}
    ended = ended_well(objects, *words)
    if ended.code == EXIT_FAILED and words[0] != "watch":
        assert key in ended.err
        assert len([line for line in ended.err.splitlines() if key in line]) == 1
    if words == ("list",) or (words == ("cost",) and key != OWNER.key):
        assert "wide" in ended.out, "a damaged run hides a healthy one"


UNREADABLE = (b"{", b"", b"\xff", b"[]", b'{"schema": 99}', b'{"schema": 1}', b"[" * 100_000)


@pytest.mark.parametrize("raw", UNREADABLE, ids=lambda raw: repr(raw[:16]))
@pytest.mark.parametrize(
    ("key", "words"),
    [
        (f"{PREFIX}/verdict.json", ("status", "watch", "cost", "list")),
        (f"{PREFIX}/status.json", ("status", "watch", "cost", "list")),
        (f"{PREFIX}/run.json", ("cost", "list")),
        (f"{PREFIX}/attempts/1.json", ("cost",)),
        (f"{PREFIX}/manifest.json", ("artifacts", "list")),
    ],
)
def test_of_several_runs_the_damaged_one_is_named_and_the_healthy_one_is_shown(
    key: str, words: tuple[str, ...], raw: bytes
) -> None:
    for command in words:
        ended = ended_well({**WHOLE, key: raw}, command)
        assert ended.code == (EXIT_OK if command == "list" else EXIT_FAILED), command
        assert ended.err.count(f"{key} in bucket b cannot be read") == 1
        assert f"{HEALTHY}/" in ended.err or "wide" in ended.out


@pytest.mark.parametrize(
    ("member", "value", "said"),
    [
        ("dollars", "x", "dollars is 'x', and must be a number"),
        ("dollars", float("nan"), "dollars is nan, and must be a number"),
        ("attempt", True, "attempt is true or false, and must be a whole number"),
        ("stages", {}, "stages is an object, and must be a list"),
        ("stages", [{"name": "base"}], "stages[0]: state is missing"),
        ("outcome", "exploded", "outcome is 'exploded', and must be one of succeeded"),
        ("run", None, "run is null, and must be text"),
    ],
)
def test_the_member_at_fault_is_named_with_what_it_must_be(
    member: str, value: object, said: str
) -> None:
    members = {**json.loads(status().to_json()), member: value}
    objects = {**WHOLE, f"{PREFIX}/status.json": json.dumps(members).encode()}
    ended = ended_well(objects, "status", "--run", PREFIX)
    assert said in ended.err


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize(
    "words", [("status", "--run", "main"), ("list",), ("watch", "--run", "main")]
)
def test_a_loss_that_diverged_is_null_for_machines(words: tuple[str, ...]) -> None:
    diverged = status(loss=float("nan"), tokens_per_s=float("inf")).to_json()
    ended = ended_well({**ALONE, f"{PREFIX}/status.json": diverged}, *words, "--json")
    assert ended.code == EXIT_OK
    assert json.loads(ended.out, parse_constant=no_constant)
