#!/usr/bin/env bash
# Times moefy beside what people run instead, on this machine: bench/peers/run.sh --help, and
# README.md beside this file. The rivals come from PyPI, in the versions below, into a virtual
# environment under build/peers.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
environment=$root/build/peers
packages=(ctranslate2==4.8.5 onnxruntime==1.32.0 onnx==1.23.2 xllamacpp==2026.10.11549 gguf==0.19.0
  numpy==2.4.6 tokenizers==0.23.3 k-means-constrained==0.9.1)
stamp=$environment/installed
if [ "$(cat "$stamp" 2> /dev/null)" != "${packages[*]}" ]; then
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet "${packages[@]}"
  echo "${packages[*]}" > "$stamp"
fi
peers=("$environment/bin/python3" "$root/bench/peers/peers.py"
  --moefy "${MOEFY:-$root/build/release/bin/moefy}" "$@")
case " $* " in *" --help "* | *" -h "*) exec "${peers[@]}" ;; esac
"${peers[@]}" --prepare
# Ahead of whatever else the machine does, where that is allowed.
priority=(chrt -f 10)
"${priority[@]}" true 2> /dev/null || priority=()
exec "${priority[@]}" "${peers[@]}"
