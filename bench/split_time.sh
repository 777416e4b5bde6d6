#!/usr/bin/env bash
# Time to split all 24 FFNs of a T5-Base shape (768 -> 3072, 96 experts of 32) with random weights:
#   bench/split_time.sh MOEFY [OPTION...]        options of `moefy split`, e.g. --method random
set -euo pipefail

if (($# < 1)); then
  echo "usage: $0 MOEFY [OPTION...]" >&2
  exit 2
fi
moefy="$1"
out="$(mktemp -d)"
trap 'rm -rf "$out"' EXIT
mkdir "$out/dense"

python3 - "$out/dense" << 'END'
import json
import os
import pathlib
import sys

HIDDEN, NEURONS, LAYERS = 768, 3072, 24
directory = pathlib.Path(sys.argv[1])
(directory / "config.json").write_text('{"model_type": "random"}')
header, size = {}, HIDDEN * NEURONS * 2
for layer in range(LAYERS):
    for name, shape in (("fc1", [NEURONS, HIDDEN]), ("fc2", [HIDDEN, NEURONS])):
        begin = len(header) * size
        header[f"layers.{layer}.{name}.weight"] = {
            "dtype": "BF16", "shape": shape, "data_offsets": [begin, begin + size]}
text = json.dumps(header).encode()
with open(directory / "model.safetensors", "wb") as file:
    file.write(len(text).to_bytes(8, "little") + text)
    for _ in header:
        # BF16 numbers of either sign around 0.04: a random low byte, one of four high ones.
        values = bytearray(size)
        values[0::2] = os.urandom(size // 2)
        values[1::2] = os.urandom(size // 2).translate(bytes([0x3D, 0x3C, 0xBD, 0xBC] * 64))
        file.write(values)
END

time "$moefy" split "$out/dense" --ffn 'layers.{}.fc1.weight:layers.{}.fc2.weight' --expert-size 32 \
  --out "$out/moe" "${@:2}"
