# shellcheck shell=bash
# What the scripts beside this file share; sourced, not run.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# step <title> <command...>: says what starts, runs it, says how long it took.
step() {
  local title="$1" begin=$SECONDS
  shift
  printf '== %s: %s\n' "$title" "$*"
  "$@"
  printf '== %s: done in %d s\n\n' "$title" $((SECONDS - begin))
}

# Settings of the build: one compiler or test per core, and ccache when it is there. The values of the
# environment win.
prepare_build() {
  local cores
  cores="$(nproc)"
  export CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$cores}"
  export CTEST_PARALLEL_LEVEL="${CTEST_PARALLEL_LEVEL:-$cores}"
  if command -v ccache > /dev/null; then
    export CMAKE_CXX_COMPILER_LAUNCHER="${CMAKE_CXX_COMPILER_LAUNCHER:-ccache}"
    # Without these, ccache refuses to cache what uses a precompiled header.
    export CCACHE_SLOPPINESS="${CCACHE_SLOPPINESS:-pch_defines,time_macros,include_file_mtime,include_file_ctime}"
    export CCACHE_BASEDIR="${CCACHE_BASEDIR:-$root}" CCACHE_NOHASHDIR="${CCACHE_NOHASHDIR:-1}"
  fi
}
