#!/usr/bin/env bash
# Writes what is made of the API types: deepcopy functions beside the types, and
# CRDs into charts/crds, and of these api/schema/schemas.json; and the commands' page of docs/reference. Run it after
# every change to api/agentgateway, api/v1alpha1 or hub/cli; `generate.sh --check`
# fails, naming the files of the types, if it was forgotten, as test/docs does for
# the page.
set -euo pipefail
cd "$(dirname "$0")/../.."

gen() { # where the CRDs go
  go tool -modfile=hack/generate/go.mod controller-gen \
    object crd:maxDescLen=300 \
    paths=./api/agentgateway paths=./api/v1alpha1 \
    output:crd:dir="$1"
  (cd hack/generate && go run ./schemas "../../$1" ../../api/schema/schemas.json)
}

outputs=(charts/crds/templates api/schema/schemas.json api/agentgateway/zz_generated.deepcopy.go api/v1alpha1/zz_generated.deepcopy.go)
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
(cd test && go test -count=1 ./docs -run TestCLIPageListsTheCommands -update)
