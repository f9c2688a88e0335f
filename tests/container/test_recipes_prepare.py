"""What the nanochat recipes fetch beforehand, and the report at a commit that writes none."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from container.nanochat import chat, download, prepare, report, shards
from tests.loopback_server import LoopbackServer, QuietHandler

NEWER_THAN_3_10 = {
    "file_digest",
    "UTC",
    "tomllib",
    "StrEnum",
    "Self",
    "Never",
    "LiteralString",
    "assert_never",
    "assert_type",
    "override",
    "ExceptionGroup",
    "TaskGroup",
    "add_note",
    "batched",
}
"""Of the standard library, and likely in programs of this kind."""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path))
    monkeypatch.setattr(download, "FIRST_PAUSE_S", 0.0)
    return tmp_path


def test_a_report_that_was_begun_keeps_when_the_run_began(base: Path) -> None:
    source = base / "source"
    (source / "nanochat").mkdir(parents=True)
    (source / "nanochat" / "report.py").write_text("print('reset')")
    header = base / "report" / "header.md"
    header.parent.mkdir()
    header.write_text("Run started: long ago")
    program = [
        sys.executable,
        "-c",
        "from container.nanochat import prepare as p; p._begin_report()",
    ]
    paths = os.pathsep.join([str(source), str(Path.cwd())])
    environment = {"PYTHONPATH": paths, "NANOCHAT_BASE_DIR": str(base)}
    assert subprocess.check_output(program, env=environment, text=True) == ""
    header.unlink()
    assert subprocess.check_output(program, env=environment, text=True) == "reset\n"


H100, L40, A100, V100 = (9, 0), (8, 9), (8, 0), (7, 0)


@pytest.mark.parametrize(
    ("capability", "found", "window_pattern", "fp8", "told"),
    [
        (H100, True, "SSSL", True, "is there"),
        (L40, False, "L", True, "PyTorch's own"),
        (A100, True, "SSSL", False, "is there"),
        (A100, False, "L", False, "PyTorch's own"),
        (None, False, "SSSL", True, "PyTorch's own"),
    ],
)
def test_kernels_that_cost_nothing_extra_are_accepted(
    capability: tuple[int, int] | None, found: bool, window_pattern: str, fp8: bool, told: str
) -> None:
    said = prepare.kernels(capability, found=found, window_pattern=window_pattern, fp8=fp8)
    assert told in said


@pytest.mark.parametrize(
    ("capability", "found", "window_pattern", "fp8", "told"),
    [
        (H100, False, "SSSL", True, "Hopper"),
        (H100, False, "L", True, "Hopper"),
        (A100, False, "SSSL", False, "recipeSettings {window_pattern: L}"),
        (L40, False, "SSSL", True, "recipeSettings {window_pattern: L}"),
        (A100, True, "SSSL", True, "recipeSettings {fp8: false}"),
        (V100, False, "L", True, "recipeSettings {fp8: false}"),
        (A100, False, "SSSL", True, "recipeSettings {fp8: false, window_pattern: L}"),
    ],
)
def test_kernels_that_a_gpu_lacks_end_the_run_while_it_is_cheap(
    capability: tuple[int, int], found: bool, window_pattern: str, fp8: bool, told: str
) -> None:
    """nanochat trains on, several times slower, with a line in the log; fp8 on an A100 ended base
    training at its first step. All settings are named at once."""
    with pytest.raises(prepare.PrepareError) as caught:
        prepare.kernels(capability, found=found, window_pattern=window_pattern, fp8=fp8)
    assert told in str(caught.value)


def source_with(base: Path, **modules: str) -> dict[str, str]:
    """Write modules of nanochat and torch, and return the environment that finds them."""
    source = base / "source"
    (source / "nanochat").mkdir(parents=True, exist_ok=True)
    (source / "nanochat" / "__init__.py").touch()
    for name, text in modules.items():
        folder = source if name == "torch" else source / "nanochat"
        (folder / f"{name}.py").write_text(text)
    paths = os.pathsep.join([str(source), str(Path.cwd())])
    return {"PYTHONPATH": paths, "NANOCHAT_BASE_DIR": str(base)}


GPU = """
class cuda:
    def is_available(): return True
    def get_device_capability(): return CAPABILITY
"""
CLIMBMIX = ("--folder=base_data_climbmix", "--validation-shard=6542")
NO_GPU = "class cuda:\n    def is_available(): return False"
SHARDS = """
import os, pathlib, sys
folder = pathlib.Path(os.environ["NANOCHAT_BASE_DIR"]) / "base_data_climbmix"
BASE_URL = "http://127.0.0.1:9"
if __name__ == "__main__":
    folder.mkdir(exist_ok=True)
    for number in [*range(int(sys.argv[2])), 6542]:
        (folder / f"shard_{number:05d}.parquet").write_bytes(b"PAR1...PAR1")
