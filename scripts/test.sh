#!/usr/bin/env bash
# Installs the packages, builds everything with the dev preset and runs the tests.
# Arguments go to ctest: scripts/test.sh -L unit, scripts/test.sh -R safetensors.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

# Tests on real checkpoints need the data beside the project, or wherever MOEFY_SHARED says.
large=()
if [ -d "${MOEFY_SHARED:-$root/../shared}" ]; then
  MOEFY_SHARED="$(cd "${MOEFY_SHARED:-$root/../shared}" && pwd)"
  export MOEFY_SHARED
else
  printf 'No real checkpoints here (MOEFY_SHARED, ../shared): leaving out the tests labelled large.\n'
  large=(--label-exclude large)
fi

step "Packages" scripts/install-deps.sh
prepare_build
step "Configure" cmake --preset dev -DMOEFY_MPI=ON
step "Build" cmake --build --preset dev
# Several tests at once, each with a thread per core: a thread that waits must not keep the core.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
printf '== Test: ctest --preset dev %s\n' "${large[*]} $*"
exec ctest --preset dev "${large[@]}" "$@"
