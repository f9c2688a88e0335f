"""The report as Markdown: what was answered, and room for what only a person sees; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from runs.vendor_report.asking import Answer
from runs.vendor_report.findings import Findings, Rented, shown_on
from runs.vendor_report.outline import outline
from runs.vendor_report.questions import OPEN

MOST_LINES = 20
WHAT_IT_HOLDS = (
    "Every call was a GET; nothing was bought or changed. Names and types of members are shown, of "
    "some what they held; no key, no variable, no log line."
)


@dataclass(frozen=True, kw_only=True)
class Heading:
    """When and by what a report was made; `checked` are the doctor's own findings, as lines."""

    made_at: datetime
    program: str
    checked: Sequence[str]


def page(heading: Heading, found: Findings) -> str:
    """Return the whole report; it holds no key, no address of a machine and no log line."""
    parts = [
        "# What the vendors really answered",
        f"Made {heading.made_at:%Y-%m-%d %H:%M} UTC by {heading.program}. {WHAT_IT_HOLDS}",
        "## Checked",
        _listed(heading.checked),
        "## Open questions",
        "\n".join(_question(number, one.text, one.how) for number, one in enumerate(OPEN, 1)),
        "## Machines of this project",
        "\n\n".join(_machine(one) for one in found.rented) or "io.net lists none.",
        "## The list of deployments",
        _pages(found.lists),
        *map(_answer, found.lists[-1:]),
        "## Catalogue and quotes",
        *map(_answer, found.market),
        "## Refusals",
        *map(_answer, found.refusals),
        *(["## Not had", _listed(found.not_had)] if found.not_had else []),
    ]
    return "\n\n".join(parts) + "\n"


def _question(number: int, text: str, how: str) -> str:
    return f"{number}. {text}\n   - look: {how}\n   - seen: "


def _machine(rented: Rented) -> str:
    lines = [f"### {rented.name}", ""]
    if rented.rental:
        entry = rented.rental.entry
        lines.append(
            f"- ledger: asked {entry.asked_at:%Y-%m-%d %H:%M:%S} UTC, {entry.hours} h, "
            f"${entry.usd}, {entry.state}"
        )
    lines += [f"- attempt {one.number}: {one.started_at}, {one.reason}" for one in rented.attempts]
    if rented.verdict:
        lines.append(f"- verdict: {rented.verdict.outcome}, {rented.verdict.ended_at}")
    lines.append("- what io.net's bill says of it: ")
    return "\n".join([*lines, "", *(f"{_answer(one)}\n" for one in rented.answers)]).rstrip()


def _pages(lists: Sequence[Answer]) -> str:
    first, second = (shown_on(one) for one in lists[:2])
    if not (first or second):
        return "Neither page 0 nor page 1 shows a deployment."
    same = "the same deployment" if first == second else "different ones"
    return f"Pages 0 and 1, one deployment each, show {same} ({len(first)} and {len(second)})."


def _answer(answer: Answer) -> str:
    if answer.failed:
        return f"`{answer.call}`: no answer: {answer.failed}"
    head = f"`{answer.call}`: {answer.status}, {answer.content_type}, {answer.seconds:.1f} s"
    return "\n".join([head, "", "```", *_lines(answer), "```"])


def _lines(answer: Answer) -> Iterator[str]:
    yield from answer.limits
    if answer.lines or answer.body is None:
        yield f"{len(answer.lines)} lines; the stream {'ended' if answer.ended else 'went on'}"
        yield from answer.lines[:MOST_LINES]
    else:
        yield from outline(answer.body)


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
