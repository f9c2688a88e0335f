"""A command line as it is typed, on a bucket in memory; ends as the process would."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from unittest import mock

from runs.cli import main
from tests.unit.runs.in_memory_bucket import InMemoryBucket


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str


def typed(
    objects: Mapping[str, bytes], *words: str, environ: Mapping[str, str] | None = None
) -> Ended:
    """Run a command in bucket b; anything but SystemExit passes through, and is a fault."""
    environment = {
        "PATH": "/nowhere",
        "R2_ENDPOINT_URL": "http://127.0.0.1:9",
        "R2_ACCESS_KEY_ID": "a",
        "R2_SECRET_ACCESS_KEY": "planted-secret",
        "COLUMNS": "80",
        **(environ or {}),
    }
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        mock.patch("runs.source.source.make_client", lambda **_: InMemoryBucket(objects)),
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", ["runs", *words]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    assert "planted-secret" not in out.getvalue() + err.getvalue()
    return Ended(code=int(str(code or 0)), out=out.getvalue(), err=err.getvalue())
