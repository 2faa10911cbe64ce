# `make` shows what there is.
CARGO ?= cargo
PREFIX ?= /usr/local
TOOLS := cc c++ clang++ gtest make pkg-config cmake valgrind readelf locales
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR DESTDIR

.DEFAULT_GOAL := help

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | column -t -s '|'

build: ## build the library (release profile) in target/release
	$(CARGO) build --release --package target-sdk

demo: ## build library, local edge and examples in C and C++, and run them over HTTP
	@sh tools/demo.sh

test: ## run all tests
	@sh tools/test.sh

models: ## check the concurrent core in every order of steps (part of make test)
	@sh tools/models.sh

fuzz: ## fuzz every target for FUZZ_SECONDS=60 (needs Rust nightly)
	@sh tools/fuzz.sh

sanitize: ## run under address and thread sanitizers and valgrind (needs Rust nightly)
	@sh tools/sanitize.sh

coverage: ## measure which lines of the library the tests run (fails below COVERAGE_LEAST=90 %)
	@sh tools/coverage.sh

mutants: ## change the code in small ways: do the tests notice? (fails below MUTANTS_LEAST=80 %)
	@sh tools/mutants.sh

tools: ## install the system tools that the tests need
	@sh tools/dependencies.sh $(TOOLS)

# Under sudo there may be no cargo: then what `make build` built is installed.
install: ## install the library: make install PREFIX=/usr/local DESTDIR=
	@if command -v $(CARGO) >/dev/null 2>&1; then $(MAKE) --no-print-directory build; fi
	@sh packaging/install.sh "$(CARGO_TARGET_DIR)/release" "$(PREFIX)"

uninstall: ## remove it: make uninstall PREFIX=/usr/local DESTDIR=
	@sh packaging/uninstall.sh "$(PREFIX)"

dist: ## make a tarball for glibc 2.28 and newer, and check it where it is unpacked
	@sh tools/dist.sh

deb: ## make Debian packages, and check them: installed, used, removed
	@sh tools/deb.sh

header: ## write include/target_sdk.h anew from the Rust sources
	TARGET_SDK_WRITE_HEADER=1 $(CARGO) test --quiet --package target-sdk --test header

fmt: ## format the Rust sources
	$(CARGO) fmt --all

lint: ## check format and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

bench: ## measure everything beside Adobe's SDKs and print one table
	@python3 tools/bench/run.py

wheel: ## build the Python wheel in target/wheels, install and try it
	@sh tools/wheel.sh

soak: ## run for SOAK_SECONDS (600) under faults
	@sh tools/soak.sh

differential: ## compare thousands of decisions with Adobe's Node SDK
	@sh tools/differential/run.sh

clean: ## remove what was built
	$(CARGO) clean
	$(MAKE) -s -C examples/c clean
	$(MAKE) -s -C examples/cpp clean

.PHONY: help build demo test models fuzz sanitize coverage mutants tools install uninstall dist deb header fmt lint bench wheel soak differential clean
