"""Recipes for tests: stages of small Python scripts, in nanochat's layout."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from container.contract.recipe import Chat, Recipe, Setting, Stage, Upload

FOLDER = Path(__file__).resolve().parent
TRAINER = str(FOLDER / "fake_trainer.py")


def script(text: str) -> tuple[str, ...]:
    """Return the command line of a one-line stage, run in the work folder."""
    return (sys.executable, "-c", text.replace("{", "{{").replace("}", "}}"))


def trainer_stage(name: str = "base", *, flags: tuple[str, ...] = (), **changes: Any) -> Stage:
    """Build a stage that runs the fake trainer."""
    folder = {"base": "base_checkpoints", "sft": "chatsft_checkpoints"}[name]
    stage = Stage(
        name=name,
        argv=(
            sys.executable,
            TRAINER,
            f"--out={{workdir}}/{folder}/{{tag}}",
            "--steps={steps}",
            "--device-batch-size={device_batch_size}",
            "--ranks={world_size}",
            *flags,
        ),
        resume_argv=("--resume-from-step={resume_step}",) if name == "base" else (),
        time_limit_s=60,
        first_step_limit_s=20,
        step_limit_s=20,
        outputs=(f"{folder}/{{tag}}/model_*.pt",),
        uploads=(Upload(local=folder, key=f"checkpoints/{name}", kind="checkpoint"),),
        progress="nanochat",
        retries=1,
    )
    return replace(stage, **changes)


def file_stage(name: str, *, local: str, key: str, text: str = "", **changes: Any) -> Stage:
    """Build a stage that writes one file."""
    code = text or (
        "import pathlib\n"
        f"p = pathlib.Path({local!r}) / 'made.txt'\n"
        "p.parent.mkdir(parents=True, exist_ok=True)\n"
        f"p.write_text('made by {name}')\n"
        f"print('{name} wrote', p)"
    )
    stage = Stage(
        name=name,
        argv=script(code),
        cwd="{workdir}",
        time_limit_s=60,
        outputs=(f"{local}/*",),
        uploads=(Upload(local=local, key=key, kind="file"),) if key else (),
    )
    return replace(stage, **changes)


def fake_recipe(*stages: Stage, **changes: Any) -> Recipe:
    """Build a recipe; without stages it has the usual five."""
    usual = (
        file_stage("data", local="data", key=""),
        file_stage("tokenizer", local="tokenizer", key="tokenizer"),
        trainer_stage("base"),
        trainer_stage("sft"),
        file_stage("report", local="report", key="report"),
    )
    recipe = Recipe(
        name="fake",
        title="for tests",
        stages=stages or usual,
        settings={"steps": Setting(default=6, help="steps of each trainer", minimum=1)},
        tag="d2",
        expected_hours=0.01,
        disk_bytes=1000,
        device_batch_size=8,
        chat=Chat(
            argv=(sys.executable, str(FOLDER / "fake_chat.py"), "{port}", "{workdir}"),
            dialect="openai",
            start_limit_s=20,
        ),
    )
    return replace(recipe, **changes)
