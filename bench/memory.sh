#!/usr/bin/env bash
# Peak memory of a sparse run against the size of its weights:
#   bench/memory.sh MOEFY MOE TENSORS [SELECTION]
# MOE is a split checkpoint, TENSORS a safetensors file with input_ids. The difference to a run of `moefy families`, which loads
# LibTorch and nothing else, is what the model takes.
set -euo pipefail

if (($# < 3)); then
  echo "usage: $0 MOEFY MOE TENSORS [SELECTION]" >&2
  exit 2
fi
moefy="$1" moe="$2" tensors="$3" selection="${4:-random}"
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT

# peak COMMAND...: the most memory it had, in KB.
peak() {
  /usr/bin/time -f %M -o "$out/peak" "$@" > /dev/null 2>&1
  tail -n 1 "$out/peak"
}

idle="$(peak "$moefy" families)"
stored="$(du -ckL "$moe"/model*.safetensors | tail -n 1 | cut -f 1)"
echo "weights on disk: $((stored / 1024)) MB"
for weights in f32 bf16 f16 int8; do
  used="$(peak "$moefy" run "$moe" --selection "$selection" --ffn-ratio 0.25 --weights "$weights" --tensors "$tensors" \
    --out "$out/$weights.safetensors")"
  echo "$weights: $(((used - idle) / 1024)) MB, $((100 * (used - idle) / stored)) % of them"
done
