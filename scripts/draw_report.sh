#!/usr/bin/env bash
# Draws the page that `moefy report` writes of the quickstart, which README shows: converts the
# embedded example and has headless Chromium (apt-get install chromium) take its picture.
#
# usage: scripts/draw_report.sh [MOEFY]    default: build/release/bin/moefy, as the quickstart builds
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
moefy=${1:-build/release/bin/moefy}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$moefy" convert examples/quickstart/recipe.json --out "$scratch/out" > "$scratch/table"
"$moefy" report "$scratch/out" > "$scratch/summary"
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$scratch/profile" \
  --window-size=860,884 --screenshot="$scratch/report.png" "file://$scratch/out/report.html"
cp "$scratch/report.png" docs/images/report.png
