#!/usr/bin/env bash
# Installs what moefy is built and tested with on Debian 12, and selects the OpenMP flavour of
# OpenBLAS. Does nothing where all is there already. With --fuzz also what scripts/fuzz.sh needs, with
# --pip what scripts/test_torch2.sh does.
set -euo pipefail

packages=(
  # Tools.
  build-essential cmake ninja-build pkg-config ccache
  # Libraries; cmake/Dependencies.cmake finds each of them.
  libtorch-dev libopenblas0-openmp libeigen3-dev libhwy-dev libmetis-dev
  nlohmann-json3-dev libxxhash-dev libsentencepiece-dev libicu-dev libcli11-dev
  # Tests and checks.
  libopenmpi-dev openmpi-bin libgtest-dev libgmock-dev clang-format python3
)

case "${1:-}" in
  --fuzz) packages+=(clang-14 libclang-rt-14-dev) ;;
  --pip) packages+=(python3-venv) ;;
esac

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo > /dev/null; then
    sudo "$@"
  else
    printf 'install-deps.sh: needs root or sudo to run: %s\n' "$*" >&2
    return 1
  fi
}

missing=()
for package in "${packages[@]}"; do
  status="$(dpkg-query --show --showformat='${db:Status-Abbrev}' "$package" 2> /dev/null || true)"
  [[ "$status" == ii* ]] || missing+=("$package")
done

if [ "${#missing[@]}" -gt 0 ]; then
  printf 'Installing %d of %d Debian packages: %s\n' \
    "${#missing[@]}" "${#packages[@]}" "${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" > /dev/null
else
  printf 'All %d Debian packages are installed.\n' "${#packages[@]}"
fi

# LibTorch multiplies through libblas.so.3, whatever that points at. The reference BLAS is many
# times slower, and OpenBLAS with threads of its own fights LibTorch's OpenMP threads for the cores.
multiarch="$(gcc -print-multiarch)"
for library in blas lapack; do
  link="lib$library.so.3-$multiarch"
  wanted="/usr/lib/$multiarch/openblas-openmp/lib$library.so.3"
  if [ "$(update-alternatives --query "$link" | sed -n 's/^Value: //p')" != "$wanted" ]; then
    printf 'Selecting OpenBLAS with OpenMP for %s (undo: update-alternatives --auto %s)\n' \
      "$link" "$link"
    as_root update-alternatives --set "$link" "$wanted" ||
      printf 'Going on without; dense models will run slower than they could.\n' >&2
  fi
done
