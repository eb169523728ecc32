#!/usr/bin/env bash
# Everything of docs/interop.md, also what is too slow for every test run: the whole conformance
# suite, and the servers of all SDKs over all their transports. Prints the tables of that page.
#
#   scripts/interop.sh [NAME...]
#
# NAME is `conformance`, or a server of tests/interop/expect.toml; all of them unless some are named.
# Needs what scripts/test.sh needs, and Go, Rust, and Java with Maven for the servers that want them.
# Exits 1 when anything is not as expected.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} == -* ]]; then
  sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi

# The environment, and an engine, as the tests have them; no test is run.
scripts/test.sh --collect-only --quiet tests/contract/test_interop.py >&2
engine=$(scripts/dev-engine.sh start)
eval "$engine"
export PATH="$PWD/.venv/bin:$PATH"
exec .venv/bin/python benchmarks/interop.py "$@"
