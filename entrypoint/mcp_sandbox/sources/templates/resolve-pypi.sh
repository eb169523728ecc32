#!/bin/sh
# Resolves /build/wanted.txt and leaves in /lock what has to be known of it: `report.json` of pip,
# the `entry_points` and runnable `modules` of the server's own package, and `log`. Ends well
# whatever pip says, so that its words can be read: without a report it has failed.
set -u
cd /lock || exit 1

pip() {
  /opt/pip/bin/pip --no-input --disable-pip-version-check --no-color "$@" >>log 2>&1
}
resolve() {
  pip install --dry-run --no-cache-dir --ignore-installed --progress-bar off \
    --report report.json --constraint /build/constraints.txt --requirement /build/wanted.txt "$@"
}

if resolve --only-binary :all:; then
  echo >wheels-only
else
  echo '--- again, with what has to be built first' >>log
  rm -f report.json
  resolve --prefer-binary || rm -f report.json
fi
if [ -f report.json ]; then
  pip wheel --no-cache-dir --progress-bar off --no-deps --wheel-dir /tmp/main \
    --requirement /build/main.txt || rm -f report.json
fi
if [ -f report.json ] && [ -s /build/main.txt ]; then
  python3 - /tmp/main/*.whl <<'END' >>log 2>&1 || rm -f report.json
import re
import sys
import zipfile

MOST = 65536
with zipfile.ZipFile(sys.argv[1]) as wheel, open("entry_points", "wb") as found:
    names = wheel.namelist()
    for name in names:
        if re.fullmatch(r"[^/]+\.dist-info/entry_points\.txt", name):
            with wheel.open(name) as text:
                found.write(text.read(MOST))
    mains = [name.split("/")[0] for name in names if re.fullmatch(r"\w+/__main__\.py", name)]
with open("modules", "w") as found:
    found.write("\n".join(mains)[:MOST])
END
fi
tail -c 16384 log >end
mv end log
