"""`runs doctor`: every key and address checked; the checks are in runs/checks.py."""

from __future__ import annotations

from dataclasses import asdict, replace

import typer

from runs import checks
from runs.errors import EXIT_FAILED, EXIT_OK
from runs.same_place import in_same_place
from runs.source.selector import Selector
from runs.source.source import Source
from runs.terminal.console import out, print_json
from runs.terminal.options import AsJson, BucketName, Stack
from runs.view import tables


def doctor(stack: Stack = None, bucket: BucketName = None, as_json: AsJson = False) -> None:
    """Check every key and address: ok, refused, or unknown (not checked, which blocks nothing).

    Changes nothing and shows no key; a token like a run's is made for a minute, to see that it can
    be, and revoked at once. Exit code 1 when anything is refused.

    Example: python -m runs doctor --stack dev
    """
    source = Source(Selector.from_options(stack=stack, bucket=bucket))
    findings: list[checks.Finding] = []
    for found in checks.findings(source):
        finding = replace(found, remedy=in_same_place(found.remedy))
        findings.append(finding)
        if not as_json:
            out.print(tables.finding(finding))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    refused = any(finding.outcome == "refused" for finding in findings)
    raise typer.Exit(EXIT_FAILED if refused else EXIT_OK)
