"""How runs look: within 80 × 24, whatever they are doing."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console, RenderableType

from container.contract.records import Artifact, StageStatus
from runs.view import panel, tables
from runs.view.standing import View
from tests.runs_builders import status, verdict

LATE = status(bought_left_s=1500.0, in_time="no", stage_needs_s=4200.0)
LATE_SAYS = (
    "bought time ends in 25 min: the run will NOT end in time; this stage takes about 70 min more"
)


def drawn(picture: RenderableType) -> list[str]:
    console = Console(file=StringIO(), width=80, height=24, color_system=None)
    console.print(picture)
    output = console.file
    assert isinstance(output, StringIO)
    return output.getvalue().splitlines()


def view(run: str = "main", **members: Any) -> View:
    defaults: dict[str, Any] = {
        "prefix": f"dev-{run}-0a1b2c3d-deadbeef",
        "standing": "running",
        "status": status(),
        "origin": "machine",
        "beat_age_s": 3.0,
        "eta_s": 205.0,
        "losses": [6.9, 5.0, 4.0, 3.2],
        "estimated_cost_usd": "139.38",
    }
    return View(run=run, **{**defaults, **members})


def test_a_running_run_shows_stages_progress_and_money() -> None:
    lines = drawn(panel.picture([view()], height=24))
    text = "\n".join(lines)
    for part in (
        "✓  tokenizer",
        "▶  base",
        "120/400 30%",
        "3m 25s left",
        "loss 3.2145 █▄▃▁",
        "5,120 tok/s",
        "uploaded 12.3 MB +1.20 MB pending",
        "$0.01 of $139.38 bought so far",
        "then sft, eval, report, flush",
        "said by the machine",
    ):
        assert part in text, part
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("members", "told"),
    [
        (
            {"status": None, "standing": "waiting", "waited_s": 65.0},
            "first sign of life (1m 05s)",
        ),
        ({"standing": "quiet", "beat_age_s": 90.0}, "no sign of life for 1m 30s"),
        ({"trouble": "cannot read: nothing answers."}, "nothing answers"),
        ({"verdict": verdict(), "standing": "succeeded"}, "all stages done"),
        ({"status": status(attempt=3)}, "attempt 3"),
        ({"status": status(message="resumed from step 100")}, "resumed from step 100"),
        ({"status": status(mfu=41.2, gpu_memory_bytes=75_000_000_000)}, "MFU 41.2 %"),
        ({"status": status(all_reduce_bytes_per_s=3.1e11)}, "all-reduce 310 GB/s"),
    ],
)
def test_what_is_unusual_is_told(members: dict[str, Any], told: str) -> None:
    assert told in "\n".join(drawn(panel.picture([view(**members)], height=24)))


def test_the_rate_of_a_machines_links_is_told_beside_what_is_usual_to_programs_too() -> None:
    rates = {"all_reduce_bytes_per_s": 3.1e11, "usual_all_reduce_bytes_per_s": 3.5e11}
    measured = view(status=status(**rates))
    assert "all-reduce 310 GB/s (usual: 350)" in "\n".join(
        drawn(panel.picture([measured], height=24))
    )
    assert rates.items() <= panel.as_json(measured).items()
    assert panel.as_json(view(status=status()))["all_reduce_bytes_per_s"] is None


def test_a_run_of_many_stages_fits_the_terminal() -> None:
    stages = [StageStatus(name=f"stage-{n}", state="done", elapsed_s=1.0) for n in range(40)]
    stages[-1] = StageStatus(name="the-last", state="running", elapsed_s=1.0)
    lines = drawn(panel.picture([view(status=status(stages=stages, message="m"))], height=24))
    assert len(lines) <= 24
    assert any("the-last" in line for line in lines)


@pytest.mark.parametrize("height", [24, 40])
def test_sixty_four_runs_fit_the_terminal_with_the_live_ones_first(height: int) -> None:
    ended = {"standing": "succeeded", "verdict": verdict()}
    views = [view(f"sweep-{n:02}", **(ended if n < 60 else {})) for n in range(64)]
    lines = drawn(panel.picture(views, height=height))
    assert len(lines) < height
    assert "64 runs, 60 succeeded, 4 running" in lines[0]
    assert "sweep-60" in lines[2]
    assert "more: python -m runs status" in lines[-1]
    assert max(len(line.rstrip()) for line in lines) <= 80


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {},
            (
                "[1m 30s $0.01] main base 120/400 30% loss 3.2145 5,120 tok/s "
                "sent 12.3 MB +1.20 MB eta 3m 25s"
            ),
        ),
        (
            {"standing": "waiting", "status": None, "waited_s": 12.0},
            "[0s $0.00] main waiting for the machine's first sign of life (12s)",
        ),
        (
            {"standing": "failed", "verdict": verdict(outcome="failed", reason="base: exit 1")},
            "[2m 30s $0.02] main failed: base: exit 1",
        ),
        (
            {"status": status(step=None, loss=None, tokens_per_s=None), "eta_s": None},
            "[1m 30s $0.01] main base sent 12.3 MB +1.20 MB",
        ),
    ],
)
def test_a_log_line_reads(members: dict[str, Any], expected: str) -> None:
    assert panel.plain_line(view(**members)) == expected


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"status": LATE}, LATE_SAYS),
        (
            {"status": status(bought_left_s=1500.0, in_time="unknown")},
            "bought time ends in 25 min: whether the run ends in time is not known",
        ),
        ({"status": status(bought_left_s=9000.0)}, ""),
        ({"status": LATE, "standing": "succeeded", "verdict": verdict()}, ""),
    ],
)
def test_a_live_runs_line_and_panel_say_whether_it_ends_in_its_bought_time(
    members: dict[str, Any], says: str
) -> None:
    shown = view(**members)
    lines = drawn(panel.picture([shown], height=24))
    text = " ".join(" ".join(line.strip("│ ") for line in lines).split())
    assert ("bought time" in text) is bool(says)
    assert says in text
    assert panel.plain_line(shown).endswith(f"({says})") is bool(says)


def test_of_several_runs_those_that_will_not_end_are_told_by_name() -> None:
    late = [view(f"late-{n}", status=LATE) for n in range(4)]
    done = view("done", status=LATE, standing="stopped", verdict=verdict(outcome="stopped"))
    lines = drawn(panel.picture([view(), *late, done], height=24, width=200))
    text = " ".join(" ".join(lines).split())
    assert f"late-0: {LATE_SAYS}" in text
    assert text.count("NOT end in time") == 2  # a table of many runs has no room for each
    assert "done: bought" not in text


def test_the_end_of_the_bought_time_is_told_to_programs_too() -> None:
    told = panel.as_json(view(status=LATE))
    assert told["bought_left_s"] == 1500.0
    assert (told["ends_in_time"], told["stage_needs_s"]) == ("no", 4200.0)
    assert panel.as_json(view())["ends_in_time"] is None


def test_the_last_checkpoint_and_what_stands_alone_get_a_line_of_their_own() -> None:
    keys = [
        "checkpoints/base/d4/model_000060.pt",
        "checkpoints/base/d4/optim_000060_rank0.pt",
        "checkpoints/base/d4/model_000120.pt",
        "checkpoints/base/d4/optim_000120_rank0.pt",
        "checkpoints/base/d4/complete_000120.json",
        "checkpoints/sft/d4/model_000045.pt",
        "report/report.md",
        "run.json",
        "logs/1-base-00000.log",
        "metrics/1-00000.jsonl",
        "metrics/1-00001.jsonl",
    ]
    found = [Artifact(key=key, size_bytes=1000, sha256="ab" * 32) for key in keys]
    single, groups = tables.grouped(found)
    assert [artifact.key for artifact in single] == keys[2:8]
    assert {name: len(members) for name, members in groups.items()} == {
        "checkpoints/base/d4/, earlier steps": 2,
        "logs/": 1,
        "metrics/": 2,
    }
    text = "\n".join(drawn(tables.artifacts(found, every=False)))
    assert "checkpoints/base/d4/, earlier steps: 2 objects" in text
    assert "11 objects" in text
    assert len(drawn(tables.artifacts(found, every=True))) == len(keys) + 2