"""


@pytest.mark.parametrize(
    ("torch", "arguments", "code", "told"),
    [
        (GPU.replace("CAPABILITY", "(8, 0)"), ["--fp8"], 1, "begin: this GPU has compute cap"),
        (GPU.replace("CAPABILITY", "(8, 0)"), [], 0, ""),
        (GPU.replace("CAPABILITY", "(9, 0)"), ["--fp8"], 1, "begin: Flash Attention 3 was not"),
        (NO_GPU, ["--fp8", "--window-pattern=SSSL"], 0, ""),
    ],
)
def test_the_data_stage_refuses_before_it_downloads(
    base: Path, torch: str, arguments: list[str], code: int, told: str
) -> None:
    environment = source_with(base, torch=torch, flash_attention="HAS_FA3 = False", dataset=SHARDS)
    done = subprocess.run(
        [sys.executable, "-m", "container.nanochat.prepare", "begin", "-n2", *CLIMBMIX, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr[: len(told)]) == (code, told)
    assert len(done.stderr.splitlines()) == code  # one message, no traceback
    assert (base / "base_data_climbmix").exists() == (code == 0)


def test_shards_that_nanochat_puts_elsewhere_are_no_fault_of_the_network(base: Path) -> None:
    """An older commit has another folder: the network was blamed, after four rounds of download."""
    dataset = SHARDS + 'DATA_DIR = "/somewhere/base_data"\n'
    environment = source_with(base, dataset=dataset)
    done = subprocess.run(
        [sys.executable, "-m", "container.nanochat.prepare", "shards", "-n2", *CLIMBMIX],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "keeps its shards in base_data, the recipe expects them in base_data_cl" in done.stderr
    assert not (base / "base_data_climbmix").exists()


def test_the_question_sets_that_the_recipe_names_are_loaded_once(
    base: Path,
) -> None:
    tasks = base / "source" / "tasks"
    tasks.mkdir(parents=True)
    (tasks / "__init__.py").touch()
    (tasks / "mmlu.py").write_text("class MMLU(list):\n  def __init__(s, **k): super().__init__(k)")
    environment = source_with(base)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "container.nanochat.prepare", "sft"),
            *("mmlu.MMLU:subset=all,split=test", "mmlu.MMLU:"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "MMLU {'subset': 'all', 'split': 'test'}: 2 rows",
        "MMLU {}: 0 rows",
    ]


@pytest.mark.parametrize(
    ("arguments", "doing", "error"),
    [
        (["begin"], "_begin_report", prepare.PrepareError("planned")),
        (["shards"], "_shards", shards.ShardsError("planned")),
        (["eval-bundle"], "eval_bundle", prepare.PrepareError("planned")),
        (["sft"], "sft_data", prepare.PrepareError("planned")),
    ],
)
def test_a_preparation_that_failed_ends_with_1_and_says_which_and_why(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    doing: str,
    error: Exception,
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(prepare, doing, fails)
    assert prepare.main(arguments) == 1
    assert capsys.readouterr().err == f"{arguments[0]}: planned\n"


@pytest.mark.parametrize(
    ("argument", "doing"),
    [("shards", "_shards"), ("eval-bundle", "eval_bundle"), ("sft", "sft_data")],
)
def test_a_preparation_that_worked_ends_with_0(
    monkeypatch: pytest.MonkeyPatch, argument: str, doing: str
) -> None:
    done: list[str] = []
    monkeypatch.setattr(prepare, doing, lambda *_: done.append(doing))
    assert prepare.main([argument]) == 0
    assert done == [doing]


def test_a_bundle_that_was_never_unpacked_is_fetched_anew(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nanochat sees the archive, skips unpacking, and dies on core.yaml."""
    source = base / "source.zip"
    with zipfile.ZipFile(source, "w") as content:
        content.writestr("eval_bundle/core.yaml", "tasks: []")
    (base / "eval_bundle.zip").write_bytes(b"half of it")
    monkeypatch.setattr(prepare, "EVAL_BUNDLE_URL", source.as_uri())
    prepare.eval_bundle()
    assert (base / "eval_bundle" / "core.yaml").read_text() == "tasks: []"
    source.unlink()
    prepare.eval_bundle()  # there already: nothing is fetched


def test_a_commit_without_report_gets_one_of_what_is_on_disk(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "source" / "nanochat").mkdir(parents=True)
    (base / "source" / "nanochat" / "__init__.py").touch()
    monkeypatch.syspath_prepend(base / "source")
    folder = base / "base_checkpoints" / "d20"
    folder.mkdir(parents=True)
    (folder / "meta_000100.json").write_text(json.dumps({"step": 100, "val_bpb": 0.9}))
    (base / "base_eval").mkdir()
    (base / "base_eval" / "base_model_000100.csv").write_text("CORE, , 0.25\n")
    assert report.main(["--model-tag=d20"]) == 0
    text = (base / "report" / "report.md").read_text()
    assert "- step: 100" in text
    assert "CORE, , 0.25" in text


