#!/usr/bin/env bash
# Train one joint audio-visual model end to end on Music_video and measure it on the official Validation part.
#   TER_FAST_DATA=/path/to/data examples/train_music_video.sh [OUT]
set -euo pipefail
data=${TER_FAST_DATA:?set TER_FAST_DATA to the folder that holds music_video/}
out=${1:-runs/music_video}
mkdir -p "$out"

# Whole scenes in colour, not faces; a fifth of the training sources chooses the epoch and the threshold.
ter-fast train --data "music_video:$data/music_video" --out "$out/model" --modalities audio,video \
  --faces whole --color --frame-size 64 --frames 8 --validation-share 0.2 \
  --epochs 40 --patience 15 --batch-size 16 --precision bf16-mixed
ter-fast evaluate --data "music_video:$data/music_video" --model "$out/model" --split test --out "$out/validation.json"
