"""nanochat's commits that recipes may be run with, and what each generation of them is like.

Only what was looked at stands here: each recipe's command lines were given to the parsers of each
of these commits. What was run: dc54a1a whole (`nanochat-cpu`), 92d63d4 and d58fcd9 program by
program. Left out of a generation's span on purpose:

- before b62a5bc (2026-01-16): Flash Attention 3 is a must or nowhere, before that flags have
  underscores, and a Rust toolchain is needed;
- a91743c to d5418ea (2026-01-18 to 28): 20 tokens a parameter count the value embeddings too, which
  is two and a half times the training, and then an architecture that was taken back;
- 1ddaad1 to 47e983e (2026-01-31 to 2026-03-25): no midtraining any more, but older flags, another
  data set, or question sets that go by other names.
"""

from __future__ import annotations

from typing import Final

from container.contract.commits import CommitRange, Generation
from container.recipes._nanochat_flags import TODAY as TODAYS_FLAGS
from container.recipes._nanochat_flags import WITH_MIDTRAINING as FLAGS_WITH_MIDTRAINING

PINNED_COMMIT: Final = "dc54a1a3077cab11d68fac4c5d1cd5c51f5d8c7a"
"""The newest with a report, a chat page and the identity conversations."""

GUIDES_COMMIT: Final = "d58fcd9d7331efba0224d59e026833738e7547a6"
"""The newest with midtraining whose d20 has the guide's 561M parameters."""

_SHARED_SETS: Final = (
    "smoltalk.SmolTalk:split=train",
    "smoltalk.SmolTalk:split=test",
    "mmlu.MMLU:subset=all,split=test",
    "gsm8k.GSM8K:subset=main,split=train",
    "gsm8k.GSM8K:subset=main,split=test",
    "arc.ARC:subset=ARC-Easy,split=test",
    "arc.ARC:subset=ARC-Challenge,split=test",
    "humaneval.HumanEval:",
)

WITH_MIDTRAINING: Final = Generation(
    title="with midtraining",
    stages=(
        *("tokenizer", "base", "base_loss", "base_eval"),
        *("mid", "mid_eval", "sft", "eval", "report"),
    ),
    flags=FLAGS_WITH_MIDTRAINING,
    shards="base_data",  # FineWeb-Edu
    validation_shard=None,
    checkpoints={
        "base": "base_checkpoints",
        "mid": "mid_checkpoints",
        "sft": "chatsft_checkpoints",
    },
    question_sets=(
        *_SHARED_SETS,
        "mmlu.MMLU:subset=auxiliary_train,split=train",
        "arc.ARC:subset=ARC-Easy,split=train",
        "arc.ARC:subset=ARC-Challenge,split=train",
    ),
    ranges=(
        CommitRange(
            since="2026-01-16",
            until="2026-01-18",
            has="whose d20 has 561M parameters",
            listing="""
            b62a5bc44aafef02eba6c39236180aa424a82674 184d4c12b1d01b098aeffa021be5168e454afad0
            1933e8504655b41626947ea5ef1addab6bfda236 6460dc6382a4f9dfd52d5f8db3b659b9674b47a9
            e1dafc510f122d5c31c38a3c96e45e544f47930f f42ae9e901a34be3b06b6816d41871e54dedc986
            bbc4413c58bd24fed440030eee805121d5296340 77a46902e4557117d716bd9cd9604ec3913f25bd
            2955650327fb71bc4a470d5e1093dd7c9cececfc f5425245f99efd4145d2ac71a730af1e96777d6a
            f9a7e0f111f9955a640c69cd3dfe457813dc4601 d58fcd9d7331efba0224d59e026833738e7547a6
            """,
        ),
        CommitRange(
            since="2026-01-28",
            until="2026-01-31",
            has="whose d20 has 1.4B parameters",
            listing="""
            74554be3b5008cd7803732f0d7e519944a780310 65df0de42b58de70299401965ce605aa0ebcb77a
            64a651a63ce58e7b1dbd55498d8b0640bc9a1621 41bb2eac320b927ec093d31db63d8b8a4aac6b2c
            ebd4d9bbf55007d452fe0776b8d363e1b58d8275 6a341f2ecf2d9b699a36cad4004c682805482ed2
            067daa7758cde31b1250160eabf17dbf04bd35b5 d6c4f3b923ce9c648a9865a34e651a1b8b3f01c8
            02baa154058605d16cc99da4fa8fbf5f9c9908f0 2e1772381752cc59b1e9136698dcf265fc76451a
            ace6740bdd392de4710f054afa7dc9368a076606 3ba42e8135bc88283004fc8d803a1eb00879a738
            4d8dbaf6e062d86c9174ba5f6f94d43899f15a01 3c3a3d70420e6a63575ebadb8bd466bbedd7156c
            348fbb301b8b709ad5d59bdf69e99a51982f594a
            """,
        ),
    ),
)

