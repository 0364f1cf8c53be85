# The one list of commands; `make help` prints it. Needs Python 3.11 to 3.13, git and make.

# The newest supported Python on the PATH.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for each in python3.13 python3.12 python3.11 python3; do \
  $$each -c '$(SUPPORTED)' 2>/dev/null && echo $$each && break; done)
VENV   ?= .venv
BIN    := $(VENV)/bin
# GPU=1 installs TensorFlow for NVIDIA GPUs; `make setup` remembers it.
GPU    ?= $(if $(wildcard $(VENV)/.gpu),1)
PIP_LOCKED = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps
STAMP  := $(VENV)/.setup-done$(if $(GPU),-gpu)
DEMO_STAMP := $(VENV)/.setup-demo-done$(if $(GPU),-gpu)
# Where `make demo` writes, and a folder with images/ and labels/ to use in place of the synthetic set.
OUT    ?= demo
DATA   ?=
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help setup lock demo look-at-data fmt lint typecheck test test-slow test-backbones test-e2e browser test-browser docker test-containers kube test-kube wheels images bench measurements docs docs-links proto spec-docs pipeline conformance horovod generated ci clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv and fill it with the packages of locks/; GPU=1 for NVIDIA GPUs
$(STAMP): $(wildcard locks/*.txt) shared/pyproject.toml pipelines/pyproject.toml
	$(call venv_with,$(if $(GPU),gpu,cpu))
	@# What the stubs require would bring TensorRT itself, which only GPUs run; no lock installs what it does not name.
	$(PIP_LOCKED) --requirement locks/tensorrt-stubs.txt
	@touch $(DEMO_STAMP) $@

# Everything that `make demo` uses, about half of what `make setup` installs.
$(DEMO_STAMP): $(wildcard locks/*.txt) shared/pyproject.toml pipelines/pyproject.toml | look-at-data
	$(call venv_with,$(if $(GPU),gpu,cpu)-run)
	@touch $@

define venv_with
@$(or $(PYTHON),false) -c '$(SUPPORTED)' || { \
  echo "no Python 3.11, 3.12 or 3.13 found; install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
$(PYTHON) -m venv $(VENV)
@# The two builds of TensorFlow exclude each other.
@rm -f $(VENV)/.setup-done* $(VENV)/.setup-demo-done* $(VENV)/.gpu
@$(BIN)/python -m pip uninstall -qq --yes --disable-pip-version-check $(if $(GPU),tensorflow-cpu,tensorflow)
@$(if $(GPU),touch $(VENV)/.gpu)
@# Packages that come as source are built by what is there, so that nothing comes without a hash.
$(PIP_LOCKED) --requirement locks/build.txt
$(PIP_LOCKED) --no-build-isolation --requirement locks/$(1).txt
$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
  --editable ./shared --editable ./pipelines
endef

lock: $(STAMP) ## write locks/ again: the versions of constraints.txt with the hashes of their files
	scripts/lock.sh $(VENV)

look-at-data:
	@$(if $(DATA),$(or $(PYTHON),false) scripts/look_at_data.py '$(DATA)')

demo: look-at-data $(DEMO_STAMP) ## the whole pipeline, and inference; on DATA=<kitti dir> if given, else on a synthetic set
	$(BIN)/frcnn demo -o '$(OUT)' $(if $(DATA),--data '$(DATA)') $(ARGS)

fmt: $(STAMP) ## format the code and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP) ## style, spelling, direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/lint-imports

typecheck: $(STAMP) ## mypy, and pyright where TensorRT's stubs are
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python scripts/tensorrt_11_stubs.py $(VENV)/tensorrt-11
	$(BIN)/pyright -p $(VENV)/tensorrt-11 --pythonpath $(BIN)/python

# From Python 3.12 on, the interpreter itself reports which lines run, which takes much less time than a trace function.
COVERAGE_CORE ?= $(shell $(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")')
test: $(STAMP) ## the tests, without the slow ones, and line coverage of frcnn
	@# Each process gets one half, and helps the other at the end: so hardly a file is split, and made ready twice.
	COVERAGE_CORE=$(COVERAGE_CORE) $(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term $(ARGS)

test-slow: $(STAMP) ## the slow tests; ARGS='--minutes 20' runs what begins by then
	@# By file, since the tests of a file share a training.
	$(BIN)/python -m pytest -n 2 --dist loadfile -m '(slow or e2e) and not (gpu or bench or container or browser or kube)' \
	  --ignore tests/unit/exporting/test_backbones.py $(ARGS)

test-backbones: $(STAMP) ## each backbone exported, equal to Keras; alone, since converting the largest takes 9 GiB
	$(BIN)/python -m pytest -m slow tests/unit/exporting/test_backbones.py $(ARGS)

test-e2e: $(STAMP) ## the whole pipeline on a toy data set
	$(BIN)/python -m pytest -m e2e $(ARGS)

browser: ## install Chromium and axe-core for the browser tests, if missing
	scripts/install_browser.sh

test-browser: $(STAMP) browser ## the report page in Chromium
	$(BIN)/python -m pytest -m browser $(ARGS)

docker: ## install a Docker daemon and debootstrap for the container tests, if missing
	scripts/install_docker.sh

test-containers: $(STAMP) ## real images: the pipeline, and an MPIJob's pods, with an S3 server; needs root
	$(BIN)/python -m pytest -m container -s $(ARGS)

kube: ## build a Kubernetes API server, its controllers and Katib's webhook with Go, and install etcd, if missing
	@command -v etcd >/dev/null || apt-get install -y -qq --no-install-recommends etcd-server >/dev/null
	scripts/build_kube.sh || echo "no API server could be built: its tests are skipped" >&2
	scripts/build_katib_judge.sh || echo "Katib's webhook could not be built: its tests are skipped" >&2

test-kube: $(STAMP) kube ## chart, rights and trainings against that API server; MPI_OPERATOR=<checkout> for its controller
	$(BIN)/python -m pytest -m kube tests/kube $(ARGS)

wheels: $(STAMP) ## build the wheels of frcnn and frcnn-pipelines into dist/
	scripts/build_wheels.sh $(BIN)/python dist

images: ## build the images of all steps with docker or podman (ENGINE=), and print their sizes
	scripts/build_images.sh

bench: $(STAMP) ## speed and memory, compared with torchvision; prints tables
	$(BIN)/python -m benchmarks $(ARGS)

measurements: $(STAMP) ## run the benchmarks, keep what they measure, and write the tables of both READMEs from it
	$(BIN)/python -m benchmarks.measurements $(ARGS)

docs: $(STAMP) ## the documentation site in build/docs; a broken internal link is an error
	$(BIN)/python -m sphinx -q -W --keep-going -E -b html -c docs/site . build/docs
	@echo "build/docs/index.html"

docs-links: $(STAMP) ## list the external links of the documentation; asks the network whether they work
	$(BIN)/python -m sphinx -q -b linkcheck -c docs/site . build/docs-links

proto: $(STAMP) ## regenerate *_pb2.py and *_pb2.pyi from the protos
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/generate_proto.sh

spec-docs: $(STAMP) ## regenerate docs/spec.md from the schema, and the list of decisions
	$(BIN)/python scripts/generate_spec_docs.py
	$(BIN)/python scripts/list_decisions.py

horovod: $(STAMP) ## build and install Horovod, for several processes; the wheel is cached
	scripts/build_horovod.sh $(VENV)

pipeline: $(STAMP) ## recompile the Kubeflow pipeline and the components
	$(BIN)/python -m pipelines.compile

conformance: pipeline ## record again what each Kubeflow backend makes of the pipeline
	$(BIN)/python -m tests.conformance.record

generated: proto spec-docs conformance ## fail if a generated file differs from its source
	git diff --exit-code -- 'shared/src/**/*_pb2.py' 'shared/src/**/*_pb2.pyi' docs/spec.md docs/adr/README.md pipelines/compiled 'components/*/*.yaml' tests/conformance/recorded

ci: lint typecheck generated docs test ## all that a change must pass

clean: ## remove caches and the demo's output; .venv stays
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.* '$(OUT)'
