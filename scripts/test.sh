#!/usr/bin/env bash
# Sets up all that the tests need and runs every one of them, those with a real engine too.
# Arguments go to pytest, which then runs what they name: scripts/test.sh tests/unit -k wire
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The environment is made anew when the lock changes, so that no stale package can pass a test.
stamp=$(cat requirements/dev.txt pyproject.toml | sha256sum | cut -c1-16)
if [ "$(cat .venv/stamp 2>/dev/null)" != "$stamp" ]; then
  echo "setting up .venv" >&2
  rm -rf .venv
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
  .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
  echo "$stamp" >.venv/stamp
fi

# Semgrep's dependencies are not ours: the scanners have an environment of their own, as in the image.
stamp=$(sha256sum <requirements/scanners.txt | cut -c1-16)
if [ "$(cat .venv-scanners/stamp 2>/dev/null)" != "$stamp" ]; then
  echo "setting up .venv-scanners" >&2
  rm -rf .venv-scanners
  python3 -m venv .venv-scanners
  .venv-scanners/bin/pip install --quiet --disable-pip-version-check --require-hashes \
    -r requirements/scanners.txt
  echo "$stamp" >.venv-scanners/stamp
fi

engine=$(scripts/dev-engine.sh start)
eval "$engine"
export PATH="$PWD/.venv/bin:$PWD/.venv-scanners/bin:$PATH"
[ $# -eq 0 ] || exec .venv/bin/python -m pytest "$@"

# Tests with containers fill the cores by themselves; the others get one each. One half's failure
# does not keep the other from being run.
failed=0
.venv/bin/python -m pytest --durations=15 --ignore=tests/unit || failed=$?
.venv/bin/python -m pytest --durations=15 --numprocesses=logical --dist=loadfile tests/unit || failed=$?
exit "$failed"
