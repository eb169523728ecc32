
# What it needs, resolved: nothing of it is installed here.
FROM pip AS resolved
COPY wanted.txt constraints.txt main.txt resolve.sh /build/
USER 65532:65532
RUN sh /build/resolve.sh

FROM scratch AS lock
COPY --from=resolved /lock/ /

# Installed by the hashes of the lock alone; pip stays behind.
FROM pip AS installed
COPY lock.txt /build/
USER 65532:65532
RUN python3 -m venv --without-pip /venv \
 && /opt/pip/bin/pip --python /venv/bin/python --no-input --disable-pip-version-check \
      install --no-cache-dir --no-deps --require-hashes --requirement /build/lock.txt
