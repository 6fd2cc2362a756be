PYTHON ?= python3
BIN := .venv/bin
BUILDER := .venv/.builder
STAMP := .venv/.installed
RUNTIME := .venv/.runtime

# Tests start many processes: without these files each compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE

# Core, plugins, bundle: the order in which they depend on each other.
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
DISTRIBUTIONS := . $(PLUGINS) bundle
PROJECTS := pyproject.toml $(addsuffix /pyproject.toml,$(PLUGINS) bundle)
EDITABLE := $(addprefix -e ./,$(PLUGINS) bundle)
RECENT := 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11 ...")'
PIP := -m pip --disable-pip-version-check
# What is imported is compiled then, a fraction of what pip would compile. One hatchling builds all
# of ours: with an environment of its own for each, that would be half of the installation.
INSTALL := $(BIN)/python $(PIP) install --quiet --no-compile --no-build-isolation -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help dev demo services test test-all check format docs wheels test-wheels bench conformance drill soak fuzz mutants constraints clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(firstword $(MAKEFILE_LIST)) | \
	  while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

dev: $(STAMP)  ## make .venv with everything installed for development

$(STAMP): $(PROJECTS) constraints.txt | $(BUILDER)
	@echo 'installing wsgw and its tools for development into .venv: about a minute'
	@$(INSTALL) -e '.[dev]' $(EDITABLE)
	@touch $@ $(RUNTIME)

# What the demo needs: a fifth of the above.
$(RUNTIME): $(PROJECTS) constraints.txt | $(BUILDER)
	@echo 'installing wsgw into .venv'
	@$(INSTALL) -e . $(EDITABLE)
	@touch $@

# What builds wheels and editable installs; and a pip that reads an index in a third of the time of
# the one that comes with Python 3.11.
$(BUILDER): constraints.txt | .venv/bin/python
	@$(INSTALL) pip==26.3 hatchling editables
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c $(RECENT)
	@$(PYTHON) -m venv .venv

demo: $(RUNTIME)  ## run the gateway with two backends on this machine
	$(BIN)/wsgw demo

PARALLEL := -n auto --dist worksteal

# Commands that tests start, and the packages of Debian that have them.
SERVICES := promtool:prometheus rabbitmq-server:rabbitmq-server nats-server:nats-server

services:  ## install what tests start, as root on Debian: promtool, RabbitMQ, NATS
	@for pair in $(SERVICES); do PATH="$$PATH:/usr/sbin" command -v $${pair%%:*} >/dev/null \
	  || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	    && apt-get install -y -q --no-install-recommends $${pair#*:} >/dev/null; } \
	  || echo "$${pair%%:*} is missing"; done

test: dev services  ## run the tests but the slow ones, each on one event loop; ARGS: for pytest, which runs one at a time
	$(BIN)/pytest $(or $(ARGS),-m 'not slow and not other_loop' $(PARALLEL))

test-all: dev services  ## run all tests, on both event loops: also drills, brokers that restart, examples of the documentation
	$(BIN)/pytest $(PARALLEL)

check: dev  ## lint, format, types and layers, without changing a file
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --num-workers auto
	$(BIN)/lint-imports
	$(BIN)/python tools/check_reasons.py
	$(BIN)/python tools/excused_mutants.py

format: dev  ## apply the formatter and the safe fixes
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

docs: dev  ## make the site of the documentation in build/docs; a broken link or unlisted page fails
	$(BIN)/python -m sphinx -q -W --keep-going -E docs build/docs $(ARGS)

wheels: $(BUILDER)  ## build the wheel and the sdist of every distribution into dist/
	rm -rf dist
	set -e; for folder in $(DISTRIBUTIONS); do \
	  (cd $$folder && $(CURDIR)/$(BIN)/python -m hatchling build -d $(CURDIR)/dist -t sdist -t wheel); \
	done

test-wheels: wheels  ## run the tests against the built wheels in a fresh environment
	$(PYTHON) tools/test_wheels.py

conformance: dev  ## run all of Autobahn's cases on both legs; ARGS: groups of them
	$(BIN)/python -m tests.conformance.all_cases $(ARGS)

drill: dev  ## break backends and clients in every way under full load; ARGS are for wsgw drill
	$(BIN)/wsgw drill --way all --json build/drill.json $(ARGS)

soak: dev  ## the same for 30 minutes: does the gateway grow? ARGS are for tests/chaos/soak.py
	$(BIN)/python -m tests.chaos.soak --json build/soak.json $(ARGS)

fuzz: dev  ## fuzz the reading of what peers send; ARGS: a target and libFuzzer's options
	$(INSTALL) 'wsgw-core[fuzz]'
	$(BIN)/python -m tests.fuzz.fuzz $(ARGS)

mutants: dev  ## change the code in small ways: do the tests notice? ARGS are for tools/mutants.py
	$(INSTALL) 'wsgw-core[mutants]'
	$(BIN)/python tools/mutants.py $(ARGS)

bench: dev  ## measure the gateway beside others; ARGS are for benchmarks/compare.py
	$(BIN)/python benchmarks/compare.py $(ARGS) -- $(BIN)/wsgw

constraints:  ## resolve all dependencies anew into constraints.txt
	rm -rf build/constraints
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/python $(PIP) install --quiet -e '.[dev,mutants]' $(EDITABLE)
	sed -n '/^#/p' constraints.txt > build/constraints/new.txt
	build/constraints/bin/python $(PIP) freeze --exclude-editable >> build/constraints/new.txt
	mv build/constraints/new.txt constraints.txt

clean:  ## remove what was built, .venv included
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
