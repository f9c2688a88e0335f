"""What a message tells one to type next is typed: it leads on, in the same place."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from container.contract.records import RunRecord
from runs.errors import EXIT_GONE, EXIT_INTERRUPTED
from runs.view import panel
from runs.view.follower import Follower
from runs.view.standing import View
from tests.runs_builders import jsonl, manifest, metric, status, verdict
from tests.unit.runs.typed import Ended, typed

PREFIX = "dev-main-0a1b2c3d-deadbeef"
OTHER = "dev-wide-0a1b2c3d-deadbeef"
REPORT = {"report/report.md": b"# a report\n"}
HERE = ("--bucket", "b")
MAIN = (*HERE, "--prefix", PREFIX)


def run(
    prefix: str = PREFIX,
    *without: str,
    name: str = "main",
    others: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """The objects of a run that succeeded, without some of them."""
    objects = {
        "run.json": RunRecord(run=name, recipe="rehearsal", settings={}).to_json(),
        "status.json": status(run=name, outcome="succeeded").to_json(),
        "metrics/1-00000.jsonl": jsonl(*(metric("base", n, loss=6 - n / 20) for n in range(60))),
        "logs/1-base-00000.log": b"a line\n",
        **REPORT,
        "manifest.json": manifest(REPORT, run=name).to_json(),
        "verdict.json": verdict(run=name).to_json(),
        **(others or {}),
    }
    return {f"{prefix}/{key}": raw for key, raw in objects.items() if key not in without}


def named_in(text: str) -> list[list[str]]:
    """Return the command lines of this program that a message names."""
    found = re.findall(r"python -m runs ([^`\n;]+)", text.replace("python -m runs.", ""))
    return [shlex.split(command.rstrip(".")) for command in found]


def retyped(objects: Mapping[str, bytes], said: str, *, expect: int = 0) -> list[Ended]:
    """Type every command that a message names."""
    commands = named_in(said)
    assert commands, said
    done = [typed(objects, *command) for command in commands]
    assert [one.code for one in done] == [expect] * len(done), [one.err for one in done]
    return done


FAILED = verdict(outcome="failed", stage="base", exit_code=1, reason="it broke").to_json()
OLD = "2026-11-23T09:00:00+00:00"
GONE = status(beat_at=OLD).to_json()


@pytest.mark.parametrize(
    ("objects", "words", "code", "said", "names"),
    [
        (run(PREFIX, "manifest.json"), ("artifacts", *MAIN), 2, "not come that far", "status list"),
        (
            run(),
            ("pull", *MAIN, "--to", "t", "--only", "x*"),
            2,
            "artefact is like",
            "artifacts",
        ),
        (run(PREFIX, "manifest.json"), ("pull", *MAIN, "--to", "t"), 1, "no manifest", "status"),
        (run(), ("pull", *MAIN, "--model", "--to", "t"), 2, "no model was", "status"),
        ({}, ("status", *HERE), 2, "holds no run", "list"),
        (run(), ("status", *HERE, "--run", "mian"), 2, "tells more", "list"),
        (run(), ("rm", *HERE), 2, "which run", "list"),
        (run(), ("status", *HERE, "--prefix", "ledger/trainstack"), 2, "is the ledger", "list"),
        (
            run(PREFIX, "verdict.json", others={"status.json": GONE}),
            ("watch", *MAIN, "--gone-after", "0.1"),
            4,
            "no verdict",
            "logs",
        ),
        (run(others={"verdict.json": FAILED}), ("watch", *MAIN), 1, "whole output", "logs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_command_that_a_message_names_answers_about_the_same_bucket(
    objects: dict[str, bytes], words: tuple[str, ...], code: int, said: str, names: str
) -> None:
    ended = typed(objects, *words)
    assert ended.code == code, ended.err
    assert said in ended.err
    assert [command[0] for command in named_in(ended.err)] == names.split()
    retyped(objects, ended.err)


@pytest.mark.parametrize(
    ("name", "prefix", "key"),
    [("main", PREFIX, "trainstack:renew"), ("wide", OTHER, "trainstack:runs.wide.renew")],
)
def test_a_run_of_a_sweep_that_hangs_is_given_another_machine_by_its_own_key(
    name: str, prefix: str, key: str
) -> None:
    objects = {f"{prefix}/status.json": status(run=name, beat_at=OLD).to_json()}
    ended = typed(objects, "watch", *HERE, "--prefix", prefix, "--gone-after", "0.1")
    assert ended.code == EXIT_GONE
    told = " ".join(ended.err.split())
    assert re.findall(r"raise (trainstack:\S+) for a new machine", told) == [key]


def test_more_runs_than_fit_are_all_in_the_status_that_is_named() -> None:
    runs = {f"dev-r{n:02}-0a1b2c3d-deadbeef": f"r{n:02}" for n in range(30)}
    views = [
        View(run=name, prefix=prefix, standing="running", status=status(run=name))
        for prefix, name in runs.items()
    ]
    shown = Console(width=80)
    with shown.capture() as captured:
        shown.print(panel.picture(views, height=20))
    last = captured.get().splitlines()[-1]
    objects: dict[str, bytes] = {}
    for prefix, name in runs.items():
        objects |= run(prefix, name=name)
    (command,) = named_in(last)
    every = typed(objects, *command, *HERE)
    assert every.code == 0
    assert all(name in every.out for name in runs.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [(("status", *HERE, "--run", "mian"), "There is"), (("logs", *HERE), "which of these 2 runs")],
)
def test_a_run_that_a_message_offers_can_be_named_as_it_stands_there(
    words: tuple[str, ...], said: str
) -> None:
    objects = {**run(), **run(OTHER, name="wide")}
    ended = typed(objects, *words)
    assert said in ended.err
    offered = re.findall(r"--run (\S+)", ended.err.partition(said)[2])
    assert sorted(offered) == [PREFIX, OTHER]
    assert [typed(objects, words[0], *HERE, "--run", one).code for one in offered] == [0, 0]


def test_rm_leads_from_its_list_to_the_deletion() -> None:
    """Nothing is deleted on the way there; each step is what the one before says."""
    objects = run(PREFIX, "verdict.json")
    which = typed(objects, "rm", *HERE)
    (listed,) = retyped(objects, which.err)
    assert PREFIX in listed.out
    dry = typed(objects, "rm", *HERE, "--prefix", PREFIX)
    said = dry.err.partition("say ")[2]
    assert re.findall(r"--\w+", said) == ["--yes", "--force"]
    refused = typed(objects, "rm", *HERE, "--prefix", PREFIX, "--yes")
    assert "Where no verdict comes of that, say --force" in refused.err
    assert named_in(refused.err)[0] == ["status", *MAIN]
    assert typed(objects, "status", *MAIN).code == 0
    done = typed(objects, "rm", *HERE, "--prefix", PREFIX, *re.findall(r"--\w+", said))
    assert (done.code, "Deleted" in done.out) == (0, True)


def test_a_run_with_a_verdict_is_deleted_by_the_one_word_that_is_asked_for() -> None:
    dry = typed(run(), "rm", *MAIN)
    words = re.findall(r"--\w+", dry.err.partition("say ")[2])
    assert words == ["--yes"]
    assert "Deleted" in typed(run(), "rm", *MAIN, *words).out


def test_what_has_no_manifest_is_copied_when_the_option_is_said(tmp_path: Path) -> None:
    words = ("pull", *MAIN, "--to", str(tmp_path))
    objects = run(PREFIX, "manifest.json")
    (option,) = re.findall(r"(--without-\w+)", typed(objects, *words).err)
    assert typed(objects, *words, option).code == 0
    assert (tmp_path / "report/report.md").read_bytes() == REPORT["report/report.md"]


def test_a_file_in_the_way_of_a_copy_gives_way_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused = typed(run(), "pull", *MAIN, "--to", str(tmp_path / "file"))
    assert "name a folder" in refused.err
    assert typed(run(), "pull", *MAIN, "--to", str(tmp_path / "folder")).code == 0


def test_a_disk_without_room_gives_way_to_another_folder_or_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = {"checkpoints/sft/d4/model_000001.pt": b"w" * 10}
    kept = {**REPORT, **checkpoint}
    objects = run(others={**checkpoint, "manifest.json": manifest(kept).to_json()})
    free = {"full": 5, "nearly": 10}
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: SimpleNamespace(free=free.get(Path(path).name, 10**9))
    )
    refused = typed(objects, "pull", *MAIN, "--to", str(tmp_path / "full"))
    assert (refused.code, "Name another folder with --to" in refused.err) == (1, True)
    assert typed(objects, "pull", *MAIN, "--to", str(tmp_path / "other")).code == 0
    refused = typed(objects, "pull", *MAIN, "--to", str(tmp_path / "nearly"))
    (only,) = re.findall(r"--only '(\S+)'", refused.err)
    part = typed(objects, "pull", *MAIN, "--to", str(tmp_path / "nearly"), "--only", only)
    assert part.code == 0, part.err


def test_what_the_bucket_does_not_hold_as_it_was_left_is_sought_among_all_artefacts(
    tmp_path: Path,
) -> None:
    """The same again, which was told, finds the same again."""
    damaged = run(others={"report/report.md": b"# another\n\n"[: len(REPORT["report/report.md"])]})
    words = ("pull", *MAIN, "--to", str(tmp_path))
    ended = typed(damaged, *words)
    assert ended.code == 1
    (every,) = retyped(damaged, ended.out.replace("\n", " "))
    assert "report/report.md" in every.out


def test_after_ctrl_c_the_command_that_is_named_looks_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(Follower, "until_ended", interrupt)
        ended = typed(run(), "watch", *MAIN)
    assert ended.code == EXIT_INTERRUPTED
    assert named_in(ended.err) == [["watch", *MAIN]]
    retyped(run(), ended.err)


@pytest.mark.parametrize(
    ("words", "said", "instead"),
    [
        (f"--bucket s3://b/{PREFIX}", r"For what lies in it: (--prefix \S+)", r"\1"),
        (
            f"--stack prod --prefix {PREFIX}",
            "contradict each other",
            f"--prefix {PREFIX} --bucket b",
        ),
        (f"--bucket b --prefix {PREFIX}/logs", r"Say (--prefix \S+) for all", r"--bucket b \1"),
        ("--prefix s3://b", r"Say (--bucket \w+), or", r"\1"),
        ("--prefix s3://b", "add the run's prefix", f"--prefix s3://b/{PREFIX}"),
        (f"--bucket c --prefix s3://b/{PREFIX}", "two buckets", f"--prefix s3://b/{PREFIX}"),
        (f"--stack dev --prefix s3://b/{PREFIX}", "Leave --stack out", f"--prefix s3://b/{PREFIX}"),
        ("--run main --prefix x", "Leave one of them out", "--bucket b --run main"),
        ("--bucket b --bucket c", "Leave one of them out", "--bucket b"),
        ("--bucket b --run ''", "or leave it out", "--bucket b"),
    ],
)
def test_options_that_contradict_each_other_lead_on_as_the_message_says(
    words: str, said: str, instead: str
) -> None:
    refused = typed(run(), "status", *shlex.split(words))
    assert refused.code == 2
    found = re.search(said, refused.err)
    assert found, refused.err
    ended = typed(run(), "status", *shlex.split(found.expand(instead)))
    assert ended.code == 0, ended.err
