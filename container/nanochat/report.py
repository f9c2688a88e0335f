"""Writes report/report.md by nanochat's own generator, or a short one where it has none.

python -m container.nanochat.report --model-tag=d20
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, cast


def fallback(base: Path, tag: str) -> str:
    """Return a report of what the files on disk tell: losses, steps, the CORE table."""
    lines = ["# Report", "", "This commit of nanochat writes no report; these are its files.", ""]
    for folder in ("base_checkpoints", "chatsft_checkpoints"):
        for meta in sorted((base / folder / tag).glob("meta_*.json"))[-1:]:
            saved = cast("dict[str, Any]", json.loads(meta.read_text()))
            lines += [f"## {folder}/{tag}", "", f"- step: {saved.get('step')}"]
            lines += [f"- validation bpb: {saved.get('val_bpb')}", ""]
    for table in sorted((base / "base_eval").glob("*.csv"))[-1:]:
        lines += [f"## CORE, {table.name}", "", "```text", table.read_text().rstrip(), "```", ""]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Write the report; nanochat's exit code when its generator fails."""
    parser = argparse.ArgumentParser(description="Write the report")
    parser.add_argument("--model-tag", required=True)
    arguments = parser.parse_args(argv)
    base = Path(os.environ["NANOCHAT_BASE_DIR"])
    folder = base / "report"
    folder.mkdir(parents=True, exist_ok=True)
    if importlib.util.find_spec("nanochat.report") is None:
        (folder / "report.md").write_text(fallback(base, arguments.model_tag))
        return 0
    written, expected = folder / "sft.md", folder / "chat-sft.md"
    if written.exists() and not expected.exists():  # dc54a1a writes the one and reads the other
        shutil.copyfile(written, expected)
    command = [sys.executable, "-m", "nanochat.report", "generate"]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
