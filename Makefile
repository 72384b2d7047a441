# What is done with a checkout. Needs Python >= 3.11 and nothing else; `make PYTHON=/path/to/python TARGET` names one.
# Written for GNU make 3.81 (macOS) and later.
PYTHON ?= python3
ARGS ?=
RUN := .venv/bin/python
DEV := .venv-dev/bin/python
COMPILE := uv pip compile pyproject.toml --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-strip-extras \
	--python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help serve test test-deep lint types fmt lock bench bench-peers performance load runtime development

# $(call environment,FOLDER,LOCK): a virtual environment of exactly what the lock holds. The stamp is a copy of the lock,
# written last: an environment whose making failed, or which came from another lock, is made anew. Any working Python
# in it will do, unless PYTHON was given. The package is used from the checkout, nothing has to be built: a path file and
# a script of two lines stand for an editable installation. Its bytecode is written here, as pip does for the others:
# where PYTHONDONTWRITEBYTECODE is set each start would compile the package anew, a tenth of a second.
define environment
@set -e; \
	version() { "$$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || :; }; \
	have=$$(version $(1)/bin/python); \
	want=$(if $(filter file,$(origin PYTHON)),$$have,$$(version "$(PYTHON)")); \
	if [ -n "$$have" ] && [ "$$have" = "$$want" ] && cmp -s $(2) $(1)/installed.lock; then exit 0; fi; \
	stop() { echo "make: $$1" >&2; exit 1; }; \
	want=$$(version "$(PYTHON)"); \
	[ -n "$$want" ] || stop "$(PYTHON) does not run; install Python >= 3.11 (Debian: apt install python3-venv) or name one: make PYTHON=... serve"; \
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		stop "$(PYTHON) is Python $$want, 3.11 or newer is needed; name another: make PYTHON=python3.12 serve"; \
	"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
		stop "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python$$want-venv"; \
	echo "making $(1) from $(2) with Python $$want ..."; \
	"$(PYTHON)" -m venv --clear $(1); \
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(2); \
	pwd >"$$($(1)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ouija_es.pth"; \
	printf '#!/bin/sh\nexec "$$(dirname "$$0")/python" -m ouija_es "$$@"\n' >$(1)/bin/ouija-es; \
	chmod +x $(1)/bin/ouija-es; \
	$(1)/bin/python -m compileall -qq ouija_es seeds || :; \
	cp $(2) $(1)/installed.lock
endef

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

serve: runtime ## set up what is missing, then serve on http://127.0.0.1:3000 (PORT=... another)
	@exec $(RUN) -m ouija_es serve

test: development ## every test a user's machine can run; ARGS="-k health" picks some
	@$(DEV) -m pytest -m "not deep" $(ARGS)

test-deep: development ## the long tests, and those against real servers
	@$(DEV) -m pytest -m deep $(ARGS)

lint: development ## ruff: rules and format
	@$(DEV) -m ruff check .
	@$(DEV) -m ruff format --check .

types: development ## mypy, strict
	@$(DEV) -m mypy

fmt: development ## format the code and fix what ruff can fix
	@$(DEV) -m ruff check --fix-only .
	@$(DEV) -m ruff format .

# Versions stay as they are where pyproject.toml allows it. The development lock is the runtime's and more.
lock: development ## write requirements*.lock from pyproject.toml; UPGRADE=1 takes the newest versions
	@$(DEV) -m $(COMPILE) $(if $(UPGRADE),--upgrade) --output-file requirements.lock
	@$(DEV) -m $(COMPILE) $(if $(UPGRADE),--upgrade) --constraint requirements.lock --group dev \
		--output-file requirements-dev.lock

bench: development runtime ## every benchmark in turn, some 8 minutes; FULL=1 longer and with a million events
	@set -- loadtests/bench_*.py; [ -e "$$1" ] || { echo "make: there is no loadtests/bench_*.py" >&2; exit 1; }; \
	failed=; \
	for file; do \
		name=$$(basename "$$file" .py); echo "== $$name"; \
		FULL=$(FULL) $(DEV) -m "loadtests.$$name" || failed="$$failed $$name"; \
	done; \
	[ -z "$$failed" ] || { echo "make: failed:$$failed" >&2; exit 1; }

bench-peers: development runtime ## beside other gateways, those that scripts/install-gateways.sh brought
	@FULL=$(FULL) $(DEV) -m loadtests.peers

performance: development runtime ## measure everything and write it into docs/performance.md
	-@$(MAKE) --no-print-directory bench
	-@$(MAKE) --no-print-directory bench-peers
	@$(DEV) -m loadtests.report

# HOST counts only if it is an address: some shells export a variable of that name.
load: development ## visitors and gates: SCENARIO=smoke, steady, spike, soak or faults; HOST=https://... a deployment
	@exec $(DEV) -m loadtests.load --scenario $(or $(SCENARIO),smoke) \
		$(if $(or $(filter http://% https://%,$(HOST)),$(findstring command,$(origin HOST))),--host $(HOST)) $(ARGS)

runtime:
	$(call environment,.venv,requirements.lock)

development:
	$(call environment,.venv-dev,requirements-dev.lock)
