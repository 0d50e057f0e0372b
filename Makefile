# make prints this help.
GO      ?= go
BIN     := bin/tidemark
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
VENV    := .cache/venv
PKG     ?= ./...
T       ?= 20s
N       ?= 1000
KILLS   ?= 300
# Packages whose tests wait for servers most of their time begin first, beside others.
LONGEST := ./stream ./cmd/tidemark ./lake/interop ./run ./stream/sink
export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help
.PHONY: help build test check tools fmt vet lint race chaos fuzz bench demo gen oracle servers clean

help: ## this help
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/tidemark
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/tidemark

demo: build ## the tour: a market through topics and lake, proven equal to history
	./$(BIN) demo

test: ## everything that guards main (under 10 minutes); installs what it needs
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt these files:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	@$(MAKE) --no-print-directory -j2 vet tools
	@trap 'bash scripts/servers.sh stop' EXIT; env=$$(bash scripts/servers.sh start) && eval "$$env" && set -x && \
	GOGC=400 TIDEMARK_ORACLE_PYTHON=$(abspath $(VENV))/bin/python $(GO) test -p 4 -timeout 15m $(LONGEST) ./...

oracle: $(VENV)/ready ## install the independent oracles of the tests (DuckDB, PyIceberg, Spark, TA-Lib …) into .cache/venv
$(VENV)/ready: scripts/oracle-requirements.txt
	bash scripts/oracle.sh $(VENV)

tools: oracle
	@bash scripts/servers.sh install

servers: ## start the real servers of the tests (S3, PostgreSQL, REST catalog, Kafka) and print their environment
	@bash scripts/servers.sh start

fmt: ## format
	gofmt -w $$(git ls-files '*.go')

vet: ## go vet
	$(GO) vet ./...

lint: ## golangci-lint, built from tools/go.mod
	$(GO) tool -modfile=tools/go.mod golangci-lint run ./...

race: ## the tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 30m $(PKG)

chaos: ## the tests of kills and of too much load at length: make chaos KILLS=300; with the embedded broker and three nodes of Kafka
	@trap 'bash scripts/servers.sh stop' EXIT; env=$$(bash scripts/servers.sh start kafka3 s3 postgres) && eval "$$env" && set -x && \
	TIDEMARK_TEST_KILLS=$(KILLS) $(GO) test -count=1 -timeout 3h -run 'Kill|Surviv|GetWarm' -v ./stream ./stream/broker ./stream/sink ./backfill ./cmd/tidemark

fuzz: ## fuzz every target of PKG for T each: make fuzz PKG=./market/num T=1m
	bash scripts/fuzz.sh $(PKG) $(T)

bench: ## benchmarks of every hot path
	$(GO) test -run '^$$' -bench . -benchmem ./market/... ./sequence/... ./features/... ./ingest/... ./lake/... ./run/...

gen: ## regenerate the Protobuf code and the generated pages of docs
	bash scripts/gen-proto.sh
	UPDATE_DOCS=1 $(GO) test ./docs/... ./ingest/... ./cmd/... -run Doc

check: fmt vet lint test ## the whole gate before a commit

clean: ## remove what was built and installed here
	rm -rf bin .cache
