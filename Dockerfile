# The image of the action: the scanner itself and the helper that reads a server's /tmp.
# One base for every stage. Tools come from Debian (signed) or PyPI (pinned by hash).
FROM debian:trixie-slim AS base

FROM base AS python
# Debian's archive keeps one version of a package per suite: a pinned one is gone with the next
# security update.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*
COPY requirements/run.txt requirements/build.txt /src/requirements/
RUN python3 -m venv /opt/mcp-sandbox \
 && /opt/mcp-sandbox/bin/pip install --no-cache-dir --disable-pip-version-check \
      --require-hashes -r /src/requirements/run.txt
COPY pyproject.toml README.md LICENSE /src/
COPY entrypoint /src/entrypoint
# The build backend lives in a venv of its own and does not reach the image.
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check \
      --require-hashes -r /src/requirements/build.txt \
 && /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation -w /wheel /src \
 && /opt/mcp-sandbox/bin/pip install --no-cache-dir --no-deps /wheel/*.whl \
 && /opt/mcp-sandbox/bin/pip uninstall -y pip \
 && /opt/mcp-sandbox/bin/python -m compileall -q /opt/mcp-sandbox/lib

# What is mounted into a server's container so that its system calls are recorded: strace with its
# own loader and libraries (so that it runs in any image), and the gate. The loader can be executed
# but not read: the kernel then lets nobody look into the process, not even the uid it runs as.
FROM base AS tracer
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc musl-tools strace \
 && apt-get download golang-github-containers-common \
 && dpkg -x golang-github-containers-common_*.deb /packaged \
 && rm -rf /var/lib/apt/lists/*
COPY entrypoint/mcp_sandbox/sandbox/gate.c entrypoint/mcp_sandbox/sandbox/bundle.sh /src/
RUN musl-gcc -Os -static -s -Wall -Wextra -Werror -o /src/gate /src/gate.c \
 && sh -eu /src/bundle.sh /src/gate /out/opt/mcp-sandbox \
 && cp /packaged/usr/share/containers/seccomp.json /out/opt/mcp-sandbox/seccomp.json \
 && chmod 0444 /out/opt/mcp-sandbox/seccomp.json

FROM base
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      ca-certificates docker-buildx docker-cli iproute2 nftables openssl \
      python3-minimal libpython3-stdlib \
 && rm -rf /var/lib/apt/lists/*
COPY --from=tracer /out /
COPY --from=python /opt/mcp-sandbox /opt/mcp-sandbox
# A checkout is the working directory: nothing in it may be imported in our place.
ENV PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PATH=/opt/mcp-sandbox/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LABEL org.opencontainers.image.title="mcp-sandbox-action" \
      org.opencontainers.image.description="Tells what an MCP server does before it ships" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/opt/mcp-sandbox/bin/mcp-sandbox"]
