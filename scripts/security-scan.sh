#!/usr/bin/env bash
# The action's local twin: finds an engine or starts one, builds the image when it is not there, and
# runs `mcp-sandbox` in it. No logic of its own: every argument is handed on as it stands.
#
#   scripts/security-scan.sh FOLDER [options]         same as `mcp-sandbox scan FOLDER …`; a SOURCE
#                                                     such as pypi:NAME==VERSION is taken too
#   scripts/security-scan.sh COMMAND [arguments]      any other command of `mcp-sandbox`
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
image=${MCP_SANDBOX_IMAGE:-mcp-sandbox-action:local}

case ${1:-} in
  scan | judge | baseline | merge | fleet | rules | doctor | clean | -h | --help | --version | --debug) ;;
  *) set -- scan "$@" ;;
esac

# Every folder that an argument names is mounted at its own path, so that paths mean the same inside
# and outside: the checkout around it, because findings stand on lines of it, and the place of --out.
declare -A lent=()
lend() {
  local folder=$1
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  folder=$(git -C "$folder" rev-parse --show-toplevel 2>/dev/null || echo "$folder")
  if [ "$folder" = / ]; then
    echo "error: $1 cannot be used: make the folder first, or name another one." >&2
    exit 2
  fi
  lent[$folder]=1
}
here=$(pwd -P)
lend "$here"
# Only a repository is fetched from here; all else that a scan needs a network for, the engine does.
network=none
previous=
for word in "$@"; do
  [ "$word" != -- ] || break
  case $word in
    --*=*) named=${word#*=} ;;
    *) named=$word ;;
  esac
  case $named in
    mcpb:*) named=${named#mcpb:} ;;
    https://*@*) network=bridge ;;
  esac
  case $previous:$word in
    --out:* | --file:* | *:--out=* | *:--file=*) lend "$(realpath -ms -- "$named")" ;;
    *) [ ! -e "$named" ] || lend "$(realpath -ms -- "$named")" ;;
  esac
  previous=$word
done

# A line of its own, so that a failure of the engine script ends this one. A private engine has to
# be shown the folders too.
engine=$(IFS=: && MCP_SANDBOX_ENGINE_SHARE=${MCP_SANDBOX_ENGINE_SHARE:+$MCP_SANDBOX_ENGINE_SHARE:}${!lent[*]} \
  "$project/scripts/dev-engine.sh" start)
eval "$engine"

case $DOCKER_HOST in
  unix://*) socket=${DOCKER_HOST#unix://} ;;
  *)
    echo "error: DOCKER_HOST is $DOCKER_HOST; this script needs an engine with a unix:// socket." >&2
    exit 3
    ;;
esac

# The tag carries a digest of what goes into the image: an image of older sources is never run.
if [ -z "${MCP_SANDBOX_IMAGE:-}" ]; then
  sources=$(cd "$project" && find Dockerfile .dockerignore THIRD_PARTY_NOTICES.md pyproject.toml requirements entrypoint \
    -type f ! -path '*/__pycache__/*' ! -path '*.egg-info/*' -print0 | LC_ALL=C sort -z |
    xargs -0 sha256sum | sha256sum | cut -c1-16)
  image=mcp-sandbox-action:$sources
  if ! docker image inspect "$image" >/dev/null 2>&1; then
    echo "building $image" >&2
    "$project/scripts/build-image.sh" "$image" mcp-sandbox-action:local >/dev/null
  fi
fi

mounts=()
for folder in "${!lent[@]}"; do mounts+=(--volume "$folder:$folder"); done

# A terminal only when all three streams are one: otherwise stdout and stderr would be merged.
terminal=()
[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && terminal=(--interactive --tty)

exec docker run --rm --init "${terminal[@]}" --network "$network" \
  --label dev.mcp-sandbox.front-door=1 \
  --volume "$socket:/var/run/docker.sock" "${mounts[@]}" --workdir "$here" \
  --env DOCKER_HOST=unix:///var/run/docker.sock --env "MCP_SANDBOX_IMAGE=$image" \
  "$image" "$@"
