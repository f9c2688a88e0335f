"""What the command lines of nanochat's programs are at a few commits: names and kinds of flags.

"may" is dc54a1a, "head" is 92d63d4, "guide" is d58fcd9, the last that trains what the guide does,
and "last_mid" is 348fbb3, the last with midtraining.
"""

from __future__ import annotations

import argparse
from typing import Any

WHOLE, NUMBER, TEXT, SWITCH = int, float, str, None
DEVICES = ("", "cuda", "cpu", "mps")

RATES = {"--embedding-lr": NUMBER, "--unembedding-lr": NUMBER, "--matrix-lr": NUMBER}
BASE_TRAIN: dict[str, Any] = {
    "--run": TEXT, "--device-type": DEVICES, "--fp8": SWITCH,
    "--fp8-recipe": ("tensorwise", "rowwise"), "--depth": WHOLE, "--aspect-ratio": WHOLE,
    "--head-dim": WHOLE, "--max-seq-len": WHOLE, "--window-pattern": TEXT,
    "--num-iterations": WHOLE, "--target-flops": NUMBER, "--target-param-data-ratio": NUMBER,
    "--device-batch-size": WHOLE, "--total-batch-size": WHOLE, **RATES, "--weight-decay": NUMBER,
    "--scalar-lr": NUMBER, "--warmup-steps": WHOLE, "--warmdown-ratio": NUMBER,
    "--final-lr-frac": NUMBER, "--resume-from-step": WHOLE, "--eval-every": WHOLE,
    "--eval-tokens": WHOLE, "--core-metric-every": WHOLE, "--core-metric-max-per-task": WHOLE,
    "--sample-every": WHOLE, "--save-every": WHOLE, "--model-tag": TEXT,
}  # fmt: skip
CHAT_SFT: dict[str, Any] = {
    "--run": TEXT, "--device-type": DEVICES, "--model-tag": TEXT, "--model-step": WHOLE,
    "--load-optimizer": WHOLE, "--num-iterations": WHOLE, "--max-seq-len": WHOLE,
    "--device-batch-size": WHOLE, "--total-batch-size": WHOLE, **RATES,
    "--init-lr-frac": NUMBER, "--warmup-ratio": NUMBER, "--warmdown-ratio": NUMBER,
    "--final-lr-frac": NUMBER, "--eval-every": WHOLE, "--eval-tokens": WHOLE,
    "--chatcore-every": WHOLE, "--chatcore-max-cat": WHOLE, "--chatcore-max-sample": WHOLE,
    "--mmlu-epochs": WHOLE, "--gsm8k-epochs": WHOLE,
}  # fmt: skip
BASE_EVAL: dict[str, Any] = {
    "--eval": TEXT, "--model-tag": TEXT, "--step": WHOLE, "--max-per-task": WHOLE,
    "--device-batch-size": WHOLE, "--split-tokens": WHOLE, "--device-type": DEVICES,
}  # fmt: skip
CHAT_EVAL: dict[str, Any] = {
    "-i --source": TEXT, "-a --task-name": TEXT, "-t --temperature": NUMBER,
    "-m --max-new-tokens": WHOLE, "-n --num-samples": WHOLE, "-k --top-k": WHOLE,
    "-b --batch-size": WHOLE, "-g --model-tag": TEXT, "-s --step": WHOLE,
    "-x --max-problems": WHOLE, "--device-type": DEVICES,
}  # fmt: skip
CHAT_WEB: dict[str, Any] = {
    "-n --num-gpus": WHOLE, "-i --source": TEXT, "-t --temperature": NUMBER, "-k --top-k": WHOLE,
    "-m --max-tokens": WHOLE, "-g --model-tag": TEXT, "-s --step": WHOLE, "-p --port": WHOLE,
    "--device-type": DEVICES, "--host": TEXT,
}  # fmt: skip
TABLES: dict[str, dict[str, dict[str, Any]]] = {
    "head": {
        "nanochat.dataset": {"-n --num-files": WHOLE, "-w --num-workers": WHOLE},
        "scripts.tok_train": {"--max-chars": WHOLE, "--doc-cap": WHOLE, "--vocab-size": WHOLE},
        "scripts.base_train": BASE_TRAIN,
        "scripts.base_eval": BASE_EVAL,
        "scripts.chat_sft": CHAT_SFT,
        "scripts.chat_eval": CHAT_EVAL,
    }
}
TABLES["may"] = {
    **TABLES["head"],
    "scripts.base_eval": {**BASE_EVAL, "--hf-path": TEXT},
    "scripts.chat_web": CHAT_WEB,
    "nanochat.report": {"command": ("generate", "reset")},
}

