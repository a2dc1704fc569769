# Nave. `make help` lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN     := $(CURDIR)/bin
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/navehq/nave/api/version.Version=$(VERSION)

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z-]*:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "  KEEP=1 make demo     leaves the demo's fleet running"

.PHONY: build
build: ## the programs, into bin/
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./hub/cmd/... ./spoke/cmd/... ./proxy/cmd/...

.PHONY: build-test
build-test: build ## the simulators and the demo's clients, into bin/
	cd test && $(GO) build -o $(BIN)/ ./simulators/cmd/... ./demo/...

.PHONY: demo
demo: build-test ## a fleet of three regions, one of them killed under load (KEEP=1 leaves it running)
	$(BIN)/nave-demo $(if $(KEEP),-keep)

.PHONY: test
test: build-test ## every test: packages, fleets, real processes
	$(GO) test ./...
	cd hack/generate && $(GO) test ./...
	cd test && $(GO) test -timeout 20m $$($(GO) list ./... | grep -v /e2e)
	cd test && $(GO) test -count=1 ./arch ./docs
	cd test && $(GO) test -timeout 20m ./e2e

.PHONY: race
race: ## the packages' tests under the race detector
	$(GO) test -race ./...

FUZZTIME ?= 20s
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each
	hack/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: ## the packages' benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: bench-proxy
bench-proxy: build ## a proxied chat completion beside nginx in the same run
	cd test && $(GO) run ./bench/proxy -bin $(BIN) -out bench/results $(BENCH)

.PHONY: generate
generate: ## deepcopy, CRDs, protobuf, reference pages
	hack/generate/generate.sh
	hack/wire/generate.sh

.PHONY: lint
lint: ## golangci-lint, pinned in hack/lint
	$(GO) tool -modfile=hack/lint/go.mod golangci-lint run ./...

.PHONY: verify
verify: ## what must hold before a change lands: generated files fresh, lint, house rules
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'gofmt these files'; exit 1; }
	$(MAKE) generate
	@git diff --exit-code --stat -- api charts docs/reference || { echo 'generated files are stale: commit what make generate wrote'; exit 1; }
	$(GO) vet ./...
	cd test && $(GO) vet ./... && $(GO) test -count=1 ./arch
	$(MAKE) lint

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN)
