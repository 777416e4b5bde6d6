#!/usr/bin/env bash
# From a clean clone to a converted model: installs the packages, builds the program, turns the
# example's dense checkpoint into a mixture of experts and measures both.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

step "Packages" scripts/install-deps.sh
prepare_build
step "Configure" cmake --preset release
step "Build" cmake --build --preset release --target moefy_cli moefy_share
moefy=build/release/bin/moefy
step "Convert the example" "$moefy" convert examples/quickstart/recipe.json --out build/quickstart --force
step "Benchmark one FFN" "$moefy" bench --shape t5-large --tokens 1,512 --ffn-ratio 0.2

cat << END
The split checkpoint, its metrics and the recipe's other results are in build/quickstart.
Next:
  sudo cmake --install build/release        puts moefy and its manual pages where shells find them
  $moefy --help                             every command
  $moefy inspect examples/quickstart/model  what a checkpoint holds
  $moefy convert RECIPE --dry-run           what a conversion of your own would do and need
  less docs/using.md docs/architecture.md    how to use it; how it works
END