MID_BASE_TRAIN: dict[str, Any] = {
    **{name: kind for name, kind in BASE_TRAIN.items() if not name.startswith("--fp8")},
    "--adam-beta1": NUMBER, "--adam-beta2": NUMBER, "--warmup-ratio": NUMBER,
}  # fmt: skip
del MID_BASE_TRAIN["--warmup-steps"]
MID_TRAIN: dict[str, Any] = {
    "--run": TEXT, "--device-type": TEXT, "--dtype": TEXT, "--model-tag": TEXT,
    "--model-step": WHOLE, "--num-iterations": WHOLE, "--max-seq-len": WHOLE,
    "--device-batch-size": WHOLE, "--total-batch-size": WHOLE, **RATES, "--weight-decay": NUMBER,
    "--init-lr-frac": NUMBER, "--eval-every": WHOLE, "--eval-tokens": WHOLE, "--dry-run": SWITCH,
}  # fmt: skip
MID_SFT: dict[str, Any] = {
    "--run": TEXT, "--device-type": TEXT, "--dtype": TEXT, "--source": TEXT, "--model-tag": TEXT,
    "--model-step": WHOLE, "--num-epochs": WHOLE, "--num-iterations": WHOLE,
    "--device-batch-size": WHOLE, "--target-examples-per-step": WHOLE, **RATES,
    "--weight-decay": NUMBER, "--init-lr-frac": NUMBER, "--eval-every": WHOLE,
    "--eval-steps": WHOLE, "--eval-metrics-every": WHOLE, "--eval-metrics-max-problems": WHOLE,
}  # fmt: skip
DTYPE: dict[str, Any] = {"-d --dtype": ("float32", "bfloat16")}
TABLES["last_mid"] = {
    "nanochat.dataset": TABLES["head"]["nanochat.dataset"],
    "nanochat.report": TABLES["may"]["nanochat.report"],
    "scripts.tok_train": TABLES["head"]["scripts.tok_train"],
    "scripts.base_train": MID_BASE_TRAIN,
    "scripts.base_loss": {
        "--device-batch-size": WHOLE, "--split-tokens": WHOLE, "--model-tag": TEXT,
        "--model-step": WHOLE, "--device-type": TEXT, "--hf-path": TEXT,
    },
    "scripts.base_eval": {
        "--hf-path": TEXT, "--max-per-task": WHOLE, "--model-tag": TEXT, "--step": TEXT
    },
    "scripts.mid_train": MID_TRAIN,
    "scripts.chat_sft": MID_SFT,
    "scripts.chat_eval": {**CHAT_EVAL, **DTYPE},
    "scripts.chat_web": {**CHAT_WEB, **DTYPE},
}  # fmt: skip
TABLES["guide"] = {
    **TABLES["last_mid"],
    "scripts.base_train": {**MID_BASE_TRAIN, "--target-param-data-ratio": WHOLE},
}


def parser(module: str, *, commit: str) -> argparse.ArgumentParser:
    """Return the parser of a program at a commit; raises KeyError when it has none such."""
    made = argparse.ArgumentParser(prog=module, allow_abbrev=False)
    for names, kind in TABLES[commit][module].items():
        if kind is SWITCH:
            made.add_argument(*names.split(), action="store_true")
        elif isinstance(kind, tuple):
            optional = names.startswith("-")
            made.add_argument(*names.split(), choices=kind, nargs=None if optional else "?")
        else:
            made.add_argument(*names.split(), type=kind)
    return made
