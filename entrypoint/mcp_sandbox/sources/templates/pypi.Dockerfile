# A server from a Python package: resolved once (stage `lock`), installed by the hashes of that lock
# alone, and left without pip. The lines that start it are added below.
FROM debian:trixie-slim AS base
COPY system.txt /build/
RUN apt-get update \
 && xargs -a /build/system.txt apt-get install -y --no-install-recommends \
 && rm -rf /var/lib/apt/lists/* /build \
 && groupadd --gid 65532 server \
 && useradd --uid 65532 --gid 65532 --create-home server

FROM base AS pip
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/pip \
 && mkdir /lock \
 && chown 65532:65532 /lock

FROM pip AS resolved
COPY wanted.txt constraints.txt main.txt resolve.sh /build/
USER 65532:65532
RUN sh /build/resolve.sh

FROM scratch AS lock
COPY --from=resolved /lock/ /

FROM pip AS installed
RUN mkdir /venv && chown 65532:65532 /venv
COPY lock.txt /build/
USER 65532:65532
RUN python3 -m venv --without-pip /venv \
 && /opt/pip/bin/pip --python /venv/bin/python --no-input --disable-pip-version-check \
      install --no-cache-dir --no-deps --require-hashes --requirement /build/lock.txt

FROM base
COPY --from=installed --chown=0:0 /venv /venv
ENV PATH=/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER 65532:65532
WORKDIR /home/server
