"""A stack as the Pulumi CLI tells of it: outputs, config, and the runs that they name.

Asks the CLI and nobody else; pure below `pulumi_json`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from components.config.one_run import sweep_of
from container.contract.environment import DEFAULT_RUN
from container.contract.nearest import listed
from runs.errors import RunsError, SettingMissingError, UnreachableError
from runs.source.selector import Selector
from runs.waits import waiting

ROOT = Path(__file__).resolve().parents[2]
PULUMI_WITHIN_S = 60
_NO_STACK = ("no stack named", "no stack selected")  # as Pulumi's CLI says it


class NoStackError(SettingMissingError):
    """Pulumi answered that it has no such stack, or that none is selected."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One run: its key in the stack and its prefix in the bucket; the rest only from a stack."""

    run: str
    prefix: str
    status_url: str = ""
    deployment_id: str = ""
    estimated_cost_usd: str = ""
    is_one_of_several: bool = False

    @property
    def run_of_sweep(self) -> str:
        """The run whose own config keys count; "" where the stack's do, or nobody knows.

        A bucket alone does not tell whether a run of the default name stands among others.
        """
        named = self.run != self.prefix
        return self.run if named and (self.is_one_of_several or self.run != DEFAULT_RUN) else ""


def pulumi_json(
    command: list[str], selector: Selector, environ: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a `pulumi … --json` prints.

    Raises SettingMissingError when it cannot be run, or says no (NoStackError when that is because
    there is no such stack); what it printed stays hidden but for the last line of its complaint, as
    an answer may hold secrets.
    """
    program = shutil.which("pulumi", path=environ.get("PATH", ""))
    if program is None:
        raise SettingMissingError(
            "pulumi is not on PATH, so the stack's outputs cannot be read.\n"
            "In the local world: source .local/env. Without a stack: --bucket NAME"
        )
    stack = ["--stack", selector.stack] if selector.stack else []
    try:
        with waiting(f"`pulumi {' '.join(command[:2])}`", at_most_s=PULUMI_WITHIN_S):
            done = subprocess.run(
                [program, *command, *stack, "--non-interactive"],
                cwd=ROOT,
                env=dict(environ),
                capture_output=True,
                text=True,
                timeout=PULUMI_WITHIN_S,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise UnreachableError(
            f"`pulumi {' '.join(command[:2])}` gave no answer within {PULUMI_WITHIN_S} s."
        ) from None
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        none = any(words in why for words in _NO_STACK)
        there = _stacks(selector.stack, environ) if none and selector.stack else ""
        raise (NoStackError if none else SettingMissingError)(
            f"`pulumi {' '.join(command[:2])}` failed: {why}\n{there}"
            "Select a stack (--stack dev); in the local world: source .local/env. "
            "Without a stack: --bucket NAME"
        )
    try:
        printed: Any = json.loads(done.stdout or "{}")
    except ValueError:
        raise SettingMissingError(
            f"`pulumi {' '.join(command[:2])}` answered something else than JSON.\nIs the first "
            "pulumi on PATH Pulumi's CLI? In the local world: source .local/env."
        ) from None
    return cast("dict[str, Any]", printed)


def targets_of(outputs: Mapping[str, Any], *, name_of: Callable[[str], str]) -> list[Target]:
    """Read stack outputs: one value each, or one entry a run when the stack holds several.

    `name_of` tells the run of a prefix, as the outputs of a single run do not name it.
    """
    prefixes = outputs.get("r2_prefix")
    if not prefixes:
        return []
    several = isinstance(prefixes, dict)
    if not several:
        prefix = str(prefixes).strip("/")
        prefixes = {name_of(prefix): prefix}
    return [
        Target(
            run=run,
            prefix=str(prefix).strip("/"),
            status_url=of_run(outputs.get("status_url"), run).rstrip("/"),
            deployment_id=of_run(outputs.get("deployment_id"), run),
            estimated_cost_usd=of_run(outputs.get("estimated_cost_usd"), run),
            is_one_of_several=several,
        )
        for run, prefix in cast("dict[str, Any]", prefixes).items()
    ]


def runs_of_config(config: Mapping[str, str]) -> list[str]:
    """Return the names of the runs that a stack's plain config declares."""
    return [*sweep_of(config.get("runs", ""))] or [DEFAULT_RUN]


def pick(targets: list[Target], wanted: str) -> list[Target]:
    """Return the targets that `wanted` names: a prefix, a run's key, or the start of a prefix."""
    if not wanted:
        return targets
    for fits in (
        [t for t in targets if t.prefix == wanted],
        [t for t in targets if t.run == wanted],
        [t for t in targets if t.prefix.startswith(wanted)],
    ):
        if fits:
            return fits
    return []


def of_run(value: Any, run: str) -> str:
    """Return an output of one run, from a map or from the one value of a single run."""
    if isinstance(value, dict):
        value = cast("dict[str, Any]", value).get(run)
    return "" if value is None else str(value)


def _stacks(wanted: str, environ: Mapping[str, str]) -> str:
    """Say which stacks there are, the nearest to a mistyped one first; "" where none are told."""
    try:
        listed_ones: Any = pulumi_json(["stack", "ls", "--json"], Selector(), environ)
        names = [str(one["name"]) for one in listed_ones]
    except (RunsError, ValueError, LookupError, TypeError):
        return ""
    return f"There are, the nearest first: {listed(wanted, names)}.\n" if names else ""
