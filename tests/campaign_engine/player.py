"""Plays one story: its acts, the mending `up`, `destroy`; judged after each."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.campaign_engine import remedy
from tests.campaign_engine.commands import Ended, Running
from tests.campaign_engine.faults import Price
from tests.campaign_engine.judge import Judge
from tests.campaign_engine.place import NOBODY, StoryPlace
from tests.campaign_engine.story import Act, Story

UP: Final = ("up", "--yes", "--skip-preview")
DESTROY: Final = ("destroy", "--yes", "--skip-preview")
WATCH: Final = ("python", "-m", "runs", "watch", "main", "--extend", "--stack")
# What is told to stop in the middle of a story is not waited for long.
STOP: Final = ("python", "-m", "runs", "stop", "main", "--within", "5s", "--stack")
_PULUMI: Final[dict[str, tuple[str, ...]]] = {
    "up": UP,
    "preview": ("preview",),
    "refresh": ("refresh", "--yes", "--skip-preview"),
    "destroy": DESTROY,
    "export state": ("stack", "export", "--file", "exported.json"),
    "import state": ("stack", "import", "--force", "--file", "exported.json"),
    "lose state": ("stack", "rm", "--yes", "--force", "--preserve-config"),
    "name who is told": ("config", "set", "--secret", "trainstack:notifyUrl", NOBODY),
}


class StoryAbandonedError(Exception):
    """The campaign is ending; this story is not judged."""


@dataclass
class Player:
    """One story in its place."""

    story: Story
    place: StoryPlace
    commands: list[str] = field(default_factory=list[str])
    strikes: int = 0

    def __post_init__(self) -> None:
        self.judge = Judge(self.place)
        self._logs = 0
        self._state_is_lost = False

    def play(self) -> None:
        """Play all of it; violations are the judge's."""
        for backend in self.story.backends:
            self._select(backend)
        self.judge.note_runs()
        for act in self.story.acts:
            self._unlock(act.backend)
            self._act(act)
        self.place.make_clean()
        self._settle()
        self._mend()
        self._end()

    def _act(self, act: Act) -> None:
        if act.config:
            self.place.configure(act.config)
        if act.another_machine:
            self.judge.allow_another()
        self.strikes += act.faults_beside
        self.judge.note_runs()
        match act.command:
            case "change image":
                self.commands.append(act.command)
                changed = self.place.checkout / "container" / "contract" / "clock.py"
                changed.write_text(f"{changed.read_text()}\n# {self.place.stack}\n")
            case "give machines back" | "lose machines" | "let hours run out":
                self.commands.append(act.command)
                account = self.place.account
                ended = {
                    "give machines back": account.give_back_all,
                    "lose machines": account.lose_all,
                    "let hours run out": account.let_hours_run_out,
                }[act.command]()
                self.place.ended_machines += len(ended)
            case "move prices":
                self.commands.append(str(act))
                self.place.perform(Price(act.factor))
            case _:
                self._user_command(act)
        self.judge.after_command()

    def _user_command(self, act: Act) -> None:
        self.place.planted.begin((*act.faults, *(act.beside.faults if act.beside else ())))
        self.place.charges.command_begins()
        running = [self._start(one) for one in (act, act.beside) if one]
        self.place.terminals = [one.process.pid for one in running]
        for one, process in zip([act, act.beside], running, strict=False):
            ended = self._note(process.wait(self.place.backends))
            if one and one.command == "up":
                self._state_is_lost = False
            # A destroy of a lost state, or of one from before a rerun, does not know what bills:
            # `up` and `reap` find it.
            judged = not (act.beside or self._state_is_lost)
            if one and one.command in ("destroy", "stop run") and ended.ok and judged:
                self._settle()
                self.judge.after_destroy(of=f"a {one.command} in the middle")
        self.place.terminals = []
        if act.command in ("lose state", "import state"):
            self._state_is_lost = True
        if act.command == "lose state":
            self._select(act.backend)

    def _mend(self) -> None:
        """Bring the stack up once; where that is refused, as the refusal says."""
        self._unlock("a")
        ended = self._run("a", "pulumi", *UP)
        self._settle()
        if not ended.ok or not self.place.account.live():
            if not self._carry_out(ended):
                said = f"and prints no command: {_last(ended.output)}"
                how = "is refused" if not ended.ok else "rents no machine"
                self.judge.violated(f"the mending up {how} {said}")
            ended = self._run("a", "pulumi", *UP)
            if not ended.ok:
                self.judge.violated(f"up fails after the remedy: {_last(ended.output)}")
        self._settle()
        self.judge.after_command()
        self.judge.after_mending(self._outputs(), hours=self.story.hours_at_end)

    def _end(self) -> None:
        for backend in self.story.backends:
            self._unlock(backend)
            ended = self._run(backend, "pulumi", *DESTROY)
            if not ended.ok:
                self._carry_out(ended, backend)
                ended = self._run(backend, "pulumi", *DESTROY)
                if not ended.ok:
                    self.judge.violated(f"destroy fails: {_last(ended.output)}")
        self._settle()
        self.judge.after_command()
        self.judge.after_destroy(of="the last destroy", last=True)
        self.judge.after_all()

    def _carry_out(self, refused: Ended, backend: str = "a") -> bool:
        command = remedy.of(refused.output)
        if not command:
            return False
        living = len(self.place.account.live())
        words = ["bash", "-c", command]
        self._run(backend, *words, label=command, env={"PULUMI_SKIP_CONFIRMATIONS": "true"})
        self._settle()
        if len(self.place.account.live()) < living or "--replace" in command:
            self.judge.allow_another()
        return True

    def _unlock(self, backend: str) -> None:
        if self.place.lock_is_left(backend):
            self._run(backend, "pulumi", "cancel", "--yes")

    def _select(self, backend: str) -> None:
        self._run(backend, "pulumi", "stack", "select", "--create", self.place.stack)

    def _outputs(self) -> dict[str, Any]:
        ended = self._run("a", "pulumi", "stack", "output", "--json", quiet=True)
        start = ended.output.find("{")
        return json.loads(ended.output[start:]) if ended.ok and start >= 0 else {}

    def _settle(self) -> None:
        if not self.place.settle():
            self.judge.violated("a call never landed, or a machine never ended")

    def _run(
        self, backend: str, *words: str, label: str = "", quiet: bool = False, **env: Any
    ) -> Ended:
        self.place.planted.begin(())
        self.place.charges.command_begins()
        running = self._running(backend, words, **env)
        self.place.terminals = [running.process.pid]
        ended = running.wait(self.place.backends)
        self.place.terminals = []
        return self._note(ended, label=label, quiet=quiet)

    def _start(self, act: Act) -> Running:
        of_runs = {"stop run": STOP, "watch and extend": WATCH}.get(act.command)
        if of_runs:
            return self._running(act.backend, (*of_runs, self.place.stack), act=act)
        words = ("pulumi", *_PULUMI[act.command])
        return self._running(act.backend, words, act=act)

    def _running(
        self,
        backend: str,
        words: tuple[str, ...],
        *,
        act: Act | None = None,
        env: dict[str, str] | None = None,
    ) -> Running:
        if self.place.abandoned.is_set():
            raise StoryAbandonedError
        if words[0] == "pulumi":
            words = (*words, "--non-interactive")
        other = bool(act and act.other_account)
        return Running(
            words,
            cwd=self.place.checkout,
            env={
                **self.place.environment(backend=backend, other_account=other),
                **(env or {}),
            },
            log=self._log(),
            strikes=act.strikes if act else (),
            perform=self.place.perform,
        )

    def _log(self) -> Path:
        self._logs += 1
        return self.place.logs / f"{self._logs:02d}.log"

    def _note(self, ended: Ended, *, label: str = "", quiet: bool = False) -> Ended:
        words = label or shlex.join(_named(ended.words))
        self.strikes += ended.struck
        if not quiet:
            self.commands.append(words if ended.ok else f"{words} [{ended.exit_code}]")
        self.judge.note_output(words, ended.output)
        calls = [f"{one.vendor} {one.method} {one.path}\n" for one in self.place.planted.calls]
        ended.log.with_suffix(".calls").write_text("".join(calls))
        if not ended.in_time:
            self.judge.violated(f"{words} did not end within {ended.seconds:.0f} s")
        return ended


def _named(words: tuple[str, ...]) -> tuple[str, ...]:
    if words[0] != "pulumi":
        return words[2:5]
    return words[1:3] if words[1] in ("stack", "config") else words[1:2]


def _last(output: str) -> str:
    """Return the last line that tells of an error, shortened to a line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line and "update failed" not in line]
    return (errors or lines or ["nothing"])[-1][:300]
