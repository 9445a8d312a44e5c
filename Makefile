# Two commands do it all: `make demo` and `make test`. Both set up .venv from the lock file first.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-all fuzz check sample clean

$(READY): requirements.lock pyproject.toml
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(READY)  ## train on the embedded simulated market and write runs/demo/report.html
	$(BIN)/arbitrage demo --out runs/demo

test: $(READY)  ## run the tests, except those that take long
	$(BIN)/python -m pytest -m "not slow"

test-all: $(READY)  ## run all tests
	$(BIN)/python -m pytest

fuzz: $(READY)  ## try the properties on many other examples, at random; what fails becomes a test
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=fuzz

check: $(READY)  ## lint, formatting, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

sample: $(READY)  ## write data/sample anew from the simulator
	$(BIN)/python -m arbitrage.market.simulation.sample

clean:
	rm -rf $(VENV) runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
