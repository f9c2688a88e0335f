"""Commands that do something: pull, chat, doctor, rm; only rm changes the cloud, with --yes."""

from __future__ import annotations

import importlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from container.contract.records import MANIFEST_KEY, Artifact, Manifest
from runs import checks, copying, remove
from runs.download.plan import Item, plan
from runs.errors import EXIT_FAILED, EXIT_OK, RunsError, SettingMissingError
from runs.model_client import Chat, Message
from runs.source.source import Source
from runs.source.stack import Target, Words, targets_of
from runs.terminal import formats, options, progress_bar
from runs.terminal.options import (
    AsJson,
    BucketName,
    Prefix,
    Run,
    Stack,
    interruptible,
    out,
    print_json,
    say,
    talk,
)
from runs.view import tables


def register(app: typer.Typer) -> None:
    """Add the commands in the order in which `--help` shows them."""
    for command, purpose, comfort in (
        (
            pull,
            "Copy a run's artefacts here, verified by hash.",
            "The same again goes on from here.",
        ),
        (chat, "Talk with a run's model on its machine.", "The run goes on."),
        (doctor, "Check every key and address.", "Nothing was changed."),
        (
            rm,
            "Delete what a run left in the bucket (dry run unless --yes).",
            "Some of it may be deleted; the same again goes on.",
        ),
    ):
        app.command(short_help=purpose)(interruptible(command, comfort=f"Interrupted. {comfort}"))


