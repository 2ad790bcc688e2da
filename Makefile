# Everything starts here: `make run` starts Ab Ovo, `make test` checks it. Both prepare .venv/ first.
.DEFAULT_GOAL := help
# Without its bytecode cache every start of Python would take twice as long.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
# Who names a Python wants that one; otherwise any .venv/ that works is kept.
INSTALL = $(PYTHON) -I webapp/lib/install.py $(if $(filter file,$(origin PYTHON)),,--this-python)
VENV := .venv/bin
PYTEST := $(VENV)/python -m pytest

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

python:
	@command -v $(PYTHON) >/dev/null || { echo "Ab Ovo needs Python 3.11 or later: no $(PYTHON) found on this machine" >&2; exit 2; }

install: python ## prepare .venv/ with what running needs
	@$(INSTALL)

install-dev: python ## prepare .venv/ with what testing needs too
	@$(INSTALL) --dev

run: install ## start database, web, worker and scheduler; Ctrl-C stops them
	@$(VENV)/python -m webapp.lib.launcher

test: install-dev ## lint, then all tests on the embedded set-up and on the servers
	@$(VENV)/python -m tests.everything

test-engine: install-dev ## the engine's tests
	@$(PYTEST) tests/engine

test-web: install-dev ## the web application's tests, on the embedded set-up
	@$(PYTEST) tests/webapp

test-bounds: install-dev ## long: the engine's tests, with every index of compiled code checked
	@NUMBA_BOUNDSCHECK=1 ABOVO_NUMBA_CACHE=$(CURDIR)/var/numba-checked $(PYTEST) tests/engine

fuzz-engine: install-dev ## machine code of 200,000 programs against the interpreter, 100,000 odd files, the ancestry of two million programs
	@$(PYTEST) tests/engine -m fuzz
fuzz-api: install-dev ## send the API 10,000 and more random requests
	@$(PYTEST) tests/webapp/test_api_schema.py -m fuzz
fuzz-pages: install-dev ## send pages, uploads, notes, specifications, webhooks 10,000 random ones each
	@$(PYTEST) tests/webapp/test_fuzz_pages.py -m fuzz
load: install-dev ## fifty readers and two searches over 100,000 algorithms; takes ten minutes
	@$(VENV)/python -m tests.load

islands: install-dev ## a search of 200 islands, and whether everything of it is stored; takes some minutes
	@$(VENV)/python -m tests.islands

storing: install-dev ## the same search as a job that stores everything and by the engine alone; takes minutes
	@$(VENV)/python -m tests.storing

pictures: install-dev ## take the pictures in docs/images/ anew; takes some minutes
	@$(VENV)/python -m tests.pictures

test-faults: install-dev ## kill, freeze, stop and fill up what runs, many times; takes half an hour
	@$(PYTEST) tests/faults -m faults

lint: install-dev ## ruff, mypy and the import rules
	@$(VENV)/ruff check . && $(VENV)/ruff format --check . && $(VENV)/mypy && $(VENV)/lint-imports

format: install-dev ## format the Python code
	@$(VENV)/ruff check --fix . && $(VENV)/ruff format .

messages: install-dev ## bring the catalogues under locale/ up to date (needs gettext's tools)
	@$(VENV)/python manage.py engine_texts > var/engine_texts.py && mv var/engine_texts.py webapp/experiments/engine_texts.py
	@$(VENV)/python manage.py makemessages -l ko --no-location --no-wrap --no-obsolete --ignore=.venv --ignore=tests --ignore=var

bench: install ## measure the engine
	@$(VENV)/python -m engine bench

lock: python ## pin the dependencies of pyproject.toml anew
	@$(INSTALL) --lock

clean: ## remove .venv/ and caches (never var/)
	@rm -rf .venv .venv.lock .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
	@find engine webapp tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help python install install-dev run pictures test test-engine test-web test-faults test-bounds fuzz-api fuzz-engine fuzz-pages load storing lint format messages bench lock clean
