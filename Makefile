# Two commands do everything: `make run` (needs Go only) and `make test` (sets up whatever real servers need).
SHELL := /bin/bash
.DEFAULT_GOAL := help

GOLANGCI_VERSION := v2.10.1
TOOLS := $(CURDIR)/bin
BUILD_VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.build=$(BUILD_VERSION)
# One static binary: it is also what runs in the roles' containers.
BINARY := bin/ratel
export CGO_ENABLED ?= 0
# testcontainers must not take this machine for a container, and there is no image for its reaper: Ratel has its own.
export TESTCONTAINERS_HOST_OVERRIDE := 127.0.0.1
export TESTCONTAINERS_RYUK_DISABLED := true

.PHONY: help run build test test-sim test-containers test-at-length test-race bench bench-ingest soak lint fuzz clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

run: build ## run broker-loss in the simulated world and print the verdict, the report's path and the replay command
	@$(BINARY) run broker-loss

build: ## build the one static binary, bin/ratel
	@go build -trimpath -ldflags '$(LDFLAGS)' -o $(BINARY) ./cmd/ratel

test: lint test-sim test-race test-containers ## all tests, real servers included; sets up what is missing

test-sim: ## the tests that need neither Docker nor root
	go vet ./...
	go test ./...
	go test -tags ratel_baton ./sim/sched # the coroutines' fallback arrives at the same hashes

test-race: ## the race detector over everything that runs on the wall clock
	@command -v gcc >/dev/null || { echo "the race detector needs gcc: installing it"; apt-get update -qq && apt-get install -y -qq gcc libc6-dev; }
	CGO_ENABLED=1 go test -race ./system/... ./loadgen/... ./scenarios/engine/... ./cmd/...

test-containers: build ## the tests against real Kafka, ZooKeeper, MySQL and S3 in containers; starts a Docker engine where there is none
	@.ci/engine.sh
	@command -v curl >/dev/null || { echo "the lines that 'ratel up' prints need curl: installing it"; apt-get update -qq && apt-get install -y -qq curl; }
	RATEL_BINARY=$(CURDIR)/$(BINARY) go test -tags containers -run 'Containers|RealServers' -p 1 -count 1 -timeout 60m -v ./system/... ./sim/conformance/... ./cmd/...

test-at-length: build ## the scripts and planted bugs on real servers that 'make test' has no time for
	@.ci/engine.sh
	RATEL_BINARY=$(CURDIR)/$(BINARY) go test -tags containers -run AtLength -p 1 -count 1 -timeout 90m -v ./system/containers/... ./cmd/...

bench: ## benchmarks, as ratios against a named baseline in one run
	go test -run '^$$' -bench . -benchtime 1s -count 3 ./sim/... ./system/... ./scenarios/... ./loadgen/...
	@command -v gcc >/dev/null || { echo "DuckDB, the baseline for queries, needs gcc: installing it"; apt-get update -qq && apt-get install -y -qq gcc g++ libc6-dev; }
	@$(MAKE) --no-print-directory bench-ingest
	cd bench/duckdb && CGO_ENABLED=1 go test -bench . -benchtime 1s -count 3 -timeout 30m . # a module of its own: it tests that both agree, too

bench-ingest: build ## a shepherd against the OpenTelemetry Collector, into real Kafka, on the same cores in one run; starts a Docker engine where there is none
	@.ci/engine.sh
	cd bench/collector && go build -trimpath -ldflags '-s -w' -o $(TOOLS)/collector .
	go run ./bench/ingest -ratel $(CURDIR)/$(BINARY) -collector $(TOOLS)/collector

lint: $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION) ## gofmt, vet and the pinned linters
	$< run ./...

$(TOOLS)/golangci-lint-$(GOLANGCI_VERSION):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) GOFLAGS=-buildvcs=false go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(TOOLS)/golangci-lint $@

FUZZTIME ?= 30s
soak: ## each role at twice the capacity of what is behind it, one after another, for RATEL_SOAK each (default 10m): memory stays within its bound
	go test -tags soak -run Soak -count 1 -p 1 -timeout 24h -v ./system/shepherd ./system/retriever ./system/query ./system/beagle

# Minimizing one input that is new may otherwise take the whole time.
fuzz: ## fuzz every decoder of untrusted input for FUZZTIME each
	@set -e; for pkg in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$pkg 2>/dev/null | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 50x $$pkg; done; done

clean: ## remove what was built; runs/ stays
	rm -rf bin
