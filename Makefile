# `make` lists the commands. Each makes the virtual environment it needs by itself.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

# The Python to use: the first of these that runs and is new enough (a shim may exist and fail).
# `make test PYTHON=python3.13` works in a virtual environment beside the default one.
IS_NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
ifdef PYTHON
VENV ?= .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
else
PYTHON := $(firstword $(foreach python,python3 python3.13 python3.12 python3.11,\
	$(shell $(python) $(IS_NEW_ENOUGH) 2>/dev/null && echo $(python))))
VENV ?= .venv
endif

BIN := $(VENV)/bin
# Written last when the environment is complete.
READY := $(VENV)/.ready
# Written when it has all packages but those of this repository.
PACKAGES := $(VENV)/.packages
# What the sidecar's image has, and no more: a process also pays for libraries that it only finds.
SIDECAR_VENV := $(VENV)-sidecar
SIDECAR_READY := $(SIDECAR_VENV)/.ready
# What is checked; a folder that is not there yet is passed over.
CODE := $(wildcard crds sidecar operator charts tests e2e bench)
DISTRIBUTIONS := crds sidecar operator
# Each Python has its own build of it, beside the source.
COMPILED := $(wildcard sidecar/moorline_sidecar/hot/*.[ch])

# The files of tests go to a process for each core, in the order that tests/conftest.py gives them.
SIDE_BY_SIDE := --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

# More arguments for the command that a target runs: `make run ARGS="--listen 127.0.0.1:8080"`.
ARGS ?=

.PHONY: help
help: ## this list
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) \
		| while IFS=$$'\t' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

.PHONY: run
run: $(READY) ## serve sessions from an embedded store, ready for curl
	@exec $(BIN)/moorline-sidecar serve --dev $(ARGS)

.PHONY: demo
demo: $(READY) ## a web shop on two sidecars, one killed in the middle: make demo STORE=postgresql
	@exec $(BIN)/python -m e2e.app.demo $(if $(STORE),--store $(STORE)) $(if $(L2),--l2 $(L2)) $(ARGS)

# $(call stage,NAME,COMMAND): says what runs, and what it was that failed.
define stage
@echo "== $(1)"; ($(2)) || { echo "== $(1): failed" >&2; exit 1; }
endef

.PHONY: test
test: $(READY) ## every check that needs no cluster: lint, types, imports, dependencies, tests
	$(call stage,lint,$(BIN)/ruff check --quiet $(CODE))
	$(call stage,format,$(BIN)/ruff format --check $(CODE))
	$(call stage,types,$(BIN)/mypy $(CODE))
	$(call stage,imports,$(BIN)/lint-imports --no-logo)
	$(call stage,dependencies,$(foreach folder,$(DISTRIBUTIONS),$(BIN)/deptry --no-ansi --config $(folder)/pyproject.toml $(folder) &&) true)
	$(call stage,cluster,$(BIN)/python -m e2e.cluster.build --if-possible)
	$(call stage,tests,$(BIN)/pytest --cov $(SIDE_BY_SIDE) $(ARGS))

.PHONY: e2e
e2e: $(READY) ## take a shop through a cluster's life, with pods, images and users: docs/e2e.md
	@exec $(BIN)/pytest e2e -p no:randomly --capture=no $(ARGS)

.PHONY: cluster
cluster: $(READY) ## build, with Go, the Kubernetes and the Helm that tests run against
	@exec $(BIN)/python -m e2e.cluster.build $(ARGS)

.PHONY: test-quick
test-quick: $(READY) ## the tests alone, ended by the first failure: make test-quick ARGS="-k renew"
	@exec $(BIN)/pytest --exitfirst --quiet $(ARGS)

.PHONY: chaos
chaos: $(READY) ## sidecars, a store and users under fire: make chaos ARGS="--seconds 600 --users 200"
	@exec $(BIN)/python -m tests.faults.chaos $(ARGS)

.PHONY: soak
soak: $(READY) ## an hour of users without faults, to see what grows: make soak ARGS="--minutes 10"
	@exec $(BIN)/python -m tests.faults.soak $(ARGS)

.PHONY: promises
promises: $(READY) ## coherence and outages in numbers: make promises ARGS="reads|outage|logouts"
	@exec $(BIN)/python -m tests.faults.promises $(ARGS)

.PHONY: bench
bench: $(READY) $(SIDECAR_READY) ## what performance is promised of, beside its peers: make bench ARGS=--quick
	@export MOORLINE_BENCH_PYTHON="$${MOORLINE_BENCH_PYTHON:-$(SIDECAR_VENV)/bin/python}"; \
		exec $(BIN)/python -m bench $(ARGS)

.PHONY: lint
lint: $(READY) ## lint and types, nothing else
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)

.PHONY: format
format: $(READY) ## format the code and fix what can be fixed without a person
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

.PHONY: crds
crds: $(READY) ## write the SessionCluster type for Kubernetes anew
	$(BIN)/python -m moorline_api.schema crds/moorline.io_sessionclusters.yaml \
		charts/moorline/files/moorline.io_sessionclusters.yaml

.PHONY: docs
docs: $(READY) ## write anew what is made from the code in docs/ and in the chart's README
	$(BIN)/python -m moorline_api.reference docs/configuration.md
	$(BIN)/python charts/readme.py

# Without addresses in them, the files work with every index. The distributions of this
# repository are installed from their folders, so they have no line there.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links \
	--no-emit-package moorline-api --no-emit-package moorline-sidecar \
	--no-emit-package moorline-operator $(ARGS)

.PHONY: lock
lock: $(READY) ## write requirements/*.lock anew; newer versions with ARGS=--upgrade
	$(COMPILE) --output-file requirements/sidecar.lock requirements/sidecar.in
	$(COMPILE) --output-file requirements/operator.lock requirements/operator.in
	$(COMPILE) --output-file requirements/dev.lock requirements/dev.in
	$(COMPILE) --output-file requirements/datastore.lock requirements/datastore.in

.PHONY: clean
clean: ## remove the virtual environments and what the tools left
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	rm -rf .coverage htmlcov e2e-results
	rm -rf sidecar/build sidecar/*.egg-info
	find $(CODE) -name __pycache__ -prune -exec rm -rf {} +
	find $(CODE) -name '*.so' -delete

# Made from nothing whenever one of these changes: what is no longer named is gone, too.
$(PACKAGES): requirements/dev.lock $(DISTRIBUTIONS:=/pyproject.toml)
	@$(or $(PYTHON),false) $(IS_NEW_ENOUGH) || { \
		echo "Moorline needs Python 3.11 or newer: $(or $(PYTHON),python3) is not, or does not run." \
			"On Debian and Ubuntu: apt install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments." \
			"On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version): pinned packages, a minute or two"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@

# What does not compile any more must not stay behind as it last did.
$(READY): $(PACKAGES) $(COMPILED)
	@rm -f sidecar/moorline_sidecar/hot/*$$($(BIN)/python -c \
		'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps \
		$(foreach folder,$(DISTRIBUTIONS),--editable $(folder))
	@$(BIN)/python -c 'from moorline_sidecar.hot import IS_COMPILED as it; raise SystemExit(not it)' \
		|| echo "nothing is compiled: hits are answered by Python. On Debian and Ubuntu:" \
			"apt install gcc libc6-dev python3-dev, then rm $@" >&2
	@touch $@

$(SIDECAR_READY): requirements/sidecar.lock $(READY)
	@echo "making $(SIDECAR_VENV): what the image of the sidecar has, half a minute"
	@$(PYTHON) -m venv --clear $(SIDECAR_VENV)
	@$(SIDECAR_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements/sidecar.lock
	@cp -r $(VENV)/lib/python3.*/site-packages/*moorline_{api,sidecar}* \
		$(SIDECAR_VENV)/lib/python3.*/site-packages/
	@touch $@
