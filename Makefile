# Burrow's build. "make" builds, "make help" lists the rest.

GO            ?= go
FUZZTIME      ?= 10s
TEST_TIMEOUT  ?= 10m
BENCH         ?= .

TOOLS         := $(CURDIR)/bin/tools
LINT_VERSION  := v2.15.0
PROTOC_GO     := v1.36.12
PROTOC_GRPC   := v1.5.1
VULN_VERSION  := v1.1.4

SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := build
.NOTPARALLEL:
.PHONY: help build test fmt vet staticcheck lint race fuzz bench generate run up vuln clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the four programs into bin/ (the default)
	$(GO) build -trimpath -o bin/ ./registry ./peerd ./executor-plugin ./dashboard

test: fmt vet build staticcheck lint race ## everything that CI runs

fmt: ## fail on files that gofmt would change
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "gofmt -w needed:"; echo "$$bad"; exit 1; fi

vet: ## go vet
	$(GO) vet ./...

staticcheck: ## staticcheck, at the version of go.mod
	$(GO) tool staticcheck ./...

lint: $(TOOLS)/.golangci-lint-$(LINT_VERSION) ## golangci-lint with .golangci.yml; installs it first (a minute)
	$(TOOLS)/golangci-lint run ./...

race: ## all tests with the race detector (needs gcc or clang)
	CGO_ENABLED=1 $(GO) test -race -timeout $(TEST_TIMEOUT) ./...

fuzz: ## each fuzz target for FUZZTIME (10s)
	@grep -rn --include='*_test.go' -oE '^func Fuzz[A-Za-z0-9_]*' . | sed -E 's|^(.*)/[^/]*_test.go:[0-9]+:func (.*)|\1 \2|' | sort -u | \
	while read -r dir name; do \
		echo "$(GO) test -run ^$$ -fuzz ^$$name\$$ -fuzztime $(FUZZTIME) $$dir"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$dir"; \
	done

bench: ## the benchmarks that match BENCH (all)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

generate: ## rebuild executorpb from its .proto (needs protoc)
	GOBIN=$(TOOLS) $(GO) install google.golang.org/protobuf/cmd/protoc-gen-go@$(PROTOC_GO)
	GOBIN=$(TOOLS) $(GO) install google.golang.org/grpc/cmd/protoc-gen-go-grpc@$(PROTOC_GRPC)
	cd api/executor/executorpb && PATH="$(TOOLS):$$PATH" protoc --go_out=. --go_opt=paths=source_relative \
		--go-grpc_out=. --go-grpc_opt=paths=source_relative executor.proto

run: build ## start a network of two peers here, run the examples on it, stop
	examples/two-peers.sh

up: build ## the same network, until Ctrl-C
	examples/two-peers.sh --up

vuln: ## govulncheck; needs its database from the network
	$(GO) run golang.org/x/vuln/cmd/govulncheck@$(VULN_VERSION) ./...

clean: ## remove bin/
	rm -rf bin

$(TOOLS)/.golangci-lint-$(LINT_VERSION):
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	touch $@
