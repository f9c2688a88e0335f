"""`runs chat`: a conversation with a run's model on its machine."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from typing import Annotated

import typer

from runs.errors import SettingMissingError
from runs.model_client import Chat, Message
from runs.source.selector import Selector
from runs.source.source import Source
from runs.source.stack import Target
from runs.terminal import console
from runs.terminal.console import print_json, say
from runs.terminal.options import AsJson, Run, Stack


def chat(
    stack: Stack = None,
    run: Run = None,
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
    if as_json and not prompt and sys.stdin.isatty():
        raise SettingMissingError("--json is the form of one answer.\nSay --prompt too.")
    selector = Selector.from_options(stack=stack, run=run)
    # A pasted address only names the run: the stack knows the machine and holds its token.
    source = Source(dataclasses.replace(selector, bucket="", host=""))
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
            print(console.harmless(piece), end="", flush=True)
    if show:
        print()
    return "".join(pieces)
