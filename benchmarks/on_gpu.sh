#!/bin/bash
# What a GPU is wanted for, in one go: proves itself at a tiny size (how long that takes on a GPU is not measured), measures the device, then runs the crossover.
#   bash benchmarks/on_gpu.sh TEXT DEV BLIMP OUT [SECONDS]         on a GPU; TEXT and DEV folders of text, BLIMP the suite's folder
#   SIZE=tiny bash benchmarks/on_gpu.sh TEXT DEV BLIMP OUT         on a processor: only the proof
# It goes on where it was left if it is run again with the same OUT.  Tables come to OUT: gpu.md, crossover.md, crossover.parquet.
set -euo pipefail
text=$1 dev=$2 blimp=$3 out=$4 seconds=${5:-500}
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$out/runs"
where=(--set "corpus.path=$text" --set "dev.path=$dev" --set "suites.blimp.path=$blimp")
tiny=(--set model.size=opt-1m --set tokenizer.vocab_size=4096 --set training.batch=8 --set training.context=64 --set training.warmup=0.05
      --set training.learning_rate=3e-3 --set training.steps=50 --set scoring.pairs_per_paradigm=10
      --set "checkpoints={kind: shares, shares: [0.08, 0.16, 0.32, 0.5, 0.7, 0.9]}")

crossover() { # NAME, then settings
  sed "s/^name: crossover$/name: $1/" "$here/studies/crossover.yaml" > "$out/$1.yaml"
  timeout "$seconds" python -m ontogeny study run "$out/$1.yaml" --jobs 1 --runs "$out/runs" "${where[@]}" "${@:2}" || echo "$1: not whole"
  (cd "$here" && python -m benchmarks crossover "$out/runs/$1" --out "$out/$1") || echo "$1: nothing to read yet"
}

crossover proof "${tiny[@]}"
[ "${SIZE:-}" = tiny ] && exit
(cd "$here" && python -m benchmarks gpu --text "$text" --suite "$blimp" --size L --device cuda --rounds 1 --out "$out")
crossover crossover
