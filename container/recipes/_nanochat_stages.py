"""The stages that nanochat recipes share: nanochat's programs, one stage each, data only.

Where generations of nanochat differ, a stage takes its own from the one that it is made for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from container.contract.commits import Generation
from container.contract.recipe import Chat, Stage, Upload
from container.recipes._nanochat_commits import TODAY
from container.recipes._nanochat_flags import arguments

SOURCE: Final = "/opt/nanochat"
PYTHON: Final = f"{SOURCE}/.venv/bin/python"
TORCHRUN: Final = f"{SOURCE}/.venv/bin/torchrun"
_SHARD_READERS: Final = frozenset({"base", "base_loss", "base_eval"})
_CONVERSATION_READERS: Final = frozenset({"mid", "mid_eval", "sft", "eval"})
FIRST_SHARDS: Final = 8  # 2e9 characters, what the tokenizer reads; speedrun.sh has the same number

ENV: Final[Mapping[str, str]] = {
    "NANOCHAT_BASE_DIR": "{workdir}",
    "HF_HOME": "{workdir}/huggingface",
    "TORCHINDUCTOR_CACHE_DIR": "{workdir}/inductor",  # a restarted stage compiles in seconds
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": "{app}",
}


def all_reduce_stage(*, ranks: str) -> Stage:
    """Return the short all-reduce over so many ranks that comes before anything is fetched."""
    return Stage(
        name="verify",
        argv=(
            TORCHRUN,
            "--standalone",
            f"--nproc_per_node={ranks}",
            "-m",
            "container.nanochat.all_reduce",
        ),
        cwd=SOURCE,
        env={**ENV, "NCCL_DEBUG": "WARN"},
        time_limit_s=180,
        silence_limit_s=60,  # of each phase: PyTorch is loaded, GPUs compute, ranks reduce
    )


def data_stages(
    *,
    generation: Generation = TODAY,
    first_shards: str = str(FIRST_SHARDS),
    eval_bundle: bool = True,
    fp8: bool = False,
) -> tuple[Stage, ...]:
    """Return the downloads: first shards before anything, the rest while other stages run.

    base_train lists its files once, at start, and reads only those: it waits for all of them.

    None names outputs: what it fetches stays on the disk of one machine, and each start looks anew
    whether all of it is there. One file would not tell that the others are.
    """
    shards = (f"--folder={generation.shards}",)
    if generation.validation_shard is not None:
        shards += (f"--validation-shard={generation.validation_shard}",)
    readers = tuple(one for one in generation.stages if one in _SHARD_READERS)
    talkers = tuple(one for one in generation.stages if one in _CONVERSATION_READERS)
    return (
        Stage(
            name="data",
            argv=_python(
                "container.nanochat.prepare",
                "begin",
                f"-n{first_shards}",
                *shards,
                "--window-pattern={window_pattern}",
                *(("{fp8:--fp8}",) if fp8 else ()),
            ),
            cwd=SOURCE,
            env=ENV,
            time_limit_s=1800,
            only_for=("tokenizer", "base"),
        ),
        Stage(
            name="shards",
            argv=_python("container.nanochat.prepare", "shards", "-n", "{shards}", *shards),
            cwd=SOURCE,
            env=ENV,
            time_limit_s=2 * 3600,
            needed_by=readers[0],
            only_for=readers,
        ),
        *((_eval_bundle_stage(),) if eval_bundle else ()),
        Stage(
            name="sft_data",
            argv=_python("container.nanochat.prepare", "sft", *generation.question_sets),
            cwd=SOURCE,
            env=ENV,
            time_limit_s=2 * 3600,
            needed_by=talkers[0],
            only_for=talkers,
        ),
    )


def tokenizer_stage() -> Stage:
    """Return the stage that trains the tokenizer on the first shards."""
    return Stage(
        name="tokenizer",
        argv=on_one_process(TODAY, "tok_train", "tokenizer_chars", "vocab_size"),
        cwd=SOURCE,
        env=ENV,
        time_limit_s=3600,
        outputs=("tokenizer/tokenizer.pkl", "tokenizer/token_bytes.pt"),
        uploads=(
            Upload(local="tokenizer", key="tokenizer", kind="file"),
            report_section("tokenizer-training.md"),
        ),
    )


def base_stage(argv: tuple[str, ...], *, time_limit_s: float, first_step_limit_s: float) -> Stage:
    """Return base training, which resumes from its checkpoints."""
    return Stage(
        name="base",
        argv=argv,
        resume_argv=arguments(TODAY.flags, "base_train", "resume_step"),
        cwd=SOURCE,
        env=ENV,
        time_limit_s=time_limit_s,
        first_step_limit_s=first_step_limit_s,
        step_limit_s=900,  # an evaluation of 42M tokens, or a save of 20 GB to a slow disk
        progress="nanochat",
        saves_every="{save_every}",
        needs_credentials=True,
        outputs=("base_checkpoints/{tag}/model_*.pt", "base_checkpoints/{tag}/meta_*.json"),
        uploads=(
            Upload(local="base_checkpoints", key="checkpoints/base", kind="checkpoint"),
            report_section("base-model-training.md"),
        ),
    )


def base_eval_stage(argv: tuple[str, ...], *, core: bool = True) -> Stage:
    """Return the evaluation of the base model; a run goes on without it."""
    table = Upload(local="base_eval", key="base_eval", kind="file")
    return Stage(
        name="base_eval",
        argv=argv,
        cwd=SOURCE,
        env=ENV,
        time_limit_s=2 * 3600,
        silence_limit_s=900,  # each task is a line, at its end
        optional=True,
        outputs=("base_eval/base_model_*.csv",) if core else (),
        uploads=(*((table,) if core else ()), report_section("base-model-evaluation.md")),
    )


def sft_stage(argv: tuple[str, ...], *, time_limit_s: float) -> Stage:
    """Return supervised finetuning of the base model."""
    return unresumed_stage("sft", argv, time_limit_s=time_limit_s, section="sft.md")


def unresumed_stage(
    name: str,
    argv: tuple[str, ...],
    *,
    time_limit_s: float,
    section: str,
    generation: Generation = TODAY,
) -> Stage:
    """Return a training that nanochat cannot resume: it starts from the model before it again.

    `section` is what the generation calls its page of the report.
    """
    folder = generation.checkpoints[name]
    return Stage(
        name=name,
        argv=argv,
        cwd=SOURCE,
        env=ENV,
        time_limit_s=time_limit_s,
        first_step_limit_s=1800,
        step_limit_s=900,
        progress="nanochat",
        saves_once=True,
        needs_credentials=True,
        outputs=(f"{folder}/{{tag}}/model_*.pt", f"{folder}/{{tag}}/meta_*.json"),
        uploads=(
            # Nothing reads its optimizer files, and commits differ in which ranks write them.
            Upload(
                local=folder,
                key=f"checkpoints/{name}",
                kind="checkpoint",
                optimizer_files="none",
            ),
            report_section(section),
        ),
    )


def chat_eval_stage(argv: tuple[str, ...], *, name: str = "eval", source: str = "sft") -> Stage:
    """Return the evaluation of a chat model, which runs programs that the model wrote."""
    return Stage(
        name=name,
        argv=argv,
        cwd=SOURCE,
        env=ENV,
        time_limit_s=2 * 3600,
        silence_limit_s=900,
        runs_model_code=True,
        optional=True,
        uploads=(report_section(f"chat-evaluation-{source}.md"),),
    )


def report_stage() -> Stage:
    """Return the stage that joins the report."""
    return Stage(
        name="report",
        argv=_python("container.nanochat.report", "--model-tag={tag}"),
        cwd=SOURCE,
        env=ENV,
        time_limit_s=300,
        optional=True,
        outputs=("report/report.md",),
        uploads=(report_section("report.md"),),
    )


def on_one_process(generation: Generation, program: str, *names: str) -> tuple[str, ...]:
    """Return the command line of one of nanochat's programs, with what it takes by name."""
    return _python(f"scripts.{program}", *arguments(generation.flags, program, *names))


def on_gpus(generation: Generation, program: str, *names: str) -> tuple[str, ...]:
    """Return the same with a process for each GPU."""
    return (
        TORCHRUN,
        "--standalone",
        "--nproc_per_node={world_size}",
        "-m",
        f"scripts.{program}",
        "--",
        *arguments(generation.flags, program, *names),
    )


def _python(module: str, *more: str) -> tuple[str, ...]:
    return (PYTHON, "-m", module, *more)


def _eval_bundle_stage() -> Stage:
    return Stage(
        name="eval_bundle",
        argv=_python("container.nanochat.prepare", "eval-bundle"),
        cwd=SOURCE,
        env=ENV,
        time_limit_s=1800,
        needed_by="base_eval",
        only_for=("base_eval",),
        optional=True,
    )


def report_section(name: str) -> Upload:
    return Upload(local=f"report/{name}", key=f"report/{name}", kind="file")


CHAT: Final = Chat(
    argv=_python(
        "container.nanochat.chat",
        *arguments(TODAY.flags, "chat_web", "source=sft", "tag", "host=127.0.0.1", "port"),
    ),
    dialect="nanochat",
    env=ENV,
    cwd=SOURCE,
    start_limit_s=600,
)
