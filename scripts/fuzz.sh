#!/usr/bin/env bash
# Fuzzes every reader of what comes from outside for SECONDS (20), two at a time:
#   scripts/fuzz.sh [SECONDS [TARGET...]]
# An input that crashes, or of 4 KB and wants over 64 MB at once or over 1 s (sanitized), stops the script; put the
# file it names into tests/fuzz/corpus/TARGET, so that it is replayed under every preset.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

seconds="${1:-20}"
targets=("${@:2}")
if [ "${#targets[@]}" = 0 ]; then
  mapfile -t targets < <(find tests/fuzz/corpus -mindepth 1 -maxdepth 1 -printf "%f\n" | sort)
fi

step "Packages" scripts/install-deps.sh --fuzz
prepare_build
step "Configure" cmake --preset fuzz
step "Build" cmake --build --preset fuzz

# fuzz <target>: its output goes to build/fuzz/runs/TARGET.log.
fuzz() {
  local run="build/fuzz/runs/$1"
  mkdir -p "$run/corpus"
  if "build/fuzz/bin/fuzz_$1" -max_total_time="$seconds" -timeout=1 -max_len=4096 \
    -malloc_limit_mb=64 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$run/" \
    "$run/corpus" "tests/fuzz/corpus/$1" > "$run.log" 2>&1; then
    printf '%s: %s runs\n' "$1" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$run.log")"
  else
    tail -n 40 "$run.log"
    printf '%s: FAILED, see %s\n' "$1" "$run.log"
    return 1
  fi
}
export -f fuzz
export seconds
printf '%s\n' "${targets[@]}" | xargs -P 2 -I {} bash -c 'fuzz {}'
printf 'Fuzzed %d targets for %s s each.\n' "${#targets[@]}" "$seconds"
