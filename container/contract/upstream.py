"""What a nanochat run fetches on paid time: upstream's addresses, and places at a mirror; pure.

A mirror (`trainstack:datasetMirror`) has the files below one address: shards in the folder that
nanochat keeps them in, everything else by its name. The question sets are not among them: the
hub's own library fetches those, from a mirror of the hub (`trainstack:hubMirror`) where one is set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from container.contract.commits import Generation

_S3: Final = "https://karpathy-public.s3.us-west-2.amazonaws.com"
HUB: Final = "https://huggingface.co"
EVAL_BUNDLE_URL: Final = f"{_S3}/eval_bundle.zip"
IDENTITY_URL: Final = f"{_S3}/identity_conversations.jsonl"
WORDS_URL: Final = (
    "https://raw.githubusercontent.com/dwyl/english-words/refs/heads/master/words_alpha.txt"
)
SHARDS_URLS: Final = {
    "base_data": f"{HUB}/datasets/karpathy/fineweb-edu-100b-shuffle/resolve/main",
    "base_data_climbmix": f"{HUB}/datasets/karpathy/climbmix-400b-shuffle/resolve/main",
}
"""By the folder that a generation of nanochat keeps its shards in; nanochat names them itself."""

QUESTION_SETS: Final = {
    "smoltalk": "HuggingFaceTB/smol-smoltalk",
    "mmlu": "cais/mmlu",
    "gsm8k": "openai/gsm8k",
    "arc": "allenai/ai2_arc",
    "humaneval": "openai/openai_humaneval",
}
"""By nanochat's module, the repository at the hub that it loads; nanochat names them itself."""

HUB_MIRROR: Final = "HF_ENDPOINT"
"""What a mirror of the hub is told to the hub's libraries by: their own name for it."""


NO_KERNEL: Final = "none"
"""What `trainstack:flashAttention` is for an image without Flash Attention 3."""

KERNEL_PLACE: Final = "/opt/flash-attention-3/REVISION"
"""In the image: the revision of Flash Attention 3 that is there (container/nanochat/kernel.py)."""

WITHOUT_KERNEL: Final = (
    "no Flash Attention 3: a Hopper GPU's machine fetches it on paid time, from one person's "
    "repository at no fixed revision"
)


@dataclass(frozen=True, kw_only=True)
class UpstreamFile:
    """One file, or the first of many alike."""

    place: str  # below a mirror's address
    url: str  # upstream's
    without: str = ""  # what a run without it lacks; "": it cannot run
    of_hub: bool = False  # fetched by the hub's library, which asks one place alone


def mirrored(place: str, *, mirror: str) -> str:
    """Return where a mirror has a file, "" without a mirror."""
    return f"{mirror.rstrip('/')}/{place}" if mirror else ""


def fetched(generation: Generation | None) -> tuple[UpstreamFile, ...]:
    """Return what a run of that generation of nanochat fetches; nothing for a recipe of none."""
    if generation is None:
        return ()
    shard = "shard_00000.parquet"
    return (
        UpstreamFile(
            place=f"{generation.shards}/{shard}", url=f"{SHARDS_URLS[generation.shards]}/{shard}"
        ),
        UpstreamFile(
            place="eval_bundle.zip",
            url=EVAL_BUNDLE_URL,
            without="the base model's evaluation would be left out",
        ),
        # Commits of the last days do without it: refused for them too, the remedy is the same.
        UpstreamFile(place="words_alpha.txt", url=WORDS_URL),
        UpstreamFile(
            place="identity_conversations.jsonl",
            url=IDENTITY_URL,
            without="the model would not know who it is",
        ),
        *map(_question_set, sorted({one.partition(".")[0] for one in generation.question_sets})),
    )


def _question_set(module: str) -> UpstreamFile:
    # What the hub's library asks first, for its list of files.
    place = f"api/datasets/{QUESTION_SETS[module]}"
    return UpstreamFile(place=place, url=f"{HUB}/{place}", of_hub=True)
