#!/usr/bin/env bash
# Writes what is made of the API types: deepcopy functions beside the types, and
# CRDs into charts/crds. Run it after every change to api/agentgateway or
# api/v1alpha1; `generate.sh --check` fails, naming the files, if it was forgotten.
set -euo pipefail
cd "$(dirname "$0")/../.."

gen() { # where the CRDs go
  go tool -modfile=hack/generate/go.mod controller-gen \
    object crd:maxDescLen=300 \
    paths=./api/agentgateway paths=./api/v1alpha1 \
    output:crd:dir="$1"
}

outputs=(charts/crds/templates api/agentgateway/zz_generated.deepcopy.go api/v1alpha1/zz_generated.deepcopy.go)
if [[ ${1:-} == --check ]]; then
  before=$(mktemp -d)
  trap 'rm -rf "$before"' EXIT
  cp --parents -r "${outputs[@]}" "$before"
  gen charts/crds/templates
  for path in "${outputs[@]}"; do
    diff -rq "$before/$path" "$path"
  done
  exit
fi
gen charts/crds/templates
