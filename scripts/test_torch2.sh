#!/usr/bin/env bash
# Builds everything with the LibTorch of `pip install torch` and runs the unit and parity tests on
# it. Arguments go to ctest instead of these labels: scripts/test_torch2.sh -R models.
# TORCH=torch==2.9.0 names another version; TORCH_FROM=/path/to/libtorch an unpacked archive;
# TARGETS="moefy_cli parity_models" builds these alone, for -L parity.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

venv="$root/build/torch-venv"

# Prints the requirements of pip's torch that libtorch_cpu.so is linked with: two CUDA libraries.
# The others, most of what it asks for by size, are for GPUs and for Python.
cuda_libraries() {
  "$venv/bin/python3" - << 'END'
import importlib.metadata
import re
for need in importlib.metadata.requires("torch"):
    if match := re.match(r"cuda-toolkit\[[^]]*\](==[\w.]+)", need):
        print("cuda-toolkit[cudart,cupti]" + match[1])
    elif match := re.match(r"(nvidia-cuda-(?:cupti|runtime)\S*==[\w.]+)", need):
        print(match[1])
END
}

install_torch() {
  [ -x "$venv/bin/python3" ] || python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --no-deps "${TORCH:-torch}"
  mapfile -t libraries < <(cuda_libraries)
  [ "${#libraries[@]}" = 0 ] || "$venv/bin/pip" install --quiet "${libraries[@]}"
}

step "Packages" scripts/install-deps.sh --pip
prepare_build
from=(-DMOEFY_TORCH_FROM="${TORCH_FROM:-pip}")
if [ -z "${TORCH_FROM:-}" ]; then
  step "LibTorch" install_torch
  from+=(-DPython3_EXECUTABLE="$venv/bin/python3")
fi
step "Configure" cmake --preset dev -B build/torch2 "${from[@]}"
read -ra targets <<< "${TARGETS:-all}"
step "Build" cmake --build build/torch2 --target "${targets[@]}"
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
[ "$#" -gt 0 ] || set -- --label-regex '^(unit|parity|property)$'
printf '== Test: ctest --test-dir build/torch2 %s\n' "$*"
exec ctest --test-dir build/torch2 --output-on-failure "$@"
