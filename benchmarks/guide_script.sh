#!/bin/bash
# An imitation of the guide's script, which trainstack replaces: one thing after the other, no
# `set -e`, everything is installed on the paid machine and uploaded at the very end. The stages
# are the stand-ins that our own side runs too; the installation only waits.
nanochat="$PYTHON -m benchmarks.paced_nanochat"
sleep "$INSTALL_S" # clone, uv, Rust, compile
$nanochat data "$SHARDS"
$nanochat tokenizer "$TOKENIZER_S"
$nanochat train base_checkpoints --steps "$BASE_STEPS" --step-s "$STEP_S" --size-bytes "$BASE_BYTES"
$nanochat train chatsft_checkpoints --steps "$SFT_STEPS" --step-s "$STEP_S" --size-bytes "$SFT_BYTES"
for folder in tokenizer base_checkpoints chatsft_checkpoints; do
  "$AWS" s3 cp --only-show-errors --recursive --endpoint-url "$R2_ENDPOINT_URL" \
    "$NANOCHAT_BASE_DIR/$folder" "s3://$R2_BUCKET_NAME/$RUN_PREFIX/$folder"
done
