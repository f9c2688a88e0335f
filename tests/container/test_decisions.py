"""The container's pure parts: tables, no process and no server."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from container.contract.clock import Clock
from container.contract.environment import BadEnvironmentError, RunEnvironment, stage_environment
from container.contract.recipe import (
    RecipeError,
    Setting,
    Upload,
    apply_settings,
    load_recipe,
    render,
    render_argv,
)
from container.contract.records import RunRecord
from container.stages.retry_policy import Tries, decide
from container.stages.stage_process import StageEnd
from container.storage.checkpoints import complete_steps, remove_broken
from container.storage.resume import differences
from container.telemetry.nanochat_log import (
    Evaluation,
    Horizon,
    TrainingStep,
    parse_line,
    plain,
    says_disk_full,
)
from container.telemetry.run_status import LiveStatus
from container.web.status_page import loss_curve, prometheus
from tests.container.recipes import fake_recipe, trainer_stage

LINES: list[tuple[str, Any]] = [
    (
        (
            "step 00010/21400 (0.05%) | loss: 9.876543 | grad norm: 1.2 | lrm: 1.00 | "
            "dt: 320.11ms | tok/sec: 1,637,000 | mfu: 48.10 | total time: 0.11m"
        ),
        TrainingStep(10, 21400, 9.876543, 1637000.0, 320.11, 48.10),
    ),
    (
        (
            "step 05567/05568 (99.98%) | loss: 2.513370 | lrm: 0.05 | dt: 1030.50ms | "
            "tok/sec: 1,017,500 | bf16_mfu: 51.20 | epoch: 1 pq: 3 rg: 4 | total time: 95.1m | "
            "eta: 0m"
        ),
        TrainingStep(5567, 5568, 2.51337, 1017500.0, 1030.5, 51.2),
    ),
    (
        "step 00003 (12.50%) | loss: nan | lrm: 1.00 | dt: 12.00ms | tok/sec: 41,000 | mfu: 1.00 |",
        TrainingStep(3, 24, None, 41000.0, 12.0, 1.0),
    ),
    (
        "step 00001 (0.00%) | loss: 1.5 | lrm: 1.00 | dt: 12.00ms | tok/sec: 41,000 | mfu: 0.00 |",
        TrainingStep(1, None, 1.5, 41000.0, 12.0, 0.0),
    ),
    (
        "Step 00004/00651 | Training loss: 1.234500| lrm: 0.98| num_tokens: 10,000",
        TrainingStep(4, 651, 1.2345),
    ),
    ("Step 00250 | Validation bpb: 0.9876", Evaluation(250, 0.9876)),
    ("Step 00250 | CORE metric: 0.2219", Evaluation(250, None)),
    ("Calculated number of iterations from target data:param ratio: 5,568", Horizon(5568)),
    ("Using user-provided number of iterations: 20", Horizon(20)),
    ("stepping aside", None),
    ("step 1 of the plan", None),
    ("", None),
]


@pytest.mark.parametrize(("line", "wanted"), LINES)
def test_progress_is_read_from_the_lines_of_all_versions(line: str, wanted: Any):
    assert parse_line(line) == wanted


def test_colours_and_trailing_space_are_taken_off():
    assert plain("\x1b[32mINFO\x1b[0m saved  ") == "INFO saved"


def test_a_full_disk_is_recognised_in_torchs_words_too():
    assert says_disk_full("OSError: [Errno 28] No space left on device")
    assert says_disk_full("RuntimeError: [enforce fail] . PytorchStreamWriter failed writing file")


# (end, tries before, device batch size) -> (next, new batch size, part of the reason)
DECISIONS: list[tuple[str, Tries, int, str, int | None, str]] = [
    ("done", Tries(), 8, "done", None, ""),
    ("stopped", Tries(), 8, "stop", None, "why"),
    ("out of memory", Tries(), 8, "again", 4, "out of memory with device batch size 8"),
    ("out of memory", Tries(failed=9), 2, "again", 1, "device batch size 2"),
    ("out of memory", Tries(), 1, "fail", None, "even with device batch size 1"),
    ("failed", Tries(), 8, "again", None, "failed: why"),
    ("failed", Tries(failed=1), 8, "fail", None, "why (2 times)"),
    ("stalled", Tries(), 8, "again", None, "stalled: why"),
    ("stalled", Tries(stalled=1), 8, "fail", None, "stalled 2 times"),
    ("timed out", Tries(), 8, "fail", None, "time limit"),
    ("diverged", Tries(), 8, "fail", None, "why"),
]


@pytest.mark.parametrize(("end", "tries", "size", "following", "smaller", "reason"), DECISIONS)
def test_what_follows_from_the_end_of_a_stage(
    end: Any, tries: Tries, size: int, following: str, smaller: int | None, reason: str
):
    stage_end = StageEnd(end=end, exit_code=1, reason="why")
    found = decide(trainer_stage(), stage_end, replace(tries), device_batch_size=size)
    assert (found.next, found.device_batch_size) == (following, smaller)
    assert reason in found.reason


REQUIRED = {
    "RUN_PREFIX": "p",
    "RECIPE": "rehearsal",
    "R2_ENDPOINT": "http://e",
    "R2_BUCKET": "b",
    "R2_ACCESS_KEY_ID": "id-planted",
    "R2_SECRET_ACCESS_KEY": "secret-planted",
}


def test_every_missing_or_malformed_variable_is_named_in_one_message():
    env = {**REQUIRED, "R2_BUCKET": "", "PRICE_USD_PER_HOUR": "a lot", "KEEP_ALIVE": "perhaps"}
    env |= {"RECIPE_SETTINGS": "[1]", "GPUS_PER_CONTAINER": "-1"}
    with pytest.raises(BadEnvironmentError) as caught:
        RunEnvironment.from_env(env)
    for name in (
        "R2_BUCKET_NAME is not set",
        "PRICE_USD",
        "KEEP_ALIVE",
        "RECIPE_SETTINGS",
        "GPUS_PER",
    ):
        assert name in str(caught.value)


def test_the_environment_keeps_secrets_out_of_its_repr():
    text = repr(RunEnvironment.from_env({**REQUIRED, "ACCESS_TOKEN": "token-planted"}))
    assert "planted" not in text
    assert "rehearsal" in text


def test_ranks_are_the_gpus_and_one_process_without():
    assert RunEnvironment.from_env({**REQUIRED, "GPUS_PER_CONTAINER": "8"}).world_size == 1
    gpus = {**REQUIRED, "GPUS_PER_CONTAINER": "8", "GPU_TYPE": "H100"}
    assert RunEnvironment.from_env(gpus).world_size == 8


def test_a_stage_that_runs_the_models_code_sees_next_to_nothing():
    env = {
        **REQUIRED,
        "PATH": "/bin",
        "WANDB_API_KEY": "w",
        "SOME_OTHER": "x",
        "OMP_NUM_THREADS": "1",
        "HF_ENDPOINT": "https://mirror.example",  # without it each set is asked of the hub itself
    }
    assert stage_environment(env, credentials=True, bare=True) == {
        "PATH": "/bin",
        "HOME": "/tmp",
        "OMP_NUM_THREADS": "1",
        "HF_ENDPOINT": "https://mirror.example",
    }


TEMPLATES = [
    ("--depth={depth}", "--depth=4"),
    ("model_{steps:06d}.pt", "model_000300.pt"),
    ("{fp8:--fp8}", "--fp8"),
    ("{quiet:--quiet}", ""),
    ("{quiet}", "0"),
]


@pytest.mark.parametrize(("template", "wanted"), TEMPLATES)
def test_templates_are_filled(template: str, wanted: str):
    values = {"depth": 4, "steps": 300, "fp8": True, "quiet": False}
    assert render(template, values) == wanted


def test_arguments_that_come_out_empty_are_left_out():
    values = {"run": "", "off": False, "n": 3}
    argv = render_argv(["train", "--run={run}", "{off:--x}", "-n", "{n}"], values)
    assert argv == ["train", "-n", "3"]


def test_an_unknown_name_in_a_template_is_an_error():
    with pytest.raises(RecipeError, match="depht"):
        render("{depht}", {"depth": 1})


def test_all_bad_settings_are_named_at_once_and_nothing_is_guessed():
    recipe = replace(
        fake_recipe(),
        settings={
            "steps": Setting(default=6, help="", minimum=1),
            "rate": Setting(default=0.5, help=""),
            "mode": Setting(default="a", help="", choices=("a", "b")),
        },
    )
    with pytest.raises(RecipeError) as caught:
        apply_settings(recipe, {"steps": 0, "rate": "fast", "mode": "c", "other": 1})
    for text in (
        "steps: 0 must be at least 1",
        "rate: 'fast' must be a number",
        "'a', 'b'",
        "other: unk",
    ):
        assert text in str(caught.value)
    assert apply_settings(recipe, {"rate": 1}).values()["rate"] == 1.0
    with pytest.raises(RecipeError, match="True must be a whole number"):
        apply_settings(recipe, {"steps": True})


def test_an_unknown_recipe_is_answered_with_the_known_ones():
    with pytest.raises(RecipeError, match=r"known are: .*rehearsal"):
        load_recipe("rehersal")


def test_every_recipe_renders_all_its_command_lines():
    from container.contract.recipe import PLACEHOLDERS, known_recipes

    for name in known_recipes():
        recipe = load_recipe(name)
        values: dict[str, Any] = {**dict.fromkeys(PLACEHOLDERS, "1"), **recipe.values()}
        values |= {"device_batch_size": 8, "world_size": 8, "resume_step": 100, "port": 1}
        for stage in recipe.stages:
            assert render_argv([*stage.argv, *stage.resume_argv], values)
            for text in (*stage.env.values(), *stage.outputs, stage.cwd):
                render(text, values)


def write_step(folder: Path, step: int, *, ranks: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"model_{step:06d}.pt", *(f"optim_{step:06d}_rank{r}.pt" for r in range(ranks))]
    for name in names:
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("x", "y" * 100)
    (folder / f"meta_{step:06d}.json").write_text('{"val_bpb": Infinity}')


def test_only_steps_with_all_their_files_whole_are_complete(tmp_path: Path):
    folder = tmp_path / "d2"
    upload = Upload(local="x", key="x", kind="checkpoint")
    for step in (100, 200, 300, 400, 500):
        write_step(folder, step)
    model = folder / "model_000200.pt"
    model.write_bytes(model.read_bytes()[:-20])
    (folder / "optim_000300_rank1.pt").unlink()
    (folder / "meta_000400.json").write_text('{"step": 4')
    (folder / "model_final.pt").write_bytes(b"")
    steps = complete_steps(folder, upload, world_size=2)
    assert [step.step for step in steps] == [100, 500]
    assert steps[0].files[0].name == "model_000100.pt"
    assert remove_broken(folder, upload, world_size=2) == [200, 300, 400]
    assert (folder / "model_final.pt").exists()


def test_how_many_optimizer_files_make_a_step_complete_is_the_recipes(tmp_path: Path):
    folder = tmp_path / "d2"
    write_step(folder, 7, ranks=1)
    for wanted, steps in (("every rank", 0), ("first rank", 1), ("none", 1)):
        upload = Upload(local="x", key="x", kind="checkpoint", optimizer_files=wanted)  # pyright: ignore[reportArgumentType]
        assert len(complete_steps(folder, upload, world_size=8)) == steps


def test_runs_on_one_prefix_may_not_differ_in_what_training_depends_on():
    one = RunRecord(run="main", recipe="r", settings={"depth": 4}, world_size=8)
    assert differences(one, replace(one, image_digest="other", gpus=["H100"])) == []
    assert differences(one, replace(one, settings={"depth": 5}, world_size=4)) == [
        "world size was 8, is 4",
        "setting depth was 4, is 5",
    ]


class Standing(Clock):
    """A clock that is moved by hand."""

    seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


def test_dollars_are_the_time_over_all_attempts_times_the_hourly_price():
    clock = Standing()
    live_status = LiveStatus(run="m", recipe="r", price_usd_per_hour=Decimal("24.00"), clock=clock)
    live_status.count_earlier(attempt=2, elapsed_s=3600)
    clock.seconds += 1800
    assert live_status.dollars() == Decimal("36.0000")
    live_status.end("succeeded")
    clock.seconds += 1800
    assert live_status.snapshot().dollars == 36.0


def test_the_page_keeps_the_curve_small_and_prometheus_gets_plain_numbers():
    live_status = LiveStatus(run='m"x', recipe="r", price_usd_per_hour=Decimal(1), clock=Standing())
    live_status.plan(["base"])
    live_status.begin_stage("base")
    for step in range(9000):
        live_status.progress(TrainingStep(step, 9000, 4.0 - step / 9000, tokens_per_s=10.0))
    assert len(live_status.curve()) <= 4000
    assert loss_curve(live_status.curve()).count("<polyline") == 1
    text = prometheus(live_status.snapshot())
    assert 'trainstack_step{run="m\\"x",recipe="r",stage="base"} 8999' in text
    assert json.loads(live_status.snapshot().to_json())["total_steps"] == 9000
