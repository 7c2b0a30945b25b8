# What contributors and CI run. A bare `make` is what CI runs; `make help` lists the rest.
# Go, gcc (for the race detector), make and git are enough, with a Java 17 JDK and
# Maven for the tests against Apache Kafka (a runtime does for it), OpenSearch and
# Elasticsearch, which skip without; everything else is installed below .tools at
# pinned versions.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

GOLANGCI_LINT_VERSION := v2.15.0
GOFUMPT_VERSION := v0.12.0
GOTESTSUM_VERSION := v1.13.0
KUBECONFORM_VERSION := v0.8.0
KUBERNETES_VERSION := v1.37.2
KUBERNETES_SUM := h1:A2VDEiObzkYqFTKhSsn0ZEb0RlLEXpHWj93gi2HqEwE=

MODULE := github.com/flushline/flushline
CUSTOM := examples/customflusher
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X $(MODULE)/cmd.Version=$(VERSION)
SYSTEMS := linux darwin windows
PLATFORMS := $(foreach os,$(SYSTEMS),$(os)/amd64 $(os)/arm64)

# A checkout that belongs to another user makes git refuse to answer and, with
# it, every `go build` that wants to stamp a revision. VERSION is our stamp.
export GOFLAGS := $(strip $(shell go env GOFLAGS) -buildvcs=false)

# What runs of tests showed is kept here: one file a run.
export FLUSHLINE_PROOF ?= $(CURDIR)/bin/proof
export FLUSHLINE_PROOF_COMMIT := $(VERSION)

TOOLS := $(CURDIR)/.tools
GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)
GOFUMPT := $(TOOLS)/gofumpt-$(GOFUMPT_VERSION)
GOTESTSUM := $(TOOLS)/gotestsum-$(GOTESTSUM_VERSION)
KUBECONFORM := $(TOOLS)/kubeconform-$(KUBECONFORM_VERSION)
KUBERNETES := $(TOOLS)/kubernetes-$(KUBERNETES_VERSION)
VALIDATE := $(KUBECONFORM) -strict -summary -schema-location '$(KUBERNETES)/{{.ResourceKind}}{{.KindSuffix}}.json'

CI ?=
TEST_FLAGS ?= $(if $(CI),-v)
# In CI every test is named while it runs, and the end of the log says again what failed, and how.
GO_TEST := $(if $(CI),$(GOTESTSUM) --format standard-verbose --hide-summary skipped --,go test)
TEST_TIMEOUT ?= 9m
FAULTS_TIMEOUT ?= 15m
LONG_TIMEOUT ?= 150m
KILLS ?= 1000
FUZZ_TIME ?= 20s
DEMO_TIME ?= 10s
SEEDS ?= 1000
TIMES ?= 1
RUN ?= .
RUNS ?=

.PHONY: all
all: check test mutants faults destinations examples ## What CI runs but for sim and fuzz-short: format, lint, vet, tests, planted defects, faults, example checks

.PHONY: help
help: ## Describe the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: ## Build bin/flushline, static and with its version
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/flushline

.PHONY: demo
demo: build ## Run the main job for ten seconds on a queue of its own
	bin/flushline demo --for $(DEMO_TIME)

.PHONY: kafka
kafka: ## Fetch the Apache Kafka that tests run against, and say which it is
	@go run ./test/kafkabroker/jars

.PHONY: search
search: ## Fetch the OpenSearch and Elasticsearch that tests run against, and say which they are
	@go run ./test/searchnode/jars

# Half of the time of these tests is waiting for brokers, so three packages run at a time.
.PHONY: test
test: kafka search $(if $(CI),$(GOTESTSUM)) ## Run the tests of all packages with the race detector (below ten minutes on two cores)
	$(GO_TEST) -race -p 3 -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) $$(go list ./... | grep -vE '/test/(e2e|isolation|destinations)')
