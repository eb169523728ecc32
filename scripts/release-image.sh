#!/usr/bin/env bash
# Makes action.yml name an image by its digest: scripts/release-image.sh REPOSITORY@sha256:DIGEST
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

reference=${1:-}
if ! [[ $reference =~ ^[a-z0-9./_-]+@sha256:[0-9a-f]{64}$ ]]; then
  echo "error: ${reference:-nothing} is no image reference with a digest." >&2
  exit 2
fi
sed -i "s#^  image: .*#  image: docker://$reference#" action.yml
grep -qxF "  image: docker://$reference" action.yml
