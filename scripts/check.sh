#!/usr/bin/env bash
# Everything that is checked without running dialroom: format, lint, types and import rules, in three languages.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin

$bin/ruff format --check --quiet src tests scripts bench
$bin/ruff check --quiet src tests scripts bench
$bin/mypy
$bin/lint-imports
(cd rust && cargo fmt --all --check && cargo clippy --workspace --all-targets --quiet -- -D warnings)
(cd web && npm run --silent check)
