# Everything sets itself up: `make demo` and `make test` need Python 3.11+ and make, nothing else.
PYTHON ?= python3
BIN := .venv/bin
ROOMS := domain importers store store/postgres projections notifiers books servers servers/rest servers/mcp cli

.PHONY: help demo test coverage check fuzz simulate bench docs format clean

help: ## Show what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# A strict editable install links each file, so a new or moved one is seen only after installing again.
.venv/installed: pyproject.toml constraints.txt $(ROOMS) $(wildcard $(ROOMS:%=%/*.py))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Mecris needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@cmp -s pyproject.toml .venv/pyproject && cmp -s constraints.txt .venv/constraints \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'setuptools>=77' wheel
	@rm -rf build/__editable__*
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -c constraints.txt \
		-C editable_mode=strict -e '.[dev]'
	@$(BIN)/python -m compileall -q build/__editable__*
	@cp pyproject.toml .venv/pyproject; cp constraints.txt .venv/constraints; touch $@

demo: .venv/installed ## Play the founding story on a scratch file
	@$(BIN)/mecris demo

test: check ## Lint, types, import rules, then every test, and those of the books again on PostgreSQL
	$(BIN)/python -m pytest -n 3 --dist worksteal -q
	$(BIN)/python -m pytest -n 2 --dist worksteal -q --store postgresql

coverage: .venv/installed ## Run every test on SQLite and show which lines and branches none of them takes
	$(BIN)/coverage erase
	COVERAGE_PROCESS_START="$(CURDIR)/pyproject.toml" COVERAGE_FILE="$(CURDIR)/.coverage" \
		$(BIN)/python -m pytest -n 2 --dist worksteal -q
	$(BIN)/coverage combine --quiet || echo 'some coverage data was left by a killed process and could not be read'
	$(BIN)/coverage report

check: .venv/installed ## Lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: .venv/installed ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/installed ## Generate the reference pages
	$(BIN)/python -m docs.generate

fuzz: .venv/installed ## Feed every importer 20,000 inputs that nobody wrote
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'atheris>=2.3'
	$(BIN)/python tests/fuzz_importers.py

simulate: .venv/installed ## Run thousands of seeds with crashes, duplicates and races; SEED=N runs one again
	@PYTHONPATH=tests $(BIN)/python -m simulation $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) \
		$(if $(SEEDS),--seeds $(SEEDS)) $(if $(FIRST),--first $(FIRST)) $(if $(STEPS),--steps $(STEPS)) \
		$(if $(STORE),--store $(STORE)) $(if $(BROKEN),--broken '$(BROKEN)')

bench: .venv/installed ## Measure, side by side in one run, and write docs/benchmarks.md
	$(BIN)/python -m benchmarks

clean: ## Remove what was made
	rm -rf .venv build .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
