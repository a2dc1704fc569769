#!/usr/bin/env bash
# Runs every fuzz target of the main module for the given time each.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-20s}
grep -rl --include='*_test.go' '^func Fuzz' api hub spoke proxy | sort | while read -r file; do
  dir=$(dirname "$file")
  grep -o '^func Fuzz[A-Za-z0-9_]*' "$file" | awk '{print $2}' | while read -r target; do
    echo "== ./$dir $target"
    go test "./$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$time" </dev/null
  done
done
