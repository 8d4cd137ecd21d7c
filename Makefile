# make demo   the main job, from end to end
# make test   linters, type checker, all tests
# make bench  what it costs, in under three minutes; ends with the path of the report
# All install what they need: Debian packages when root, the rest in .venv.

PYTHON ?= python3
export PYTHON

BUILD_INPUTS := requirements.lock pyproject.toml scripts/sync-venv \
	$(wildcard preload/Makefile preload/*.mk preload/hatch_build.py preload/src/*.[ch] preload/src/*/*.[ch])

.PHONY: demo test check bench lock clean

demo:
	@scripts/need demo
	@$(MAKE) --no-print-directory .venv/synced
	@.venv/bin/strongroom demo

test: check
	@tests/s3clients/install
	@.venv/bin/pytest

# The quick half of the tests: style, types, architecture.
check:
	@scripts/need test
	@$(MAKE) --no-print-directory .venv/synced
	@.venv/bin/ruff check --quiet
	@.venv/bin/ruff format --quiet --check
	@.venv/bin/mypy
	@.venv/bin/lint-imports

bench:
	@scripts/need bench
	@$(MAKE) --no-print-directory .venv/synced
	@.venv/bin/strongroom bench run --quick

.venv/synced: $(BUILD_INPUTS)
	@scripts/sync-venv

# Pin the newest versions that pyproject.toml allows.
lock: .venv/synced
	@UV_SYSTEM_CERTS=1 .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
		--all-extras --group test --group build --upgrade pyproject.toml -o requirements.lock
	@UV_SYSTEM_CERTS=1 .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
		--group s3clients --upgrade -o tests/s3clients/requirements.lock

clean:
	rm -rf .venv build dist preload/lib preload/build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
