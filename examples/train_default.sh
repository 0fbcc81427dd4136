#!/usr/bin/env bash
# Train, calibrate and measure the model that the package ships, and write its card: a few hours on two cores.
#   TER_FAST_DATA=/path/to/data examples/train_default.sh [OUT]
set -euo pipefail
data=${TER_FAST_DATA:?set TER_FAST_DATA to the folder that holds nemo/, ravdess/ and fer2013/}
out=${1:-runs/default}
voices="nemo:$data/nemo+ravdess:$data/ravdess"
# What most of ten raters saw, with all their votes as soft targets.
faces="fer2013:$data/fer2013?label=ferplus"
mkdir -p "$out"

ter-fast train --recipe default --data "$voices" --data "$faces" --out "$out/model"

# Speakers and pictures of the test split, once.
measure() { ter-fast evaluate --model "$out/model" --out "$out/$1.json" "${@:2}"; }
measure voices --data "$voices"
measure nemo --data "nemo:$data/nemo"
measure ravdess --data "ravdess:$data/ravdess"
measure faces-ferplus --data "$faces" --name "fer2013 test, FER+ majority"
measure faces-fer2013 --data "fer2013:$data/fer2013" --name "fer2013 test, FER2013's own label"
measure pairs --data "$voices" --data "$faces"
measure noisy-voices --data "ravdess:$data/ravdess" --corrupt suite
measure noisy-faces --data "$faces" --corrupt gaussian_noise,blur,low_light,jpeg

card=(--title "ter_fast default model" --notes "$(dirname "$0")/default_notes.md" --data "$voices" --data "$faces")
for each in voices nemo ravdess faces-ferplus faces-fer2013 pairs; do card+=(--evaluation "$out/$each.json"); done
for each in noisy-voices noisy-faces; do card+=(--robustness "$out/$each.json"); done
ter-fast card "$out/model" "${card[@]}"
