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

# Kinds with a server of their own are tested in make destinations.
SERVED := ./flushers/elasticsearch ./flushers/kafka ./flushers/nats ./test/searchnode

# Half of the time of these tests is waiting for brokers, so three packages run at a time.
.PHONY: test
test: kafka $(if $(CI),$(GOTESTSUM)) ## Run the tests of all packages with the race detector (below ten minutes on two cores)
	$(GO_TEST) -race -p 3 -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) $$(go list ./... | grep -vE '/test/(e2e|isolation|destinations|searchnode)|/flushers/(elasticsearch|kafka|nats)$$')

# Tests that compare rates or time a recovery run first and alone. The others mostly wait for
# a broker's patience: they run side by side, after those.
.PHONY: faults
faults: kafka $(if $(CI),$(GOTESTSUM)) ## Kill, freeze and restart the program and its brokers (about ten minutes on two cores)
	$(GO_TEST) -race -timeout $(FAULTS_TIMEOUT) $(TEST_FLAGS) -p 1 -parallel 6 -run '$(RUN)' ./test/e2e/...

# First what the packages of these kinds show, then a hundred thousand groups for each kind
# and queue; FLUSHLINE_GROUPS=n is another number.
.PHONY: destinations
destinations: kafka search $(if $(CI),$(GOTESTSUM)) ## Test flushers at their real servers, which are killed like the workers (below eight minutes on two cores)
	$(GO_TEST) -race -p 2 -timeout $(FAULTS_TIMEOUT) $(TEST_FLAGS) -run '$(RUN)' $(SERVED)
	$(GO_TEST) -timeout $(FAULTS_TIMEOUT) $(TEST_FLAGS) -count 1 -run '$(RUN)' ./test/destinations

.PHONY: check
check: fmt-check lint vet cross docs-check manifests ## Check format, lint, vet, build for the three systems, docs and manifests

.PHONY: fmt
fmt: $(GOFUMPT) ## Format all Go files
	$(GOFUMPT) -l -w .

.PHONY: fmt-check
fmt-check: $(GOFUMPT)
	@unformatted=$$($(GOFUMPT) -l .); \
	if [[ -n $$unformatted ]]; then \
		printf 'not formatted (make fmt mends it):\n%s\n' "$$unformatted" >&2; exit 1; \
	fi

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Lint, import arrows included
	$(GOLANGCI_LINT) run ./...
	@if grep -rnE --include='*.go' '//[[:space:]]*nolint' .; then \
		echo 'a rule is mended or changed in .golangci.yml with its reason, never switched off in a file' >&2; exit 1; \
	fi

.PHONY: vet
vet: ## Vet for linux, darwin and windows
	for os in $(SYSTEMS); do echo "vet $$os"; GOOS=$$os go vet ./...; done
	go vet -tags failpoint ./...
	go test -tags failpoint ./internal/failpoint

.PHONY: cross
cross: ## Compile everything for linux, darwin and windows
	for os in $(SYSTEMS); do echo "build $$os"; CGO_ENABLED=0 GOOS=$$os go build ./...; done

.PHONY: docs
docs: ## Write docs/flushers from the kinds' own fields and texts
	go run ./cmd/flushline flushers docs docs/flushers

.PHONY: docs-check
docs-check:
	go run ./cmd/flushline flushers docs --check docs/flushers
	go run ./test/reliability check

# A run of another size replaces one of its name in bin/proof: keep those that the
# commands in the document make.
.PHONY: reliability
reliability: ## Take over the runs in bin/proof (RUNS=names, or all) into docs/RELIABILITY.md
	go run ./test/reliability keep $(FLUSHLINE_PROOF) $(RUNS)

.PHONY: summary
summary: ## Print what the runs in bin/proof showed, and how many faults happened
	go run ./test/reliability summary $(FLUSHLINE_PROOF)

# Naming a place for schemas takes kubeconform's own, which is on the network, away.
# The tests show that what is wrong is refused.
.PHONY: manifests
manifests: export FLUSHLINE_VALIDATE := $(VALIDATE)
manifests: $(KUBECONFORM) $(KUBERNETES) ## Validate the Kubernetes manifests, strictly and offline
	$(VALIDATE) deploy/kubernetes
	go test -count 1 $(TEST_FLAGS) ./test/manifests

