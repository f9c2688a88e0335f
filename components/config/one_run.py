"""Config keys as a message about one run names them; pure.

In a sweep trainstack:renew is that of all runs, or, where a run has its own, not that of this one:
raised, it would rent every machine anew, or do nothing. What counts is trainstack:runs.NAME.renew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Set
from typing import Any, cast

from components.config.keys import PROJECT_NAMESPACE, RunKeys

RUNS_KEY = f"{PROJECT_NAMESPACE}:runs"
RUN_OF_SWEEP = "RUN_OF_SWEEP"
"""The variable that tells the preflight whose keys count; not set for a stack's only run."""

SET_BY_PATH = "`pulumi config set --path` sets the keys of one run."

_OF_A_RUN = re.compile(
    rf"(?P<set>pulumi config set (?:--secret )?)?{PROJECT_NAMESPACE}:"
    rf"(?P<key>{'|'.join(RunKeys.model_fields)})\b"
)


def sweep_of(runs: str) -> Set[str]:
    """Return the names in trainstack:runs as the engine hands it over, in their order.

    None for a single run, whose stack declares none.
    """
    try:
        declared: Any = json.loads(runs or "{}")
    except ValueError:
        declared = {}
    return (cast("dict[str, Any]", declared) if isinstance(declared, dict) else {}).keys()


def with_own_keys(text: str, *, run: str) -> str:
    """Return a message with the keys that a run may override as this run's own.

    `run` is "" for the run of a stack that declares no `runs`: its keys are the stack's.
    """
    if not run:
        return text

    def own(match: re.Match[str]) -> str:
        by_path = f"{match['set']}--path " if match["set"] else ""
        return f"{by_path}{RUNS_KEY}.{run}.{match['key']}"

    told = _OF_A_RUN.sub(own, text)
    if told == text or "--path" in told:
        return told
    return f"{told.rstrip('.')}. {SET_BY_PATH}"
