"""The runs of a stack's plain config as they would be rented, for who asks what they cost; pure.

What bears on no price need not be there yet: bucket, account, image and secrets.
"""

from __future__ import annotations

from collections.abc import Mapping

from components.config.keys import PROJECT_NAMESPACE, STAND_INS
from components.config.refusals import parse
from components.config.run_settings import RunSettings
from components.config.settings import SettingsError, checked_runs

_KEY_THAT_MAY_BE_SECRET = {"wandbApiKey": "not shown"}


def quotable_runs(config: Mapping[str, str], *, stack: str) -> tuple[RunSettings, ...]:
    """Return the runs of plain config values, by key without its namespace.

    Raises SettingsError, which lists every bad key.
    """
    problems: list[str] = []
    given = {**STAND_INS, **_KEY_THAT_MAY_BE_SECRET, **{k: v for k, v in config.items() if v}}
    keys, bad = parse(given, secret=frozenset(), problems=problems)
    runs = checked_runs(keys, project=PROJECT_NAMESPACE, stack=stack, problems=problems, bad=bad)
    if problems:
        listed = "\n".join(f"  {one}" for one in problems)
        raise SettingsError(f"the config cannot be quoted (nothing was asked of anyone):\n{listed}")
    return runs
