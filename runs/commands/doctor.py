"""`runs doctor`: every key and address checked; the checks are in runs/checks.py."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from runs import checks, machines
from runs.errors import EXIT_FAILED, EXIT_OK
from runs.same_place import in_same_place
from runs.source.selector import Selector
from runs.source.source import Source
from runs.source.stack import ROOT
from runs.terminal.console import out, print_json, say
from runs.terminal.options import AsJson, BucketName, Stack
from runs.vendor_report import findings as answers
from runs.vendor_report.asking import Asker
from runs.vendor_report.page import Heading, page
from runs.view import tables

Report = Annotated[
    bool,
    typer.Option("--report", help="Also write down how io.net answers, in Markdown. Buys nothing."),
]
To = Annotated[
    Path | None,
    typer.Option("--to", help="The report's file; else trainstack-report-<time>.md, here."),
]


def doctor(
    stack: Stack = None,
    bucket: BucketName = None,
    report: Report = False,
    to: To = None,
    as_json: AsJson = False,
) -> None:
    """Check every key and address: ok, refused, or unknown (not checked, which blocks nothing).

    Changes nothing and shows no key; a token like a run's is made for a minute, to see that it can
    be, and revoked at once. Exit code 1 when anything is refused.

    With --report a file says what io.net answers to every call that buys nothing, what became of
    this project's machines, and which questions only a paid machine answers, with room for what
    you saw. It holds no key and no line of a log.

    Example: python -m runs doctor --stack dev
    """
    if to is not None and not report:
        raise typer.BadParameter("is the file of a report: say --report too", param_hint="--to")
    now = datetime.now(UTC)
    path = to or Path(f"trainstack-report-{now:%Y%m%d-%H%M%S}.md")
    if report and path.exists():
        raise typer.BadParameter(f"{path} is there: name another file", param_hint="--to")
    source = Source(Selector.from_options(stack=stack, bucket=bucket))
    found: list[checks.Finding] = []
    for one in checks.findings(source):
        finding = replace(one, remedy=in_same_place(one.remedy))
        found.append(finding)
        if not as_json:
            out.print(tables.finding(finding))
    if report:
        key, base_url = machines.account_of(source)
        heading = Heading(
            made_at=now,
            program=_program(),
            checked=[f"{one.check}: {one.outcome}: {one.what}" for one in found],
        )
        text = page(heading, answers.gather(source, Asker(key, base_url=base_url)))
        path.write_text(text, encoding="utf-8")
        say(f"Report: {path}. It holds no key; read it before you give it to anyone.")
    if as_json:
        print_json([asdict(finding) for finding in found])
    refused = any(finding.outcome == "refused" for finding in found)
    raise typer.Exit(EXIT_FAILED if refused else EXIT_OK)


def _program() -> str:
    """Return which program this is: its commit, where its checkout tells."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return "trainstack"
    return f"trainstack {done.stdout.strip()}".strip()
