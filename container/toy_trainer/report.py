"""The report: each stage leaves a section, `generate` joins them into report/report.md.

python -m container.toy_trainer.report reset|generate
"""

from __future__ import annotations

import argparse
import json
import typing
from collections.abc import Mapping
from pathlib import Path

from container.toy_trainer import layout

SECTIONS = (
    "tokenizer-training",
    "base-model-training",
    "base-model-evaluation",
    "chat-sft",
    "chat-evaluation-sft",
)
SUMMARY = (  # column, section, member
    ("Validation bpb (base)", "base-model-evaluation", "val bpb"),
    ("Train bpb (base)", "base-model-evaluation", "train bpb"),
    ("Loss (base)", "base-model-training", "final_loss"),
    ("Loss (SFT)", "chat-sft", "final_loss"),
    ("Answer found (SFT)", "chat-evaluation-sft", "accuracy"),
    ("Bits per byte of answers (SFT)", "chat-evaluation-sft", "answer bpb"),
)


def section(name: str, facts: Mapping[str, object], *, samples: Mapping[str, str] = {}) -> None:
    """Write one section: facts as a table, samples as quoted text."""
    lines = [f"## {name.replace('-', ' ').capitalize()}", "", "| | |", "| --- | --- |"]
    lines += [f"| {key} | {value} |" for key, value in facts.items()]
    for title, text in samples.items():
        lines += ["", f"**{title}**", "", "```text", text.replace("```", "'''").strip(), "```"]
    folder = layout.report_dir()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / f"{name}.json").write_text(json.dumps(facts, default=str) + "\n", "utf-8")


def generate() -> Path:
    """Join the sections that are there; a missing one is named in the report."""
    folder = layout.report_dir()
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Rehearsal report", "", *_summary(folder)]
    for name in SECTIONS:
        file = folder / f"{name}.md"
        missing = f"## {name}\n\nNo section: that stage ran in another container, or not at all."
        lines += ["", (file.read_text("utf-8") if file.exists() else missing).rstrip()]
    target = folder / "report.md"
    target.write_text("\n".join(lines) + "\n", "utf-8")
    return target


def main(argv: list[str] | None = None) -> int:
    """Reset or generate the report."""
    parser = argparse.ArgumentParser(description="Generate or reset the report")
    parser.add_argument("command", nargs="?", default="generate", choices=["generate", "reset"])
    if parser.parse_args(argv).command == "reset":
        for file in layout.report_dir().glob("*.*"):
            file.unlink()
        print("Reset report")
        return 0
    target = generate()
    print(target.read_text("utf-8"))
    print(f"Report: {target}", flush=True)
    return 0


def _summary(folder: Path) -> list[str]:
    lines = ["| Metric | Value |", "| --- | --- |"]
    for title, name, member in SUMMARY:
        file = folder / f"{name}.json"
        facts = (
            typing.cast("dict[str, object]", json.loads(file.read_text("utf-8")))
            if file.exists()
            else {}
        )
        lines.append(f"| {title} | {facts.get(member, '-')} |")
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