TODAY: Final = Generation(
    title="without midtraining",
    stages=("tokenizer", "base", "base_eval", "sft", "eval", "report"),
    flags=TODAYS_FLAGS,
    shards="base_data_climbmix",
    validation_shard=6542,
    checkpoints={"base": "base_checkpoints", "sft": "chatsft_checkpoints"},
    question_sets=(*_SHARED_SETS, "mmlu.MMLU:subset=all,split=auxiliary_train"),
    ranges=(
        CommitRange(
            since="2026-03-25",
            until="2026-05-05",
            has="the only ones with a report",
            listing="""
            7b70f6b411dfba53191b25d6c4a49b22faec39ca a4ed96687b40e232dc553ee11e199018109393dc
            7808dc7159e7c793d9a160f5015df3b2a6b30ac1 03be953668310114916f44bf5957d5c32f72c6db
            a445144d3905c6845fda2d3cab8e63248a70cd32 b9b6ce137b4ebc3ebbd3bc8e1751def86e351879
            0aaca56805eb13f6e6e1fff789a08086902f12ab dc54a1a3077cab11d68fac4c5d1cd5c51f5d8c7a
            """,
        ),
        CommitRange(
            since="2026-07-02",
            until="2026-07-03",
            listing="""
            f10bd751efb1d3c631476da3629673b2048029ec 4e014d31b1d57a6c7f38c5db578a2292bc7c3429
            e02b33959d10abae597fd1cf7c4ba0f11f50ae31 ca366eb18dd23cb2e15072a1b5f3d76f2b7ac028
            5e43f1eb81c632bd7588c76dddab49bd8ea8c268 2ce972a3696b92b0ed1c74ed2af7b6c465b50b0d
            3616a02925b44a9dc0a104102ee5acdf3a145516 dbe6e2aafde34678a8fb7acba4bf88af695f863b
            """,
        ),
        CommitRange(
            since="2026-07-03",
            until="2026-07-03",
            attention="all",
            listing="""
            2fc63c9628899a41ade7e8172166e2be14c4c8ad 79aaf1d55bb45dc0f142a8aa9c8d875d7435558a
            6facdeefca8a60f871ba2b186151381a5390231b 21a7774eab3977a9e0629a2b47eb237cafe54a80
            da32e1d657b62cc1110f20f86fbc301d6189726e 950a1dc61e27a500095805b60c22f13c1982aab4
            41865401f73ff1c5321ae53297bceb2b78d4c8b4 a5a3a33c63f996c56c0976d45ea47239b3fd74ae
            f527f761460eab5e95d423b878f561a016603d2e f4f69f9dc5f50657d3a398d068bd1eb5c55fd612
            a9d0a862c6085fad013d370e71c14b1e9431a14c f8a85a5fb45d5a6b5778fd2e027e9a084c2c1909
            eb16d017f28f9642958e09ca9b2c42667159031f 92d63d4e8bb4df75c3b71618f31ddde2378b2bcd
            """,
        ),
    ),
)
