# What relkit needs to be run, tested and changed. `make` alone lists the targets.
#
#   make rehearse VERSION=3.15.0a1 REPO=../cpython     make lab LAB=--no-browser
#   make env PYTHON=/usr/local/bin/python3.13          make test TESTS=tests/test_release.py

VERSION = 3.15.0a1
REPO =
TESTS =
LAB =
JOBS = 2
EACH = place
SNAPSHOTS = build/crash-matrix
FAULTS = $(CURDIR)/build/faults
UV ?= uv

VENV = .venv
PREFIX = $(VENV)

# The first interpreter that is new enough and complete (Debian splits venv off, macOS ships 3.9).
FIT = import ensurepip, lzma, sqlite3, ssl, sys, venv, zlib; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for it in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$it -c '$(FIT)' 2> /dev/null && echo $$it && break; done)

BIN := $(VENV)/bin
# The real blurb, in the versions that trees need.
BLURBS := blurb-1.1.0 blurb-2.3.0
PIP := -m pip --disable-pip-version-check --no-input --quiet install
LOCKED := $(PIP) --require-hashes --only-binary :all:

# Settings of the caller's shell that would let foreign modules in.
unexport PYTHONHOME PYTHONPATH PYTHONSTARTUP PYTHONUSERBASE PIP_TARGET PIP_USER PIP_PREFIX

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help rehearse lab test test-slow crash-matrix fault-table tamper-matrix bench lint env blurb lock clean env-test tools browser

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1	\2/p' Makefile | expand -t 12

rehearse: env ## Rehearse a whole release in a local world: VERSION=3.15.0a1, REPO=… (a CPython clone)
	$(BIN)/relkit rehearse '$(VERSION)' $(if $(REPO),--repo '$(REPO)')

lab: env ## Open the notebooks in JupyterLab, on this machine only
	@echo "If no browser opens, see the address with: $(BIN)/jupyter server list"
	JUPYTER_CONFIG_PATH=jupyter $(BIN)/jupyter lab $(LAB)

test: env-test browser ## Run the tests but for the slow ones
	$(BIN)/python -m pytest -n $(JOBS) $(TESTS)

test-slow: env-test browser ## Run the slow tests: whole rehearsals, kills, a real browser
	$(BIN)/python -m pytest -n $(JOBS) -m slow $(TESTS)

# EACH is type, place or action; SNAPSHOTS is kept, and the next run goes on there.
crash-matrix: env-test ## Crash rehearsals at hundreds of points; write docs/crash-matrix.md: EACH=place
	$(BIN)/python tests/crash_matrix.py --each $(EACH) --table docs/crash-matrix.md $(SNAPSHOTS)

fault-table: env-test ## Run the tests of faults, fast and slow; write docs/faults.md
	rm -rf $(FAULTS)
	RELKIT_NO_SKIP=1 RELKIT_FAULTS=$(FAULTS) $(BIN)/python -m pytest -n $(JOBS) \
		-m "slow or not slow" tests/test_faults_*.py
	$(BIN)/python tests/fault_table.py $(FAULTS) docs/faults.md

tamper-matrix: env-test ## Tamper with sealed records in thousands of ways; all must be refused
	RELKIT_MATRIX=1 $(BIN)/python -m pytest -m slow -s tests/test_tamper.py

bench: env ## Measure the engine's own cost
	for it in benchmarks/*.py; do $(BIN)/python "$$it" || exit; done

lint: env-test ## Check style, types and that the notebooks are as rendered
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy relkit tests benchmarks
	$(BIN)/relkit render --check

env: $(VENV)/.project ## Make the environment in .venv, with the relkit command

blurb: ## Install only blurb, into an environment of yours: PREFIX=$CONDA_PREFIX
	for it in $(BLURBS); do $(PREFIX)/bin/python $(LOCKED) --upgrade \
		--target $(PREFIX)/share/relkit/$$it -r requirements/$$it.txt || exit; done

lock: ## Write requirements/ anew, with versions at least a week old (needs uv)
	UV="$(UV)" sh requirements/lock.sh $(BLURBS)

clean: ## Remove the environment and what tools left; records/ stays
	rm -rf $(VENV) build relkit.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find relkit tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# --- how the environment is made --------------------------------------------------------------

env-test: env $(VENV)/.tests $(VENV)/.buildbot build/node/stamp

# Cleared first: what the lock does not name must not stay.
$(VENV)/.packages: requirements/lock.txt $(BLURBS:%=requirements/%.txt) | tools
	@echo "Making $(VENV) with $$($(PYTHON) --version); this takes a minute or two."
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python $(LOCKED) -r requirements/lock.txt
	$(MAKE) --no-print-directory blurb
	@touch $@

$(VENV)/.project: pyproject.toml $(VENV)/.packages | tools
	$(BIN)/python $(PIP) --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.tests: requirements/dev.txt $(VENV)/.packages
	$(BIN)/python $(LOCKED) -r requirements/lock.txt -r requirements/dev.txt
	@touch $@

# A real Buildbot for the tests, apart from all else: it brings Twisted along.
$(VENV)/.buildbot: requirements/buildbot.txt $(VENV)/.tests
	$(PYTHON) -m venv --clear $(VENV)/share/buildbot
	$(VENV)/share/buildbot/bin/python $(LOCKED) -r requirements/buildbot.txt
	@touch $@

# Prism and the description of GitHub's interface; without npm those tests are skipped.
build/node/stamp: tests/services/contracts.py tests/services/package-lock.json \
		tests/services/github_paths.txt | $(VENV)/.tests
	@if command -v npm > /dev/null; then $(BIN)/python tests/services/contracts.py build/node; \
	else echo "No npm: the tests against GitHub's description are skipped." \
		"Debian: apt-get install npm." >&2; fi

tools:
	@missing=0; \
	need() { command -v $$1 > /dev/null && return; missing=1; \
		echo "Missing: $$1. Debian: apt-get install $$2. macOS: $$3." >&2; }; \
	if [ -z "$(PYTHON)" ] || ! $(PYTHON) -c '$(FIT)' 2> /dev/null; then missing=1; \
		echo "Missing: Python 3.11 or newer with venv, lzma, sqlite3 and ssl. Debian:" \
			"apt-get install python3 python3-venv. macOS: brew install python@3.13." \
			"Elsewhere: make PYTHON=/path/to/python3.13." >&2; fi; \
	need git git "brew install git"; \
	need gpg gnupg "brew install gnupg"; \
	need ssh-keygen openssh-client "brew install openssh"; \
	need gzip gzip "brew install gzip"; \
	need make make "xcode-select --install"; \
	need cc "gcc libc6-dev" "xcode-select --install"; \
	exit $$missing

# What the tests start on this machine; without it they are skipped, and say why.
browser:
	@see() { test -n "$$(PATH="$$PATH:/usr/sbin" command -v $$1)" || \
		echo "No $$1: tests are skipped. Debian: apt-get install $$2." >&2; }; \
	see chromium chromium; see sshd openssh-server; see nginx nginx-light; \
	see varnishd "varnish varnish-modules"
