#!/usr/bin/env bash
# Times moefy beside what people run instead, on this machine: bench/peers/run.sh --help.
# The rivals come from PyPI, in the versions below, into a virtual environment under build/peers.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
environment=$root/build/peers
packages=(ctranslate2==4.8.5 xllamacpp==2026.10.11549 numpy tokenizers==0.23.3)
stamp=$environment/installed
if [ "$(cat "$stamp" 2> /dev/null)" != "${packages[*]}" ]; then
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet "${packages[@]}"
  echo "${packages[*]}" > "$stamp"
fi
exec "$environment/bin/python3" "$root/bench/peers/peers.py" \
  --moefy "${MOEFY:-$root/build/release/bin/moefy}" "$@"
