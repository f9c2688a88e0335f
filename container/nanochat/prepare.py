"""Fetches what nanochat needs before a stage needs it, and fails where nanochat would go on.

    python -m container.nanochat.prepare begin -n 8 …  first shards, attention, report header
    python -m container.nanochat.prepare shards -n 170 --folder=base_data_climbmix …
    python -m container.nanochat.prepare eval-bundle
    python -m container.nanochat.prepare sft gsm8k.GSM8K:subset=main,split=train …
                                                       question sets, identity, word list

Where a commit of nanochat keeps its shards, and what its question sets are called, the recipe says.

nanochat's own downloads have neither time limit nor retry, and a bundle that is there but not
unpacked breaks later stages. The shards have a module of their own.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from container.contract.upstream import (
    EVAL_BUNDLE_URL,
    HUB,
    HUB_MIRROR,
    IDENTITY_URL,
    WORDS_URL,
    mirrored,
)
from container.nanochat import shards
from container.nanochat.download import FetchError, again, download

HOPPER = 9
FIRST_WITH_FP8 = (8, 9)  # compute capability that torch._scaled_mm takes


class PrepareError(Exception):
    """Something that a later stage needs is not there."""


def base_dir() -> Path:
    """Return NANOCHAT_BASE_DIR, made when it is not there."""
    folder = Path(os.environ["NANOCHAT_BASE_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def eval_bundle() -> None:
    """Fetch and unpack the CORE tasks; an archive without its folder is fetched anew."""
    target = base_dir() / "eval_bundle"
    if (target / "core.yaml").exists():
        print(f"{target} is there")
        return
    archive = base_dir() / "eval_bundle.zip"
    archive.unlink(missing_ok=True)
    draft = base_dir() / "eval_bundle.draft"

    def unpack(file: Path) -> None:
        shutil.rmtree(draft, ignore_errors=True)
        with zipfile.ZipFile(file) as content:
            content.extractall(draft)
        if not (draft / "eval_bundle" / "core.yaml").exists():
            raise ValueError("the archive holds no eval_bundle/core.yaml")

    _fetch(EVAL_BUNDLE_URL, archive, check=unpack)
    shutil.rmtree(target, ignore_errors=True)
    (draft / "eval_bundle").rename(target)
    shutil.rmtree(draft, ignore_errors=True)
    print(f"Placed eval_bundle directory at {target}")


def sft_data(question_sets: Sequence[str]) -> None:
    """Load every data set of the chat stages once, so that it lies in the cache."""
    if importlib.util.find_spec("tasks.customjson"):
        _fetch_if_had(IDENTITY_URL, base_dir() / "identity_conversations.jsonl")
    if importlib.util.find_spec("tasks.spellingbee"):
        words = base_dir() / "words_alpha.txt"
        if not words.exists():
            _fetch(WORDS_URL, words, check=_are_words)
    if mirror := os.environ.get(HUB_MIRROR, ""):
        urllib.request.install_opener(urllib.request.build_opener(_AtMirror(mirror)))
    for one in question_sets:
        path, _, given = one.partition(":")
        module, _, name = path.partition(".")
        arguments = dict(item.split("=", 1) for item in given.split(",") if item)
        task: Callable[..., Any] = getattr(importlib.import_module(f"tasks.{module}"), name)
        try:
            rows = again(
                lambda task=task, kw=arguments: len(task(**kw)), what=f"{name} {arguments}"
            )
        except FetchError as error:
            raise PrepareError(
                f"{error}. It comes from {mirror or HUB}: where that cannot be reached, set "
                "trainstack:hubMirror to a mirror of the Hugging Face hub"
            ) from None
        print(f"{name} {arguments}: {rows:,} rows", flush=True)


class _AtMirror(urllib.request.BaseHandler):
    """Asks a mirror of the hub: nanochat's last commits have the hub's address in their code."""

    handler_order = 100  # before the handler that names the host

    def __init__(self, mirror: str) -> None:
        self._mirror = mirror

    def https_request(self, request: urllib.request.Request) -> urllib.request.Request:
        place = request.full_url.removeprefix(f"{HUB}/")
        if place != request.full_url:
            request.full_url = mirrored(place, mirror=self._mirror)
        return request


def kernels(
    capability: tuple[int, int] | None, *, found: bool, window_pattern: str, fp8: bool
) -> str:
    """Return what to say about this GPU's kernels; raise PrepareError when it would cost dear.

    `capability` is the GPU's, None without GPU; `found`: whether Flash Attention 3 is there. When
    it cannot be had nanochat goes on without a word, and trains several times slower; fp8 on a GPU
    without it ends base training at its first step, when all data has been fetched.
    """
    if capability is not None and capability[0] == HOPPER and not found:
        raise PrepareError(
            "Flash Attention 3 was not found on a Hopper GPU: training would take several times as "
            "long. Is huggingface.co reachable from this machine, and is the image built from "
            "nanochat's lock?"
        )
    reasons: list[str] = []
    changes: list[str] = []
    if capability is not None and fp8 and capability < FIRST_WITH_FP8:
        reasons.append(f"no fp8 (that takes {_version(FIRST_WITH_FP8)})")
        changes.append("fp8: false")
    if capability is not None and not found and window_pattern != "L":
        reasons.append(f"no Flash Attention 3 (window_pattern {window_pattern} is slow without)")
        changes.append("window_pattern: L")
    if capability is not None and changes:
        raise PrepareError(
            f"this GPU has compute capability {_version(capability)}: {' and '.join(reasons)}; "
            f"set recipeSettings {{{', '.join(changes)}}} in the stack's config"
        )
    if found:
        return "Flash Attention 3 is there"
    return "no Flash Attention 3 on this device, PyTorch's own attention is used"


def main(argv: list[str] | None = None) -> int:
    """Do one of the preparations; exit code 1 when it failed."""
    arguments = arguments_parser().parse_args(argv)
    try:
        if arguments.what == "begin":
            _begin_report()
            print(_check_kernels(arguments), flush=True)
            _shards(arguments)
        elif arguments.what == "shards":
            _shards(arguments)
        elif arguments.what == "eval-bundle":
            eval_bundle()
        else:
            sft_data(arguments.question_sets)
    except (PrepareError, FetchError, shards.ShardsError) as error:
        print(f"{arguments.what}: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def arguments_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="Fetch what nanochat needs")
    parser.add_argument("what", choices=["begin", "shards", "eval-bundle", "sft"])
    parser.add_argument("question_sets", nargs="*", help="of sft: module.Class:name=value,…")
    parser.add_argument("-n", type=int, default=8, help="train shards")
    parser.add_argument("--folder", default="", help="where this commit's shards lie")
    parser.add_argument("--validation-shard", type=int, help="its number; else the last on disk")
    parser.add_argument("-w", dest="workers", type=int, default=8)
    parser.add_argument("--window-pattern", default="L")
    parser.add_argument("--fp8", action="store_true", help="base training will use fp8")
    return parser


def _shards(arguments: argparse.Namespace) -> None:
    dataset = importlib.import_module("nanochat.dataset")
    wanted = shards.Shards(
        arguments.folder, train=arguments.n, validation=arguments.validation_shard
    )
    theirs = Path(getattr(dataset, "DATA_DIR", wanted.folder)).name
    if theirs != wanted.folder:
        raise PrepareError(
            f"this image's nanochat keeps its shards in {theirs}, the recipe expects them in "
            f"{wanted.folder}: they are not of the same commits. No network is to blame"
        )
    hub_url = str(dataset.BASE_URL)
    shards.fetch(base_dir(), wanted, workers=arguments.workers, hub_url=hub_url, mirror=_mirror())


def _begin_report() -> None:
    """Have nanochat write the report's header; one that is there knows when the run began."""
    there = (base_dir() / "report" / "header.md").exists()
    if not there and importlib.util.find_spec("nanochat.report"):
        subprocess.run([sys.executable, "-m", "nanochat.report", "reset"], check=False)