def pull(
    stack: Stack = "",
    bucket: BucketName = "",
    prefix: Prefix = "",
    run: Run = "",
    to: Annotated[Path | None, typer.Option(help="Folder; default pulled/<prefix>.")] = None,
    only: Annotated[str, typer.Option(help="Only keys like 'checkpoints/sft/*'.")] = "",
    without_manifest: Annotated[
        bool, typer.Option(help="Take all objects of a run that has no manifest; no hashes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy a run's artefacts here: parallel, resumable, each verified by its sha256.

    Interrupted, the same command goes on where it was. A file has its name only once its hash is
    right. Exit code 1 when anything is missing or damaged.

    Example: python -m runs pull --only 'checkpoints/sft/*' --to model
    """
    source = Source(Words(stack=stack, bucket=bucket, prefix=prefix, run=run))
    target = source.choose_one()
    folder = to or copying.default_folder(target.prefix)
    items = _items(source, target, folder=folder, only=only, without_manifest=without_manifest)
    if not items:
        raise SettingMissingError(f"{target.run}: no artefact is like {only or '*'!r}.")
    results = copying.copy(source.bucket, items, prefix=target.prefix, folder=folder)
    bad = [found for found in results if found.result in ("damaged", "missing")]
    if as_json:
        print_json(copying.as_json(results, folder=folder))
    else:
        for found in bad:
            say(f"{found.result}: {found.item.key}: {found.detail}", style="red")
        out.print(copying.summary(results, folder=folder), markup=False, soft_wrap=True)
    raise typer.Exit(EXIT_FAILED if bad else EXIT_OK)


def chat(
    stack: Stack = "",
    run: Run = "",
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="Ask once and end.")] = "",
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 256,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="0 is the surest.")] = 0.8,
    as_json: AsJson = False,
) -> None:
    """Talk with a run's model on its machine, with the access token of the stack.

    Needs a run that succeeded with keepAlive: true, and a machine that is not destroyed. Without
    --prompt: a conversation; /new forgets it, Ctrl-D ends it. A prompt may come by stdin.

    Example: python -m runs chat --prompt "Why is the sky blue?"
    """
    source = Source(Words(stack=stack, run=run))
    target = source.choose_one()
    if not target.status_url:
        raise SettingMissingError(
            f"{target.run}: the stack has no status_url for it: the machine is gone, or not up yet."
            "\nSee `python -m runs status`; `python -m runs pull` copies the model here."
        )
    model = Chat(
        status_url=target.status_url,
        token=source.access_token(target.run),
        max_tokens=max_tokens,
        temperature=temperature,
    )
    if not prompt and not sys.stdin.isatty():
        prompt = sys.stdin.read().strip()
        if not prompt:
            raise SettingMissingError("no prompt: say --prompt, or give one by stdin.")
    if not prompt:
        return _converse(model, target)
    answer = _answer(model, [Message(role="user", content=prompt)], show=not as_json)
    if as_json:
        print_json({"run": target.run, "prompt": prompt, "answer": answer})
    return None


def doctor(stack: Stack = "", bucket: BucketName = "", as_json: AsJson = False) -> None:
    """Check every key and address: ok, refused, or unknown (not checked, which blocks nothing).

    Changes nothing and shows no key. Exit code 1 when anything is refused.

    Example: python -m runs doctor --stack dev
    """
    source = Source(Words(stack=stack, bucket=bucket))
    found: list[checks.Finding] = []
    for finding in checks.findings(source):
        found.append(finding)
        if not as_json:
            out.print(tables.finding(finding))
    if as_json:
        print_json([asdict(finding) for finding in found])
    refused = any(finding.outcome == "refused" for finding in found)
    raise typer.Exit(EXIT_FAILED if refused else EXIT_OK)


def rm(
    stack: Stack = "",
    bucket: BucketName = "",
    prefix: Prefix = "",
    run: Run = "",
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it nothing is.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also a run without a verdict.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete all that a run left in the bucket. A dry run unless --yes; there is no way back.

    Name the run with --run or --prefix. A run without a verdict is refused unless --force: its
    machine may be silent only, and would go on writing.

    Example: python -m runs rm --prefix dev-main-0a1b2c3d-deadbeef --yes
    """
    if not (run or prefix):
        raise SettingMissingError(
            "which run? Name it: --run or --prefix, as `python -m runs list` shows it."
        )
    source = Source(Words(stack=stack, bucket=bucket, prefix=prefix, run=run))
    target, place = source.choose_one(), source.bucket
    with talk.status("listing what is there …"):
        found = remove.remains(place, target.prefix)
    unended = bool(found.keys or found.uploads) and not found.ended
    if yes and unended and not force:
        raise RunsError(
            f"{target.run} has no verdict, so it has not ended or its machine vanished; nothing "
            "was deleted.\nLook with `python -m runs status` and give its machine back first "
            "(`pulumi destroy`; `python -m runs reap` when no stack knows it), or say --force."
        )
    if yes:
        with progress_bar.of_objects(len(found.keys), done_so="deleted") as advance:
            remove.remove(place, found, progress=advance)
    if as_json:
        print_json(tables.remains_json(found, deleted=yes))
        return
    done = "Deleted" if yes else "Would delete"
    uploads = f" and {formats.plural(len(found.uploads), 'open upload')}" if found.uploads else ""
    out.print(
        f"{done} {formats.plural(len(found.keys), 'object')} ({formats.size(found.size_bytes)})"
        f"{uploads} in {place.name}/{target.prefix}/",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if not yes:
        also = " and, as the run has no verdict, --force" if unended and not force else ""
        say(f"Nothing was deleted: say --yes{also} to do it.")
    # Not source.targets: with --prefix that is the prefix itself, whether a stack knows it or not.
    if any(declared.prefix == target.prefix for declared in targets_of(source.outputs)):
        say("The stack still declares this run: without its verdict `pulumi up` trains it again.")


def _items(
    source: Source, target: Target, *, folder: Path, only: str, without_manifest: bool
) -> list[Item]:
    manifest = source.bucket.record(f"{target.prefix}/{MANIFEST_KEY}", Manifest)
    if manifest is not None:
        return plan(manifest.artifacts, folder=folder, only=only)
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
    found = [Artifact(key=key, size_bytes=size, sha256="") for key, size in sizes.items()]
    return plan(found, folder=folder, only=only, versions=etags)


def _converse(model: Chat, target: Target) -> None:
    importlib.import_module("readline")  # line editing for input(), only when it is used
    say(f"Talking with {target.run} at {target.status_url}. /new forgets, Ctrl-D ends.")
    messages: list[Message] = []
    while True:
        try:
            words = input("\nyou> ").strip()
        except EOFError:
            print()
            return
        if words == "/new":
            messages = []
            say("Forgotten.")
        elif words:
            messages.append(Message(role="user", content=words))
            try:
                answer = _answer(model, messages, show=True)
            except KeyboardInterrupt:
                say(" (cut short)")
                messages.pop()
                continue
            messages.append(Message(role="assistant", content=answer))


def _answer(model: Chat, messages: list[Message], *, show: bool) -> str:
    pieces: list[str] = []
    for piece in model.say(messages):
        pieces.append(piece)
        if show:
            print(options.harmless(piece), end="", flush=True)
    if show:
        print()
    return "".join(pieces)
