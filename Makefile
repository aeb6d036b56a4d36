# Every target makes what it needs and may be run twice. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# Tests start hundreds of processes, and where this is set each compiles our modules anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-from-pyproject
SEEDS ?= 500
RUNTIME ?= docker
UP = --runtime $(RUNTIME) --instances 3 --zones 3
ARGS ?=
WHEELS := samples/rabbitmq/wheels
SAMPLE := miniecs-samples/rabbitmq:latest

# A step that has nothing to say when it succeeds, and everything when it fails: $(call quietly,what,command)
quietly = out=$$($(2) 2>&1) || { printf '%s\n\nmake $@: %s failed (%s)\n' "$$out" "$(1)" "$(2)" >&2; exit 1; }

.PHONY: run
run: $(STAMP)  ## a Docker engine, a cluster in the background, the sample service behind a load balancer (ARGS="--port 4600" for `miniecs up`; RUNTIME=simulated without Docker)
	@[ $(RUNTIME) = simulated ] || $(BIN)/miniecs engine start --quiet
	@[ $(RUNTIME) = simulated ] || $(BIN)/miniecs images --quiet || echo 'make run: going on without the images above' >&2
	@$(BIN)/miniecs up --detach $(if $(filter simulated,$(RUNTIME)),,--quiet) $(UP) $(ARGS)
	@[ $(RUNTIME) = simulated ] || { export PATH="$(CURDIR)/$(BIN):$$PATH"; eval "$$(miniecs env)"; \
	  samples/simple-app/service.sh || echo 'make run: going on without the sample service' >&2; }

.PHONY: stop
stop: $(STAMP)  ## stop the cluster that `make run` started and remove its containers; its data stays
	@$(BIN)/miniecs down

.PHONY: test
test: $(STAMP)  ## every test, the slow ones too (ARGS="tests/wire -k json" picks some)
	@$(BIN)/python -m pytest -n auto --dist loadgroup -q $(ARGS)

.PHONY: check
check: lint  ## before each commit: lint, clock ban, types, import rules, fast tests; some two minutes
	@$(BIN)/python -m pytest -n auto --dist loadgroup -q -m "not slow and not docker"

.PHONY: lint
lint: $(STAMP)  ## of `make check` what is no test: lint, clock ban, types, import rules
	@$(call quietly,lint,$(BIN)/ruff check)
	@$(call quietly,types,$(BIN)/mypy)
	@$(call quietly,import rules,$(BIN)/lint-imports)

.PHONY: mutants
mutants: $(STAMP)  ## faults planted in the scheduler, and whether its tests notice all but those listed; 14 minutes of CPU time (ARGS="place.py --write" for one file)
	@PYTHONHASHSEED=0 nice $(BIN)/python -m tests.scheduler.mutants $(ARGS)

.PHONY: sim
sim: $(STAMP)  ## SEEDS=500 seeds of whole simulated clusters with faults, requests through a load balancer, releases, task sets
	@$(BIN)/python -m miniecs.sim --seeds $(SEEDS) $(ARGS)

.PHONY: bench
bench: $(STAMP)  ## all benchmarks, or one: B=api
	@shopt -s nullglob; all=(bench/[!_]*.py); wanted=("$${all[@]}"); \
	[ -z "$(B)" ] || wanted=("bench/$(B).py"); \
	if [ $${#wanted[@]} = 0 ] || [ ! -f "$${wanted[0]}" ]; then \
	  echo "make bench: no benchmark $(or $(B),was found); there are: $${all[*]:-none}" >&2; exit 1; fi; \
	for file in "$${wanted[@]}"; do $(BIN)/python "$$file" $(ARGS); done

.PHONY: docs
docs: $(STAMP)  ## bring the README's coverage table up to date with the code
	@$(BIN)/python -m miniecs_api.coverage --write

.PHONY: lessons
lessons: $(STAMP)  ## play every page of docs/lessons, and draw its pictures anew
	@$(BIN)/python tests/lessons/pages.py

.PHONY: samples
samples: $(STAMP)  ## provide the images of samples/, and build those that are ours (see docs/walkthrough.md)
	@$(BIN)/miniecs images
	@ls $(WHEELS)/pika-*.whl >/dev/null 2>&1 || { $(call quietly,fetching pika,$(BIN)/python -m pip download -q \
	  --disable-pip-version-check --no-deps --only-binary=:all: -c constraints.txt -d $(WHEELS) pika); }
	@$(call quietly,building samples/rabbitmq,docker build -q -t $(SAMPLE) samples/rabbitmq)
	@echo "$(SAMPLE): built from samples/rabbitmq"

.PHONY: clean
clean:  ## remove the virtual environment, caches and build output (`make stop` first)
	@rm -rf $(VENV) .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

.PHONY: help
help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## +/\1\t/' | \
	  while IFS=$$'\t' read -r name what; do printf '  make %-7s %s\n' "$$name" "$$what"; done

.PHONY: venv
venv: $(STAMP)  ## the virtual environment in .venv, with all that tests and checks need
	@:

# The stamp is touched last: an install that was cut short is taken up again by the next make.
$(STAMP): pyproject.toml constraints.txt
	@[ -x $(BIN)/python ] && $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  python=; lame=; \
	  for candidate in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3; do \
	    "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    if "$$candidate" -c 'import venv, ensurepip' 2>/dev/null; then python=$$candidate; break; fi; \
	    lame=$${lame:-$$candidate}; \
	  done; \
	  if [ -z "$$python" ] && [ -n "$$lame" ]; then \
	    version=$$("$$lame" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	    echo "make: $$lame cannot make virtual environments (no ensurepip)." >&2; \
	    echo "      On Debian and Ubuntu: apt-get install python$$version-venv" >&2; exit 1; fi; \
	  if [ -z "$$python" ]; then \
	    echo "make: miniecs needs Python 3.11 or newer, and none was found; make PYTHON=/path/to/python uses yours." >&2; exit 1; fi; \
	  echo "Making the virtual environment in $(VENV) with $$("$$python" --version); this takes a minute."; \
	  "$$python" -m venv --clear $(VENV); }
	@$(call quietly,installing,$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .[test$(comma)dev])
	@touch $@
comma := ,