def _check_kernels(arguments: argparse.Namespace) -> str:
    torch = importlib.import_module("torch")
    attention = importlib.import_module("nanochat.flash_attention")  # fetches the kernel
    capability: tuple[int, int] | None = None
    if torch.cuda.is_available():
        major, minor = torch.cuda.get_device_capability()
        capability = int(major), int(minor)
    return kernels(
        capability,
        found=bool(attention.HAS_FA3),
        window_pattern=arguments.window_pattern,
        fp8=arguments.fp8,
    )


def _version(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"


def _mirror() -> str:
    return os.environ.get("DATASET_MIRROR_URL", "")


def _fetch(url: str, target: Path, *, check: Callable[[Path], object]) -> None:
    """Fetch a file from the mirror where one is set and has it, else from upstream."""
    if there := mirrored(target.name, mirror=_mirror()):
        try:
            download(there, target, check=check)
        except FetchError as error:
            print(f"{error}: upstream is asked", flush=True)
        else:
            return
    download(url, target, check=check)


def _fetch_if_had(url: str, target: Path) -> None:
    """Fetch a file that upstream has taken down at times; nanochat trains without it."""
    if target.exists():
        return
    try:
        _fetch(url, target, check=_are_conversations)
    except FetchError as error:
        print(f"WARNING: {error}: the model will not know who it is", flush=True)


def _are_words(file: Path) -> None:
    if any(not line.isalpha() for line in file.read_text("ascii").split()):
        raise ValueError("not a list of words")


def _are_conversations(file: Path) -> None:
    for line in file.read_text("utf-8").splitlines():
        if line.strip() and not isinstance(json.loads(line), list):
            raise ValueError("a line is no list of messages")


if __name__ == "__main__":
    raise SystemExit(main())
