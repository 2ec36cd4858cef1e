# What developers run. Every tool is pinned: linters by tools/lint/go.mod, clients and peers by the files of interop/ and tests/kit. What a target
# needs and the machine lacks comes from its own registry into $FRESHET_CACHE (default: freshet in the user's cache directory).

.DEFAULT_GOAL := help
SHELL := /usr/bin/env bash

# The packages whose mistakes are races: whatever runs goroutines or is called by several.
CORE := ./internal/... ./cmd/freshet/demo
LINT := go tool -modfile=tools/lint/go.mod
# Options of suites, as in: make crash CRASH='-kills 500', make bench-kafka BENCH='-runs 5 -records 2000000', make diff-kafka DIFF='-run fetch'
CRASH ?= -kills 200
JEPSEN ?= -faults 60
FAULTS ?=
BENCH ?=
DIFF ?=
FRAMEWORKS ?=
MIGRATE ?=

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

build: ## the binary, ./freshet
	CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o freshet ./cmd/freshet

test: ## every test, the real binary and its command line included
	go run ./tools/gotest ./...

lint: ## gofumpt, go vet, staticcheck
	@unformatted=$$(git ls-files --cached --others --exclude-standard '*.go' | xargs $(LINT) gofumpt -l) && \
	if [[ $$unformatted ]]; then echo "not formatted by gofumpt:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	$(LINT) staticcheck ./...

format: ## rewrite what gofumpt would write otherwise
	git ls-files --cached --others --exclude-standard '*.go' | xargs $(LINT) gofumpt -w

race: ## everything but the real binary under the race detector
	go run ./tools/gotest -short -race $(CORE)

fuzz: ## every fuzz target for a while (FUZZTIME=10s)
	scripts/fuzz

jepsen: ## kill and pause the real binary under transactions, and look for what must not be
	go run ./tools/gotest -v -timeout 0 ./tests/listappend -args $(JEPSEN)

faults: ## stalled readers, storms, crowds, kill -9 at each step, full disks: to the real binary, measured
	go run ./tests/faults $(FAULTS)

crash: ## kill -9 the real binary under load, many times
	go run ./tools/gotest -v -timeout 0 ./tests/crash -args $(CRASH)

interop: ## stock clients judge the binary; writes README's table
	go run ./interop --write

diff-kafka: ## the same requests to Apache Kafka, answers compared
	go run ./tests/differential $(DIFF)

frameworks: ## Kafka Streams, Connect, MirrorMaker 2, Flink SQL, Apicurio Registry, Debezium and Terraform's provider on the real binary, with kills
	go run ./tests/frameworks $(FRAMEWORKS) streams
	go run ./tests/frameworks $(FRAMEWORKS) streams-group
	go run ./tests/frameworks $(FRAMEWORKS) connect
	go run ./tests/frameworks $(FRAMEWORKS) mirror
	go run ./tests/frameworks $(FRAMEWORKS) flink
	go run ./tests/frameworks $(FRAMEWORKS) registry
	go run ./tests/frameworks $(FRAMEWORKS) debezium
	go run ./tests/frameworks $(FRAMEWORKS) terraform

migrate: ## import from Apache Kafka and export into one, with kills; every record compared
	go run ./tests/migrate $(MIGRATE)

bench-kafka: ## against Apache Kafka, in turn
	go run ./bench kafka $(BENCH)

bench-kinesis: ## against ferrokinesis, in turn
	go run ./bench kinesis $(BENCH)

bench-scale: ## memory of a crowd, start with a large log
	go run ./bench scale $(BENCH)

bench-compact: ## 1 GiB of 100-byte records, ten of each key; ENGINE_BENCH_DIR names a directory on a disk
	COMPACT_BENCH_BYTES=1073741824 go test -run xxx -bench Compact -benchtime 1x -count 3 ./internal/engine

cross: ## the binary for every system, in dist/
	scripts/cross

generate: ## AWS shapes from the service models, and what else is generated
	go generate ./...

fidelity: ## docs/fidelity.md from the ledger
	go run ./tools/fidelity

.PHONY: help build test lint format race fuzz jepsen crash faults interop diff-kafka frameworks migrate bench-kafka bench-kinesis bench-scale bench-compact cross generate fidelity