GENERATOR = """
import os, pathlib, sys
folder = pathlib.Path(os.environ["NANOCHAT_BASE_DIR"]) / "report"
section = folder / "chat-sft.md"
if sys.argv[1:] != ["generate"]:
    raise SystemExit(64)
if not section.exists():
    raise SystemExit(3)
(folder / "report.md").write_text(section.read_text())
"""


def generate(base: Path) -> int:
    """Run the report with nanochat's generator, which reads chat-sft.md."""
    return subprocess.run(
        [sys.executable, "-m", "container.nanochat.report", "--model-tag=d20"],
        env=source_with(base, report=GENERATOR),
        check=False,
    ).returncode


def test_nanochats_generator_finds_the_section_of_sft_under_the_name_it_reads(base: Path) -> None:
    """dc54a1a writes sft.md and reads chat-sft.md: its report lacked the section, silently."""
    (base / "report").mkdir()
    (base / "report" / "sft.md").write_text("## SFT")
    assert generate(base) == 0
    assert (base / "report" / "report.md").read_text() == "## SFT"
    assert (base / "report" / "sft.md").exists()  # it is uploaded under this name


def test_a_section_that_has_its_name_already_is_left_as_it_is(base: Path) -> None:
    (base / "report").mkdir()
    (base / "report" / "sft.md").write_text("an older one")
    (base / "report" / "chat-sft.md").write_text("## SFT")
    assert generate(base) == 0
    assert (base / "report" / "report.md").read_text() == "## SFT"


def test_a_generator_that_failed_fails_the_stage(base: Path) -> None:
    assert generate(base) == 3


@pytest.mark.parametrize(
    "program", [prepare, report, shards, chat, download], ids=lambda program: program.__name__
)
def test_the_programs_run_on_the_python_of_nanochat(program: ModuleType) -> None:
    """nanochat's environment may be Python 3.10: no newer syntax, and no newer names."""
    tree = ast.parse(inspect.getsource(program), feature_version=(3, 10))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (getattr(node, "module", None), *(alias.name for alias in node.names))
    }
    assert not (used | imported) & NEWER_THAN_3_10


@pytest.mark.parametrize("has", [True, False])
def test_a_file_comes_from_the_mirror_where_it_has_it_and_else_from_upstream(
    base: Path, monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    upstream, mirror = base / "upstream.jsonl", base / "mirror"
    upstream.write_text('["upstream"]')
    mirror.mkdir()
    if has:
        (mirror / "identity_conversations.jsonl").write_text('["mirror"]')
    monkeypatch.setenv("DATASET_MIRROR_URL", f"{mirror.as_uri()}/")
    target = base / "identity_conversations.jsonl"
    prepare._fetch_if_had(upstream.as_uri(), target)
    assert target.read_text() == ('["mirror"]' if has else '["upstream"]')


def _question_sets_of_their_own_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for nanochat's last commits, which have the hub's address in their code."""
    tasks = ModuleType("tasks.gsm8k")

    def load(**_: str) -> bytes:
        place = "https://huggingface.co/api/datasets/openai/gsm8k/parquet/main/train"
        with urllib.request.urlopen(place, timeout=5) as answer:
            rows: bytes = answer.read()
        return rows

    monkeypatch.setattr(tasks, "GSM8K", load, raising=False)
    package = ModuleType("tasks")
    package.__path__ = []
    monkeypatch.setitem(sys.modules, "tasks", package)
    monkeypatch.setitem(sys.modules, "tasks.gsm8k", tasks)
    monkeypatch.setattr(urllib.request, "_opener", None)


def test_question_sets_come_from_the_hubs_mirror_also_where_nanochat_names_the_hub(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commits since a5a3a33 do not use the hub's library, which reads the variable itself."""

    class Handler(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802
            self.send_response(200 if self.path.startswith("/at/api/datasets/openai/") else 404)
            self.end_headers()
            self.wfile.write(b"abc")

    _question_sets_of_their_own_loader(monkeypatch)
    server = LoopbackServer(Handler)
    try:
        monkeypatch.setenv("HF_ENDPOINT", f"{server.url}/at/")
        prepare.sft_data(["gsm8k.GSM8K:subset=main,split=train"])
    finally:
        server.stop()
    assert capsys.readouterr().out == "GSM8K {'subset': 'main', 'split': 'train'}: 3 rows\n"


def test_question_sets_that_cannot_be_had_say_from_where_and_what_to_set(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _question_sets_of_their_own_loader(monkeypatch)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(prepare.PrepareError, match="It comes from http://127") as failed:
        prepare.sft_data(["gsm8k.GSM8K:subset=main,split=train"])
    assert "set trainstack:hubMirror to a mirror of the Hugging Face hub" in str(failed.value)
