# The verbs of this project. `make demo` and `make test` are all a newcomer needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
# One thread a process: two spinning OpenMP threads collapse as soon as anything else runs (docs/models.md, Threads).
export OMP_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
# MkDocs prints advertising otherwise.
export NO_MKDOCS_2_WARNING ?= 1

.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*  \#\#.*/\1/p' $(MAKEFILE_LIST))
.DELETE_ON_ERROR:

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/.run  ## Start the whole stack, run a real edit over HTTP, save the pictures in demo-output/; MODEL=flow: with the second model
	$(BIN)/magedit demo $(if $(MODEL),--model $(MODEL))

up: $(VENV)/.run  ## Serve until Ctrl-C
	$(BIN)/magedit up

test: $(VENV)/.dev  ## All tests but the slow ones; as root on Debian it installs Chromium for the page's
	$(BIN)/python -m tests.service.page.browser
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-lowest: $(VENV)/.dev  ## Tests of library, jobs and worker on the lowest versions that pyproject.toml allows
	$(BIN)/python -m uv venv --quiet --clear --python $(BIN)/python .cache/lowest
	$(BIN)/python -m uv pip install --quiet --python .cache/lowest --resolution lowest-direct --editable '.[service,worker,embedded,tracing]' --group test
	.cache/lowest/bin/python -m pytest -n 2 --dist loadfile -m "not slow" tests/magedit tests/jobs tests/worker
	rm -rf .cache/lowest

containers: $(VENV)/.dev  ## Build the images and start the compose file, as root on Debian 12; elsewhere it says why not
	$(BIN)/python -m tests.containers $(CONTAINERS)

# A soak that goes on has had its model-based lives.
soak: $(VENV)/.dev  ## Long model-based lives, then faults of every kind for half an hour (SOAK="--resume" goes on after a kill)
	$(if $(findstring --resume,$(SOAK)),,$(BIN)/python -m pytest -m slow tests/jobs/records/test_life.py)
	$(BIN)/python -m tests.soak $(SOAK)

gpu-dry-run: $(VENV)/.dev  ## benchmarks/gpu.sh whole, with tiny models on the CPU
	$(BIN)/python -m pytest -m "slow or not slow" tests/benchmarks/gpu

litellm: $(VENV)/.dev  ## OpenAI's client through LiteLLM's proxy, which it installs in .cache/litellm (hundreds of MB)
	$(BIN)/python -m pytest -m slow tests/e2e/test_litellm.py

fuzz: $(VENV)/.dev  ## 5,000 mutated uploads, and the whole contract with random requests: no fault of the service
	$(BIN)/python -m pytest tests/fuzz

coverage: $(VENV)/.dev  ## Line and branch coverage of jobs, client and parameters by their own tests; fails below the floor
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" --cov --cov-report=term tests/jobs tests/magedit/client tests/magedit/config

check: $(VENV)/.dev  ## Lint, format, types, import rules, spelling, generated files, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m codespell_lib
	$(BIN)/python -m pytest --quiet --noconftest -p no:cacheprovider tests/test_docstrings.py
	$(BIN)/python -m service.openapi check
	$(BIN)/python -m tools.reference check
	$(BIN)/python -m mkdocs build --quiet --strict --site-dir .cache/site
	@if command -v npm >/dev/null; then $(MAKE) page; \
	else echo "the page's JavaScript is not checked: there is no npm"; fi

page: tools/page/node_modules/.package-lock.json  ## Lint and type-check the page's JavaScript; its libraries are as released
	cd tools/page && node_modules/.bin/biome lint --config-path . ../../service/page && node_modules/.bin/tsc -p .
	sed '1,/^\*\//d' service/page/vendor/idb.js | cmp - tools/page/node_modules/idb/build/index.js
	sed '1,/^\*\//d' service/page/vendor/client-zip.js | cmp - tools/page/node_modules/client-zip/index.js

tools/page/node_modules/.package-lock.json: tools/page/package-lock.json
	npm ci --prefix tools/page --no-audit --no-fund --silent
	touch $@

hooks: $(VENV)/.dev  ## Run the quick checks before every commit
	$(BIN)/python -m pre_commit install

format: $(VENV)/.dev  ## Put imports and format in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.run  ## What the demo edit costs: UNet passes and seconds per stage; beside the model, and in the service
	$(BIN)/python -m benchmarks.edit
	$(BIN)/python -m benchmarks.overhead

bench-speed: $(VENV)/.run  ## The presets against the released program's schedule (SPEED="--resume" goes on after a kill)
	$(BIN)/python -m benchmarks.speed --growth --sd $(SPEED)

bench-scale: $(VENV)/.run  ## What one Redis bears, measured; waiting of 1 to 500 workers, simulated (wants redis-tools)
	$(BIN)/python -m benchmarks.scale

bench-memory: $(VENV)/.run  ## Peak memory of an edit on a UNet of SD 1.x size; a worker over 200 edits
	$(BIN)/python -m benchmarks.memory --edits 200

bench-load: $(VENV)/.run  ## What one front end bears: latency, rate and CPU of status, submit and events
	$(BIN)/python -m benchmarks.load

bench-quality: $(VENV)/.run  ## Edits with known truth, with and without guidance; goes on after a kill (QUALITY="--table methods")
	$(BIN)/python -m benchmarks.quality $(QUALITY)

bench-evidence: $(VENV)/.run  ## A page of evidence and the cause of each edit that fails (QUALITY="--edits 2")
	$(BIN)/python -m benchmarks.quality.evidence $(QUALITY)

bench-masks: $(VENV)/.run  ## Masks by click, box, words and edits by instruction in rooms with known masks; seconds (MASKS="--rooms 16")
	$(BIN)/python -m benchmarks.masks $(MASKS)

bench-prompts: $(VENV)/.run  ## Pairs of prompts: right in kind, in default words, in both; milliseconds and memory
	$(BIN)/python -m benchmarks.prompts

gallery: $(VENV)/.run  ## Draw docs/gallery.png: a row per kind of edit, from the shipped checkpoint
	$(BIN)/python -m magedit.demo.gallery

docs: $(VENV)/.dev  ## Serve the documentation on http://127.0.0.1:8001 until Ctrl-C
	$(BIN)/python -m mkdocs serve --dev-addr 127.0.0.1:8001

reference: $(VENV)/.dev  ## Write docs/reference from the code
	$(BIN)/python -m tools.reference write

openapi: $(VENV)/.run  ## Write openapi/openapi.json
	$(BIN)/python -m service.openapi write

clean:  ## Remove what the verbs made, the environment included
	rm -rf $(VENV) .state demo-output .cache

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

# torch first and by its exact version: a looser request may fetch another build than the one pinned.
$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/pip
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[service,worker,embedded]'
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) 'pip>=25.1' # which reads dependency groups
	$(PIP) --editable '.[tracing]' --group dev
	touch $@
