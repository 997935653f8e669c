# Every target does its own set-up: a .venv in this folder, from the lock. Needs Python 3.11 to 3.14, pip and make.

VENV := .venv
BIN := $(VENV)/bin
# How many test processes; each starts a database server of its own.
PROCESSES ?= 2
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null && echo "$$p" && break; done)
RESOLVE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --all-extras pyproject.toml
COMPILE := $(RESOLVE) --group dev
# What runs without the tools of development, with the same pins: for the container.
RUN_LOCK := $(RESOLVE) --constraint requirements.lock --generate-hashes
PINS := sed -nE 's/^([a-zA-Z0-9._-]+(\[[^]]*\])?==[^ ]+( ;.*[^\\ ])?).*/\1/p'

.PHONY: setup demo test lint types imports lock lock-check check ops bench chaos clean

setup: $(VENV)/installed

$(VENV)/installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "maitred needs Python 3.11, 3.12, 3.13 or 3.14; none was found" >&2; exit 1; }
	@rm -f $@
	@if command -v uv >/dev/null 2>&1; then \
		echo "Setting up $(VENV) with uv"; \
		test -x $(BIN)/python || uv venv --quiet --python "$(PYTHON)" $(VENV); \
		uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock && \
		uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable . ; \
	else \
		echo "Setting up $(VENV) with pip (about a minute)"; \
		test -x $(BIN)/pip || "$(PYTHON)" -m venv $(VENV) || \
			{ echo "on Debian and Ubuntu, install the package python3-venv" >&2; rm -rf $(VENV); exit 1; }; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable . ; \
	fi
	@touch $@

demo: setup
	@$(BIN)/maitred demo $(ARGS)

test: setup
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile $(ARGS)

lint: setup
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

# Moves every pin to the newest release that fits.
lock: setup
	$(COMPILE) --upgrade --generate-hashes --output-file requirements.lock
	$(RUN_LOCK) --output-file requirements-run.lock

# The lock is current when resolving pyproject.toml, starting from its pins, gives those pins again.
lock-check: setup
	@$(PINS) requirements.lock | sort > $(VENV)/pins
	@cp $(VENV)/pins $(VENV)/pins.resolved
	@$(COMPILE) --output-file $(VENV)/pins.resolved >/dev/null
	@$(PINS) $(VENV)/pins.resolved | sort | diff $(VENV)/pins - \
		|| { echo "requirements.lock is not current: run make lock" >&2; exit 1; }
	@$(RUN_LOCK) --output-file $(VENV)/run.resolved >/dev/null && diff -q requirements-run.lock $(VENV)/run.resolved >/dev/null \
		|| { echo "requirements-run.lock is not current: run make lock" >&2; exit 1; }
	@echo "requirements.lock is current"

check: lint types imports lock-check test

# Alert rules and dashboard, from the objectives and the registry of events.
ops: setup
	$(BIN)/python -m maitred.observability.monitoring ops

bench: setup
	@$(BIN)/python -m benchmarks $(ARGS)

# kill -9 of workers until 500 bookings have their end; then the same with the database killed five times.
chaos: setup
	@$(BIN)/python -m tests.chaos.storm $(ARGS)
	@$(BIN)/python -m tests.chaos.storm --restarts 5 $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
