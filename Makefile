# segkit: every target sets up what it needs; nothing but Python >= 3.11 and make is asked for.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.installed
# PySpark is large, and with it pandas has other texts: an environment of its own.
SPARK  := .venv-spark
OUT    ?= reports/case-study
# Processors: so many notebooks, pages or studies are worked on side by side.
JOBS   ?= 2
# Tests wait for kernels, browsers and time to pass: with two processes more no processor idles.
TESTERS ?= $(shell expr $(JOBS) + 2)
# What `make lab` opens, and anything more that JupyterLab is to be told.
NOTEBOOK ?= 01_data_audit
QUIET    := $(VENV)/share/jupyter/lab/settings/overrides.json
LAB      ?=

# Every notebook's process imports the same libraries: from bytecode in a third of the time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install case-study test test-spark quick lint lab docs readme picture bench study study-thin format constraints clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

# uv checks the pinned versions and hashes several times faster than pip does.
$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else f"segkit needs Python 3.11 to 3.13; $(PYTHON) is {v[0]}.{v[1]} (set PYTHON=...)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes --requirement constraints.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $@

install: $(READY)  ## Build .venv with the pinned versions

case-study: $(READY)  ## Simulate the retailer, run every notebook, write the reports
	$(BIN)/segkit run --source simulated --out $(OUT) --jobs $(JOBS)

test: $(READY)  ## Run every test, doctests and the thinned studies included
	$(BIN)/python -m pytest -q -n $(TESTERS) --dist loadfile --no-loadscope-reorder

$(SPARK)/.installed: $(READY) constraints-spark.txt
	$(PYTHON) -m venv $(SPARK)
	VIRTUAL_ENV=$(SPARK) $(BIN)/uv pip install --quiet --require-hashes --requirement constraints.txt \
		--requirement constraints-spark.txt
	VIRTUAL_ENV=$(SPARK) $(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $@

test-spark: $(SPARK)/.installed  ## Run the tests of Spark (they need Java 17) on local[2]
	$(SPARK)/bin/python -m pytest -q tests/test_spark.py

quick: $(READY)  ## Run the tests that need neither a kernel nor a browser
	$(BIN)/python -m pytest -q -n $(TESTERS) --dist loadfile --no-loadscope-reorder -m "not slow"

lint: $(READY)  ## Check style, docstrings, annotations and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## Put the code in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# JupyterLab's question whether it may fetch news is answered: it may not.
$(QUIET): $(READY)
	@mkdir -p $(@D)
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' > $@

# The whole checkout is served, so that links from notebooks to reports lead somewhere; nothing is
# fetched from elsewhere, and an administrator need not ask.
lab: $(READY) $(QUIET)  ## Open the case study in JupyterLab (NOTEBOOK=05_segments for the explorer)
	$(BIN)/python -m jupyterlab --LabApp.default_url=/lab/tree/notebooks/$(NOTEBOOK).ipynb \
		--LabApp.news_url= --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
		--LabApp.extension_manager=readonly $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB)

docs: $(READY)  ## Build the documentation into docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -j $(JOBS) -d docs/_build/doctrees docs docs/_build/html
	@echo docs/_build/html/index.html

readme: $(READY)  ## Rewrite the outputs that the README shows
	$(BIN)/python docs/readme.py

picture: case-study  ## Run the case study and take its answers and picture into the README
	$(BIN)/python docs/readme.py --run $(OUT)/simulated

bench: $(READY)  ## Measure speed and memory beside the peers
	$(BIN)/python -m tests.benchmarks

study: $(READY)  ## Run the simulation studies in full (hours) and rewrite their tables
	$(BIN)/python -m tests.studies

study-thin: $(READY)  ## Run a thinned slice of each study
	$(BIN)/python -m tests.studies --thin

constraints:  ## Pin the newest versions that fit together (no registry address is written)
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-header \
		--universal --python-version 3.11 --extra dev --extra bench pyproject.toml --output-file constraints.txt
	printf 'pyspark>=4.3\npyarrow>=18.0\npandas>=2.2\n' | VIRTUAL_ENV=$(VENV) $(BIN)/uv pip compile --quiet --upgrade \
		--generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
		--constraint constraints.txt - --output-file constraints-spark.txt

clean:  ## Remove the environment and everything generated
	rm -rf $(VENV) $(SPARK) reports/* data/raw docs/_build docs/api .mypy_cache .ruff_cache .pytest_cache
	git checkout -q -- reports/README.md
