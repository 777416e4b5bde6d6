#!/bin/sh
# Converts the models of a recipe, and says by its exit code whether all of them keep the quality
# that the recipe's fail_if asks for. Run again after an interruption, it goes on where it was.
#
# usage: convert.sh RECIPE OUT [OPTION of `moefy convert`]...
#
# The environment's MOEFY names the program. In OUT:
#   models/NAME/   what `moefy convert` makes; moe-* is what you run
#   junit.xml      what became of each stage and task, for the CI service
#   convert.txt    the tables, for people
set -eu
if [ $# -lt 2 ]; then
  echo "usage: convert.sh RECIPE OUT [OPTION]..." >&2
  exit 2
fi
moefy=${MOEFY:-moefy}
recipe=$1
out=$2
shift 2
mkdir -p "$out/models"

convert() {
  status=0
  "$moefy" convert "$recipe" --out "$out/models" --keep-going --wait \
    --junit "$out/junit.xml" "$@" > "$out/convert.txt" || status=$?
}

convert "$@"
if [ "$status" -eq 4 ]; then # a disk, memory, a lock: the one kind of error that may pass
  echo "once more, because of exit code 4" >&2
  convert "$@"
fi
cat "$out/convert.txt"
case $status in
  0) echo "every model keeps its quality" >&2 ;;
  1) echo "a model loses more than it may; $out/convert.txt says which" >&2 ;;
  *) echo "moefy convert ended with exit code $status" >&2 ;;
esac
exit "$status"
