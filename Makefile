# Each target sets up what it needs from a bare clone: git, make and Python >= 3.11 are enough.
# PYTHON=... names the interpreter to build the virtual environment with; ARGS=... is passed on to
# pytest (make test), the benchmarks (make bench).

SHELL := /bin/sh
PYTHON ?=
VENV ?= .venv
ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_ROOT_USER_ACTION = ignore

# Hundreds of processes that each compile the package anew would be what is tested and timed.
unexport PYTHONDONTWRITEBYTECODE

PIP := $(VENV)/bin/python -m pip install -q --no-input
APT := DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=60
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
# Optional tools: the tests that need one are skipped where it is missing.
SYSTEM_TOOLS := strace busybox dash zsh fish chromium postgresql pgbouncer parallel

# The targets share one virtual environment, and two installations into it at once break it: one
# after the other within a make, and under a lock (where flock exists) among several.
.NOTPARALLEL:
LOCKED := $(shell command -v flock >/dev/null 2>&1 && echo flock pyproject.toml)

.DELETE_ON_ERROR:
.PHONY: help demo test bench screenshot reference site lint clean
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile

demo: $(VENV)/.runtime ## the main job, shown step by step on a clone of this repository
	@PATH="$(abspath $(VENV))/bin:$$PATH" sh demo/demo.sh

# Two processes more than cores: tests wait for disks and for others. At the end a process that has no
# tests left takes some of another's.
test: $(VENV)/.development ## the whole test suite (ARGS='-k name' for a part)
	@sh tools/system_tools.sh "make test" $(SYSTEM_TOOLS)
	@$(VENV)/bin/python tests/real_prodigy/build.py
	@cores=$$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1); \
	$(VENV)/bin/python -m pytest -n "$$((cores + 2))" --dist worksteal --durations=15 $(ARGS)

# ARGS goes to the first alone: the others' rounds are seconds long, not milliseconds. Each is run, also
# where what one before it timed was wrong.
bench: $(VENV)/.development ## the speed tables (ARGS='--rounds 200' for a finer commit latency)
	@sh tools/system_tools.sh "make bench" postgresql
	@status=0; \
	$(VENV)/bin/python -m bench.commit_latency $(ARGS) || status=1; \
	for name in recorder hook_parts flat_cost rebase many_worktrees copying cleaning evidence overview starts statusline agent_hook read_events \
	        events follow jobs run_parallel conflicts report otel_push agent_end program_worktrees hub; do \
	    echo; $(VENV)/bin/python -m "bench.$$name" || status=1; \
	done; \
	exit "$$status"

screenshot: $(VENV)/.development ## the picture in docs/reference/report.md, made anew (needs chromium)
	@$(VENV)/bin/python docs/make_screenshot.py

reference: $(VENV)/.development ## docs/reference/commands/, made anew from what --help prints
	@$(VENV)/bin/python docs/make_reference.py

# mkdocs-material has no other way to keep its notice on mkdocs 2 off each build.
site: $(VENV)/.development ## docs/ as a site, in site/: mkdocs, strict on links and anchors
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

lint: $(VENV)/.development site ## ruff (rules and format), mypy --strict and docs/ as a site
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

clean: ## remove what these targets made
	rm -rf $(VENV) build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.runtime: pyproject.toml | $(VENV)/.python
	@echo "make: installing prodigy-git into $(VENV)"
	@$(LOCKED) $(PIP) -e .
	@touch $@

$(VENV)/.development: pyproject.toml | $(VENV)/.python
	@echo "make: installing prodigy-git and its test and lint tools into $(VENV)"
	@$(LOCKED) $(PIP) -e '.[test,lint,docs]'
	@touch $(VENV)/.runtime $@

# Candidates are run, not only looked up: a pyenv shim exists for versions that are not chosen, and
# Debian ships an interpreter whose venv module cannot install pip (ensurepip is a package of its
# own). The stamp is made last, because venv puts bin/python in place before pip works: an
# interrupted run must not look like a finished one.
$(VENV)/.python:
	@found=; bare=; \
	for candidate in $(CANDIDATES); do \
	    "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	        || continue; \
	    if "$$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then \
	        found=$$candidate; break; \
	    fi; \
	    bare=$${bare:-$$candidate}; \
	done; \
	if [ -z "$$found" ] && [ -n "$$bare" ] && [ "$$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then \
	    { $(APT) update; $(APT) install -y --no-install-recommends python3-venv; } \
	        </dev/null >/dev/null 2>&1 || :; \
	    if "$$bare" -c 'import venv, ensurepip' >/dev/null 2>&1; then found=$$bare; fi; \
	fi; \
	if [ -z "$$found" ] && [ -n "$$bare" ]; then \
	    echo "make: $$bare has no working venv module" \
	        "(Debian and Ubuntu: apt-get install python3-venv)" >&2; \
	    exit 1; \
	elif [ -z "$$found" ]; then \
	    echo "make: no Python 3.11 or newer among: $(CANDIDATES);" \
	        "name one with make PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	fi; \
	$(LOCKED) sh -c '[ -e "$$0/.python" ] \
	    || { rm -rf "$$0" && "$$1" -m venv "$$0" && touch "$$0/.python"; }' "$(VENV)" "$$found"
