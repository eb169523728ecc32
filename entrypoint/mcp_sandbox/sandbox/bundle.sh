#!/bin/sh
# Lays out what the sandbox mounts into containers: bundle.sh GATE FOLDER
#   FOLDER/tracer           strace, its loader (mode 0111) and libraries, the gate
#   FOLDER/tracer.manifest  mode, SHA-256 and name of each file in it
#   FOLDER/channel          the two FIFOs of one server: the trace, and the opening of the gate
# Run in the stage of the Dockerfile that has strace installed.
set -eu
gate=$1
folder=$2
bundle=$folder/tracer
strace=$(command -v strace)

mkdir -p "$bundle/lib" "$folder/channel"
# The loader is named in the program itself, whatever the architecture.
loader=$(ldd "$strace" | sed -n 's|^[[:space:]]*\(/[^ ]*/ld[^ ]*\) (0x.*|\1|p')
cp "$(readlink -f "$loader")" "$bundle/ld.so"
ldd "$strace" | sed -n 's|.* => \(/[^ ]*\) (0x.*|\1|p' | xargs cp -L -t "$bundle/lib"
cp "$strace" "$bundle/strace"
cp "$gate" "$bundle/gate"
chmod 0555 "$bundle" "$bundle/lib" "$bundle/strace" "$bundle/gate"
find "$bundle/lib" -type f -exec chmod 0444 {} +
chmod 0111 "$bundle/ld.so"
"$bundle/ld.so" --library-path "$bundle/lib" "$bundle/strace" -V >/dev/null

(
  cd "$bundle"
  find . -type f | LC_ALL=C sort | while read -r file; do
    printf '%s %s %s\n' "$(stat -c %a "$file")" "$(sha256sum <"$file" | cut -d' ' -f1)" "${file#./}"
  done
) >"$folder/tracer.manifest"
chmod 0444 "$folder/tracer.manifest"

# Any user of a server writes the one and reads the other; only their owner removes them.
mkfifo -m 0622 "$folder/channel/log"
mkfifo -m 0644 "$folder/channel/go"
chmod 0622 "$folder/channel/log"
chmod 0755 "$folder/channel"
