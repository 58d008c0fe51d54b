# Everything that a machine needs is set up here: Python 3.11 with venv, pip and the package index are enough.
SHELL := /bin/bash
PYTHON ?= python3
PY := .venv/bin/python
ARGS ?=
N ?= 1000
JOBS ?= 2
PACKAGES := packages/core packages/client packages/gateway packages/emulator
PIP := $(PY) -m pip --disable-pip-version-check --quiet --no-input
SOURCES := packages/core/src packages/client/src packages/gateway/src packages/emulator/src demo tests bench odoo
INSTALL = $(PIP) install --no-deps --no-build-isolation $(foreach p,$(PACKAGES),-e $(p))

.PHONY: help setup setup-dev system demo serve check format test test-fast test-odoo bench bench-odoo crash screenshots lock clean

help:  ## what one can do here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Mailroom needs Python 3.11 or newer; name one with make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv .venv || { echo "python3 -m venv failed: on Debian and Ubuntu, install the package python3-venv"; rm -rf .venv; exit 1; }

.venv/.run: .venv/bin/python requirements/run.lock $(PACKAGES:=/pyproject.toml)
	@echo "Setting up .venv (once) ..."
	@$(PIP) install --require-hashes -r requirements/run.lock
	@$(INSTALL)
	@touch $@

.venv/.dev: .venv/.run requirements/dev.lock
	@echo "Setting up the tools for checks and tests (once) ..."
	@$(PIP) install --require-hashes -r requirements/dev.lock
	@touch $@

setup: .venv/.run  ## make .venv with what Mailroom needs

setup-dev: .venv/.dev  ## the same, with the tools for checks and tests

system:
	@bash tests/system-packages.sh

demo: .venv/.run  ## the main job without any account; ARGS=--once ends by itself
	@$(PY) -m demo $(ARGS)

serve: .venv/.run  ## start the gateway
	@.venv/bin/mailroom serve $(ARGS)

check: .venv/.dev  ## ruff, mypy --strict, import-linter
	@.venv/bin/ruff check $(SOURCES)
	@.venv/bin/ruff format --check $(SOURCES)
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

format: .venv/.dev
	@.venv/bin/ruff check --fix $(SOURCES)
	@.venv/bin/ruff format $(SOURCES)

test: .venv/.dev system  ## all tests; the core is covered whole, every branch
	@.venv/bin/pytest -n $(JOBS) --dist loadfile tests/unit --cov=mailroom_core --cov-branch --cov-fail-under=100 --cov-report=term-missing:skip-covered $(ARGS)
	@.venv/bin/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --ignore=tests/unit $(ARGS)

test-fast: .venv/.dev  ## without the tests that start processes
	@.venv/bin/pytest -n $(JOBS) --dist loadfile tests/unit $(ARGS)

test-odoo: .venv/.dev  ## the add-on in a real Odoo: ODOO=/path/to/odoo
	@$(PY) -m tests.odoo "$(ODOO)" $(ARGS)

bench: .venv/.dev system  ## measure; prints a table, writes bench/results.json
	@$(PY) -m bench $(ARGS)

bench-odoo: .venv/.dev system  ## the add-on beside Odoo's own SMTP and IMAP: ODOO=/path/to/odoo
	@$(PY) -m bench.odoo "$(ODOO)" $(ARGS)

crash: .venv/.dev  ## kill -9 the gateway N times under load
	@$(PY) -m tests.crash $(N)

screenshots: .venv/.dev system  ## the README's pictures of the console, into docs/
	@$(PY) -m tests.browser.screenshots

lock: .venv/.dev  ## resolve the requirements again
	@cd requirements && for n in run dev; do \
		env -u PIP_FIND_LINKS -u UV_FIND_LINKS ../.venv/bin/uv pip compile --universal --upgrade --python-version 3.11 --generate-hashes \
		  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' --quiet --output-file $$n.lock $$n.in || exit 1; done

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
