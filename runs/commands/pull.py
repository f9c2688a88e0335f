"""`runs pull`: a run's artefacts copied here, verified by hash; progress on stderr, a summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from container.contract.keys import (
    CHECKPOINTS_PREFIX,
    MANIFEST_KEY,
    MODEL_PREFIX,
    MODEL_README_KEY,
)
from container.contract.records import Artifact, Manifest
from runs.download.plan import Item, Pulled, plan
from runs.download.puller import Puller
from runs.errors import EXIT_FAILED, EXIT_OK, RunsError, SettingMissingError
from runs.same_place import in_same_place
from runs.source.bucket import ReadOnlyBucket
from runs.source.selector import Selector
from runs.source.source import Source
from runs.source.stack import Target
from runs.terminal import formats, progress_bar
from runs.terminal.console import out, print_json, say
from runs.terminal.options import AsJson, BucketName, Prefix, Run, Stack


def pull(
    stack: Stack = None,
    bucket: BucketName = None,
    prefix: Prefix = None,
    run: Run = None,
    to: Annotated[Path | None, typer.Option(help="Folder; default pulled/<prefix>.")] = None,
    model: Annotated[
        bool, typer.Option("--model", help="Only model/: the finished models and the tokenizer.")
    ] = False,
    only: Annotated[str, typer.Option(help="Only keys like 'checkpoints/sft/*'.")] = "",
    without_manifest: Annotated[
        bool, typer.Option(help="Take all objects of a run that has no manifest; no hashes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy a run's artefacts here: parallel, resumable, each verified by its sha256.

    Interrupted, the same command goes on where it was. A file has its name only once its hash is
    right. Exit code 1 when anything is missing or damaged.

    --model is what most people want: base.pt, sft.pt and the like, and a README.md that says how to
    load them. Without it all checkpoints, logs and metrics come too.

    Example: python -m runs pull --model
    """
    if model and only:
        raise SettingMissingError(f"--model and --only {only!r} contradict: say one of them.")
    source = Source(Selector.from_options(stack=stack, bucket=bucket, prefix=prefix, run=run))
    target = source.choose_one()
    folder = _fit(to) if to else default_folder(target.prefix)
    kept, versions = _kept(source, target, without_manifest=without_manifest)
    wanted = f"{MODEL_PREFIX}*" if model else only
    items = plan(kept, folder=folder, only=wanted, versions=versions)
    if not items and model:
        raise _no_model(target, kept)
    if not items:
        raise SettingMissingError(
            f"{target.run}: no artefact is like {only or '*'!r}.\n`python -m runs artifacts` "
            "lists them."
        )
    results = copy(source.bucket, items, prefix=target.prefix, folder=folder)
    bad = [one for one in results if one.result in ("damaged", "missing")]
    if as_json:
        print_json(_json(results, folder=folder))
    else:
        for one in bad:
            say(f"{one.result}: {one.item.key}: {one.detail}", style="red")
        summed_up = in_same_place(summary(results, folder=folder))
        out.print(summed_up, markup=False, soft_wrap=True)
    if model and not bad:
        say(f"How to load it: {folder / MODEL_README_KEY}")
    raise typer.Exit(EXIT_FAILED if bad else EXIT_OK)


def _fit(folder: Path) -> Path:
    """Return the folder; SettingMissingError when it cannot be one, before anything is read."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise SettingMissingError(f"--to {folder}: {there} is a file; name a folder.")
    return folder


def default_folder(prefix: str) -> Path:
    """Return `pulled/<prefix>` here, made so that git never sees it."""
    base = Path("pulled")
    base.mkdir(exist_ok=True)
    (base / ".gitignore").write_text("*\n")
    return base / prefix


def copy(
    bucket: ReadOnlyBucket, items: Sequence[Item], *, prefix: str, folder: Path
) -> list[Pulled]:
    """Copy with progress on stderr: a bar on a terminal, elsewhere a line now and then."""
    total = sum(item.size_bytes for item in items)
    say(f"{formats.plural(len(items), 'file')}, {formats.size(total)}, into {folder}")
    with progress_bar.of_bytes(total) as advance:
        return Puller(bucket, prefix=prefix, folder=folder, progress=advance).pull(items)


def summary(results: Sequence[Pulled], *, folder: Path) -> str:
    """Say in one line what came of it."""
    counts = Counter(one.result for one in results)
    good = [f for f in results if f.result in ("copied", "already here")]
    checked = "all hashes right" if all(f.item.sha256 for f in results) else "sizes right"
    parts = [f"{number} {result}" for result, number in counts.items()]
    tail = (
        checked
        if len(good) == len(results)
        else "the bucket does not hold the rest as it was left: `python -m runs artifacts --all` "
        "names every checkpoint, of which an earlier one may be whole"
    )
    size = formats.size(sum(f.item.size_bytes for f in good))
    return f"{folder}: {', '.join(parts)} ({size}); {tail}"


def _json(results: Sequence[Pulled], *, folder: Path) -> dict[str, Any]:
    """Return the object that `--json` prints."""
    return {
        "folder": str(folder),
        "files": [
            {
                "key": one.item.key,
                "path": str(one.item.path),
                "size_bytes": one.item.size_bytes,
                "sha256": one.item.sha256 or None,
                "result": one.result,
                "detail": one.detail or None,
            }
            for one in results
        ],
    }


def _no_model(target: Target, kept: Sequence[Artifact]) -> RunsError:
    """Return what is said of a run without `model/`, with the checkpoints that it has instead."""
    lacks = f"{target.run} has no folder model/"
    for stage in ("sft", "mid", "base"):
        folder = f"{CHECKPOINTS_PREFIX}{stage}/"
        if any(one.key.startswith(folder) for one in kept):
            return SettingMissingError(
                f"{lacks}: an older release trained it, or the bucket could not copy.\n"
                f"`python -m runs pull --only '{folder}*'` copies its checkpoints."
            )
    return SettingMissingError(
        f"{lacks}, and no checkpoint: no model was finished.\n`python -m runs status` says more."
    )


def _kept(
    source: Source, target: Target, *, without_manifest: bool
) -> tuple[list[Artifact], dict[str, str]]:
    """Return what the run left, and versions of what no hash is known of."""
    manifest = source.bucket.record(f"{target.prefix}/{MANIFEST_KEY}", Manifest)
    if manifest is not None:
        return manifest.artifacts, {}
    if not without_manifest:
        raise RunsError(
            f"{target.run} has no manifest: it has not ended, or its machine vanished.\n"
            "See `python -m runs status`. --without-manifest takes what is there, with sizes but "
            "no hashes."
        )
    say("No manifest: sizes are checked, hashes are not.", style="yellow")
    stored = list(source.bucket.objects(f"{target.prefix}/"))
    etags = {o.key.removeprefix(f"{target.prefix}/"): o.etag for o in stored}
    sizes = {o.key.removeprefix(f"{target.prefix}/"): o.size_bytes for o in stored}
    return [Artifact(key=key, size_bytes=size, sha256="") for key, size in sizes.items()], etags
