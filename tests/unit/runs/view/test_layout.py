"""At every width all of a record is shown; colours only where the terminal wants them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from unittest import mock

import pytest
from rich.console import Console, RenderableType

from container.contract.records import Attempt, RunRecord
from runs import checks
from runs.machines import Machine
from runs.terminal.console import in_colour, moves
from runs.tokens import RunToken
from runs.view import logs, loss_curve, rental_tables, tables
from runs.view.layout import Records
from tests.runs_builders import BEAT, jsonl, manifest, metric, status
from tests.unit.runs.rental_builders import NAME, rental
from tests.unit.runs.typed import typed

WIDTHS = (120, 80, 60, 40, 24)
RUNS = {
    "prod-eu-main-0a1b2c3d-deadbeef": "main",
    "dev-wide-with-a-long-name-0a1b2c3e-deadbeef": "wide-with-a-long-name",
}
ID = "11111111-0000-4000-8000-000000000000"
REASON = "restarted after the machine stopped answering"


def run_of(prefix: str, run: str) -> dict[str, bytes]:
    record = RunRecord(
        run=run,
        recipe="nanochat-d24",
        settings={},
        price_usd_per_hour=23.45,
        duration_hours=5,
        created_at=BEAT,
    )
    attempts = [
        Attempt(number=n, started_at=BEAT, host="h", reason=REASON, resumed_from="a/step_000100")
        for n in (1, 2)
    ]
    files = {"checkpoints/base/a-tag-of-some-length/model_000100.pt": b"x" * 5000}
    objects = {
        "run.json": record.to_json(),
        **{f"attempts/{attempt.number}.json": attempt.to_json() for attempt in attempts},
        "status.json": status(run=run, attempt=2, recipe="nanochat-d24", mfu=44.1).to_json(),
        "metrics/1-00000.jsonl": jsonl(*(metric("base", n, loss=6 - n / 20) for n in range(60))),
        "manifest.json": manifest(files, run=run).to_json(),
    }
    return {f"{prefix}/{key}": raw for key, raw in objects.items()}


OBJECTS = {k: raw for prefix, run in RUNS.items() for k, raw in run_of(prefix, run).items()}
PREFIX = next(iter(RUNS))
SHOWN = {
    ("list",): [*RUNS, "nanochat-d24", "120", "3.2145", "1m30s", "$0.01", "gone"],
    ("status",): [*RUNS.values(), "gone", "base", "120/400", "3.2145", "5,120", "1m30s", "$0.01"],
    ("status", "--run", PREFIX): [
        "main",
        "nanochat-d24",
        "attempt2",
        "gone",
        "tokenizer",
        "7s",
        "120/40030%",
        "loss3.2145",
        "5,120tok/s",
        "MFU44.1%",
        "12.3MB",
        "+1.20MBpending",
        "flush",
    ],
    ("cost",): [*RUNS.values(), "$23.45", "~$117.25", "11-2310:00", REASON.replace(" ", "")],
    ("artifacts", "--run", PREFIX): ["a-tag-of-some-length/model_000100.pt", "5.00kB"],
    ("loss", "--run", PREFIX): ["mainbase", "loss6.0000→3.0500"],
}


def without_space(text: str) -> str:
    return "".join(c for c in text if not c.isspace() and c not in "│╭╮╰╯─")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_no_width_cuts_anything_of_a_record(words: tuple[str, ...], width: int) -> None:
    """As in https://github.com/Wirasm/kild/issues/363"""
    ended = typed(OBJECTS, *words, "--bucket", "b", environ={"COLUMNS": str(width)})
    assert ended.code == 0, ended.err
    shown = without_space(ended.out)
    assert [fact for fact in SHOWN[words] if fact not in shown] == []
    assert "…" not in ended.out
    if words[0] != "loss" or width >= 40:
        assert max(len(line) for line in ended.out.splitlines()) <= width


def of_reap() -> Iterator[tuple[RenderableType, list[str]]]:
    """What `reap` and `doctor` show, with what must be seen of it."""
    one = Machine(
        deployment_id=ID,
        name=f"{NAME}-of-a-long-name",
        status="deployment requested",
        paid_usd=rental().entry.usd,
        hours_left=(12.5, 20.0),
        in_state=False,
        rental=rental(ID),
    )
    said = ["deploymentrequested", "$12.30", "12.5-20.0", "no", "runmainofstackdev"]
    yield rental_tables.machines([one], ledger_asked=True), [ID, f"{NAME}-of-a-long-name", *said]
    yield rental_tables.only_in_ledger([rental(ID)]), [ID, NAME, "unknowntothisaccount", "5"]
    token = RunToken(
        id="b" * 32,
        name=NAME,
        identity="0a1b2c3d",
        issued_on=None,
        age=None,
        kept_because="the stack's state knows it: `pulumi destroy` revokes it",
    )
    yield rental_tables.tokens([token]), ["b" * 32, NAME, "`pulumidestroy`revokesit"]
    found = checks.Finding(check="bucket", outcome="refused", what="a-long-word" * 5, remedy="mend")
    yield tables.finding(found), ["refused", "bucket", "a-long-word" * 5, "→mend"]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("number", range(4))
def test_no_width_cuts_what_reap_and_doctor_show(number: int, width: int) -> None:
    drawn, facts = list(of_reap())[number]
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        console.print(drawn)
    shown = without_space(captured.get())
    assert [fact for fact in facts if fact not in shown] == []
    assert max(len(line) for line in captured.get().splitlines()) <= width


def test_what_a_machine_wrote_neither_steers_nor_styles() -> None:
    table = Records("run", "state")
    table.add("[bold]x[/]\x1b[2J", "y\x07")
    console = Console(file=io.StringIO(), width=40)
    with console.capture() as captured:
        console.print(table)
    assert "[bold]x[/][2J" in captured.get()
    assert "\x1b" not in captured.get()
    assert "\x07" not in captured.get()


@pytest.mark.parametrize(
    ("environ", "colour", "drawn_over"),
    [
        ({"TERM": "xterm-256color"}, True, True),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False, True),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "dumb", "NO_COLOR": "1"}, False, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    environ: Mapping[str, str], colour: bool, drawn_over: bool
) -> None:
    """As in https://github.com/freckle/blammo/issues/32"""
    console = Console(force_terminal=True, _environ=environ, file=io.StringIO())
    assert (in_colour(console), moves(console)) == (colour, drawn_over)
    with mock.patch("runs.commands.loss.out", console):
        shown = typed(OBJECTS, "loss", "--run", PREFIX, "--bucket", "b").out
    assert ("\x1b[38;" in shown) == colour
    assert "\x1b[48;" not in shown, "the background stays the terminal's own"
    assert colour or "\x1b" not in shown


def test_colours_of_a_remote_log_are_dropped_where_none_are_wanted() -> None:
    assert logs.tamed("\x1b[31mred\x1b[0m", colours=False) == "red"


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_a_loss_that_is_no_number_leaves_the_rest_of_the_curve(loss: float) -> None:
    steps = [metric("base", 1, loss=3.0), metric("base", 2, loss=2.0), metric("base", 3, loss=loss)]
    (drawn,) = loss_curve.pictures(steps, run="main", width=60, colour=False)
    assert "loss 3.0000 → 2.0000" in drawn
    assert "1 step without a number" in drawn
    (nothing,) = loss_curve.pictures(steps[2:], run="main", width=60, colour=False)
    assert "1 step without a number" in nothing
