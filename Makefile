# dialroom's commands. `make run` runs it, `make test` tests it; both set up what is missing first.
.PHONY: help run test demo bench wheel check format prompts setup-run setup-test setup-bench setup-prompts build media pages clean

PYTHON := .venv/bin/python
MEDIA_SOURCES := $(shell find rust -path rust/target -prune -o \( -name '*.rs' -o -name 'Cargo.*' \) -print)
PAGE_SOURCES := $(shell find web -name node_modules -prune -o -name dist -prune -o -type f -print)

help:
	@echo "make run     start the server (set DIALROOM_… or dialroom.toml to configure it)"
	@echo "make test    lint, types, import rules and all tests, real phones and browser included"
	@echo "make demo    a phone dials into a room before your eyes; CHECK=1 for a verdict without a screen"
	@echo "make bench   the figures, as one table"
	@echo "make wheel   one wheel with the media process and the pages inside, in dist/"
	@echo "make format  format everything"

run: setup-run build
	exec $(PYTHON) -m dialroom serve

demo: $(if $(CHECK),setup-test,setup-run) build
	exec $(PYTHON) -m dialroom demo $(if $(CHECK),--check)

test: setup-test build
	scripts/check.sh
	cd rust && cargo test --workspace --quiet
	cd web && npm test
	$(PYTHON) -m pytest

check: setup-test
	scripts/check.sh

bench: setup-bench build
	cd rust && cargo build --release --quiet --package dialroom-loadgen
	$(PYTHON) -m bench

wheel: setup-run build
	$(PYTHON) -m hatchling build --target wheel

prompts: setup-prompts
	$(PYTHON) scripts/make_prompts.py

format: setup-test
	$(PYTHON) -m ruff format src tests scripts bench
	$(PYTHON) -m ruff check --fix src tests scripts bench
	cd rust && cargo fmt --all
	cd web && npm run format

setup-run setup-test setup-bench setup-prompts: setup-%:
	@scripts/setup.sh $*

build: media pages
media: src/dialroom/_bin/dialroom-media
pages: src/dialroom/web/index.html

src/dialroom/_bin/dialroom-media: $(MEDIA_SOURCES)
	cd rust && cargo build --release --locked --package dialroom-daemon
	@mkdir -p $(@D)
	install -m 755 rust/target/release/dialroom-media $@

web/node_modules/.installed: web/package-lock.json
	cd web && npm ci --no-audit --no-fund
	@touch $@

src/dialroom/web/index.html: web/node_modules/.installed $(PAGE_SOURCES)
	cd web && npm run build
	@touch $@

clean:
	rm -rf .venv dist var rust/target web/node_modules src/dialroom/_bin src/dialroom/web
