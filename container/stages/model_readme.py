"""The page in `model/` that says what lies there and how to load it; text only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from container.contract.keys import MODEL_PREFIX
from container.contract.recipe import Recipe
from container.contract.records import Artifact
from container.storage.download import local_path


def model_readme(
    copied: Mapping[str, Artifact], *, recipe: Recipe, commit: str, fill: Callable[[str], str]
) -> str:
    """Return the page. `copied`: by name in `model/`, what it is a copy of."""
    tag = fill("{tag}")
    places = {
        name.removeprefix(MODEL_PREFIX): place
        for name, source in sorted(copied.items())
        if (place := _place(source.key, recipe, fill))
    }
    rows = [f"| `{name}` | `{copied[MODEL_PREFIX + name].key}` |" for name in places]
    folders = sorted({str(PurePosixPath(place).parent) for place in places.values()})
    made = " ".join(f'"$BASE/{folder}"' for folder in folders)
    copies = [f'cp "{name}" "$BASE/{place}"' for name, place in places.items()]
    speaks = next((name for name in ("sft", "mid", "base") if f"{name}.pt" in places), "sft")
    return "\n".join(
        [
            f"# {recipe.title}: the finished models",
            "",
            "Copies under names that never change; their hashes stand in the run's",
            "`manifest.json`.",
            "",
            "| Here | In the run |",
            "| --- | --- |",
            *rows,
            "",
            "A model's `.pt` is its state dict, for `torch.load(..., map_location='cpu')`; the",
            "`.json` beside it has its sizes (`model_config`). `tokenizer.pkl` is a pickle: load",
            "it only from a bucket that you trust.",
            "",
            "## Load it with nanochat" if commit else "## Load it",
            "",
            *_setting_up(commit),
            "",
            "```",
            *_checkout(commit),
            "cd THIS_FOLDER",
            'export NANOCHAT_BASE_DIR="$HOME/.cache/nanochat" BASE="$HOME/.cache/nanochat"',
            f"mkdir -p {made}",
            *copies,
            *_chat(commit, speaks=speaks, tag=tag),
            "```",
            "",
        ]
    )


def _setting_up(commit: str) -> list[str]:
    if not commit:
        return ["With a checkout of the project that trained it, and PyTorch:"]
    return [f"A checkpoint belongs to its commit of nanochat, `{commit}`:"]


def _checkout(commit: str) -> list[str]:
    if not commit:
        return []
    return [
        "git clone https://github.com/karpathy/nanochat ~/nanochat && cd ~/nanochat",
        f"git checkout {commit} && uv sync --extra cpu   # or: --extra gpu",
    ]


def _chat(commit: str, *, speaks: str, tag: str) -> list[str]:
    if not commit:
        return [f"cd CHECKOUT && python -m container.toy_trainer.chat_web -i {speaks} -g {tag}"]
    return ["cd ~/nanochat", f"uv run python -m scripts.chat_cli -i {speaks} -g {tag}"]


def _place(key: str, recipe: Recipe, fill: Callable[[str], str]) -> str:
    """Return where the trainer looks for an object, below its folder; "" for none of its."""
    found = (local_path(key, stage, work_dir=Path(), fill=fill) for stage in recipe.stages)
    return next((path.as_posix() for path in found if path is not None), "")