.PHONY: examples
examples: build custom ## Check every example configuration, and the program in examples/
	@for f in configs/*.yaml; do bin/flushline check "$$f"; done

# A module of its own, as a stranger would write it: `./...` of the root does not
# see it.
.PHONY: custom
custom: $(GOLANGCI_LINT) ## Lint, vet, test, build, check and demo examples/customflusher
	cd $(CUSTOM) && go mod tidy -diff || \
		{ echo 'what the root requires has changed: run `go mod tidy` in $(CUSTOM)' >&2; exit 1; }
	cd $(CUSTOM) && $(GOLANGCI_LINT) run -c $(CURDIR)/.golangci.yml ./...
	cd $(CUSTOM) && for os in $(SYSTEMS); do GOOS=$$os go vet ./...; done
	cd $(CUSTOM) && go test -race -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) ./...
	cd $(CUSTOM) && go build -o $(CURDIR)/bin/ .
	cd $(CUSTOM) && go run ./try $(CURDIR)/bin/customflusher check flushline.yaml
	cd $(CUSTOM) && go run ./try $(CURDIR)/bin/customflusher demo -c flushline.yaml --for 3s

# Each of its waits is bounded; how long all takes is what SOAK_TIME says.
SOAK_TIME ?= 2h
.PHONY: soak
soak: kafka ## Load for SOAK_TIME beside destinations that hang, restarts and reloads; what workers need at rest
	FLUSHLINE_SOAK=$(SOAK_TIME) go test -race -timeout 0 -count 1 -v -run '^TestSoak$$' ./test/e2e

# Both queues; nothing else should run. ISOLATION_TIME= is the short form, of about eight minutes.
ISOLATION_TIME ?= 10m
.PHONY: isolation
isolation: kafka ## What dead and slow destinations cost the others, outages of ISOLATION_TIME (about two hours)
	FLUSHLINE_ISOLATION=$(ISOLATION_TIME) go test -timeout 0 -count 1 -v -run '$(RUN)' ./test/isolation

.PHONY: bench
bench: ## Measure against the bare loop: ratios of one run, interleaved, medians
	go run ./test/bench

.PHONY: kills
kills: kafka ## Kill workers and jobs KILLS times at random moments, and as often at named steps (about half an hour)
	FLUSHLINE_KILLS=$(KILLS) go test -timeout $(LONG_TIMEOUT) -count 1 -v -parallel 8 -run '^TestKills' ./test/e2e

.PHONY: e2e-long
e2e-long: kafka ## Kill and chaos runs at full size (about two hours)
	FLUSHLINE_LONG=1 go test -race -timeout $(LONG_TIMEOUT) -count 1 -v -p 1 -parallel 5 -run '$(RUN)' ./test/e2e/...

.PHONY: net-faults
net-faults: kafka ## The network before brokers and a destination fails in each way, three rounds of long faults (about a quarter of an hour)
	FLUSHLINE_LONG=1 go test -race -timeout $(LONG_TIMEOUT) $(TEST_FLAGS) -count 1 -run '^TestNetFaults$$' ./test/e2e

# A cell waits most of its time for a broker's patience, so some run side by side.
.PHONY: crash
crash: kafka ## Kill, end and freeze the program at every named step on every queue (about ten minutes)
	go test -tags failpoint -count 1 -run '^TestParkedCrash$$' ./queue/kafka
	@mkdir -p bin; \
	FLUSHLINE_CRASH=all FLUSHLINE_CRASH_REPORT=$(CURDIR)/bin/crash go test -race -timeout $(LONG_TIMEOUT) $(TEST_FLAGS) \
		-count 1 -parallel 4 -run '^TestCrash$$' ./test/e2e || failed=1; \
	cat bin/crash.txt; exit $${failed:-0}

# A world that fails says which seed it was: FLUSHLINE_SIM_SEED=n repeats it 20 times.
.PHONY: sim
sim: ## Simulate SEEDS deployments with seeded faults on each queue (1,000 in about two minutes)
	FLUSHLINE_SIM_SEEDS=$(SEEDS) go test -count 1 -timeout $(LONG_TIMEOUT) -v -run '$(RUN)' ./test/sim

# TIMES=60 is an hour of it.
.PHONY: machines
machines: ## Compare the step machines with their models in many more sequences (about a minute)
	go run ./test/machines -times $(TIMES)

.PHONY: mutants
mutants: ## Plant defects, one at a time: each has to be caught by its checks within a minute
	go run ./test/mutants

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZ_TIME, and go on from what earlier runs found
	go run ./test/fuzz -time 0s -least $(FUZZ_TIME) -run '$(RUN)' -cache "$$(go env GOCACHE)/fuzz"

# From the committed inputs alone: two runs on one commit do the same.
.PHONY: fuzz-short
fuzz-short: ## Fuzz all targets for two minutes together
	go run ./test/fuzz -time 2m -least 3s

.PHONY: release
release: ## Build static binaries for all platforms into dist/, with checksums
	rm -rf dist && mkdir dist
	for platform in $(PLATFORMS); do \
		os=$${platform%/*} arch=$${platform#*/} suffix=; \
		if [[ $$os == windows ]]; then suffix=.exe; fi; \
		echo "build $$platform"; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go build -trimpath -ldflags '$(LDFLAGS)' \
			-o "dist/flushline_$(VERSION)_$${os}_$$arch$$suffix" ./cmd/flushline; \
	done
	cd dist && if command -v sha256sum >/dev/null; then sha256sum flushline_* > SHA256SUMS; \
		else shasum -a 256 flushline_* > SHA256SUMS; fi

.PHONY: clean
clean: ## Remove what make built; the tools stay
	rm -rf bin dist

$(GOLANGCI_LINT):
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(TOOLS)/golangci-lint $@

$(GOFUMPT):
	GOBIN=$(TOOLS) go install mvdan.cc/gofumpt@$(GOFUMPT_VERSION)
	mv $(TOOLS)/gofumpt $@

$(GOTESTSUM):
	GOBIN=$(TOOLS) go install gotest.tools/gotestsum@$(GOTESTSUM_VERSION)
	mv $(TOOLS)/gotestsum $@

$(KUBECONFORM):
	GOBIN=$(TOOLS) go install github.com/yannh/kubeconform/cmd/kubeconform@$(KUBECONFORM_VERSION)
	mv $(TOOLS)/kubeconform $@

$(KUBERNETES): $(wildcard test/manifests/*.go)
	go run ./test/manifests $(KUBERNETES_VERSION) $(KUBERNETES_SUM) $@
