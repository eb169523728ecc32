# The image of the action: the scanner itself, the scanners it runs, the helper that reads a server's
# /tmp. One base for every stage. Tools come from Debian (signed), from PyPI (pinned by hash), or are
# release archives pinned by checksum: a tag can be moved, a checksum cannot.
# scripts/build-image.sh builds it, also where no release archive can be reached.
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

# Scanners from PyPI, in an environment of their own: their dependencies do not mix with ours.
FROM base AS scanners
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*
COPY requirements/scanners.txt /src/requirements/
RUN python3 -m venv /opt/scanners/python \
 && /opt/scanners/python/bin/pip install --no-cache-dir --disable-pip-version-check \
      --require-hashes -r /src/requirements/scanners.txt \
 && /opt/scanners/python/bin/pip uninstall -y pip \
 && /opt/scanners/python/bin/python -m compileall -q /opt/scanners/python/lib \
 && mkdir /opt/scanners/bin \
 && ln -s ../python/bin/semgrep ../python/bin/hadolint /opt/scanners/bin/ \
 && chmod -R a-w /opt/scanners

# The stages `trivy` and `trufflehog` hold bin/ and licences/, nothing else. A named build context of
# the same name and shape (an empty one too) replaces them.
FROM base AS trivy-amd64
ADD --checksum=sha256:2ae6fe3ee734b7fdf11335663e18c75ea12dccc76062f09f164a3b0f8be4371a \
  https://github.com/aquasecurity/trivy/releases/download/v0.74.0/trivy_0.74.0_Linux-64bit.tar.gz \
  /archive.tar.gz

FROM base AS trivy-arm64
ADD --checksum=sha256:b94ce1976bbf3c15b514b605ee88be7c6d94a29be2302847ff01cb794d47aad5 \
  https://github.com/aquasecurity/trivy/releases/download/v0.74.0/trivy_0.74.0_Linux-ARM64.tar.gz \
  /archive.tar.gz

# hadolint ignore=DL3006
FROM trivy-${TARGETARCH} AS trivy-unpacked
RUN mkdir -p /out/bin /out/licences \
 && tar -xzf /archive.tar.gz -C /out/bin --no-same-owner trivy \
 && tar -xzf /archive.tar.gz -O LICENSE >/out/licences/trivy \
 && chmod -R a-w /out/bin /out/licences

FROM scratch AS trivy
COPY --from=trivy-unpacked /out /

FROM base AS trufflehog-amd64
ADD --checksum=sha256:62224de2f9dd7cd418800feb953760a302ed2f82a7c547fe1146a4874fb179e4 \
  https://github.com/trufflesecurity/trufflehog/releases/download/v3.97.0/trufflehog_3.97.0_linux_amd64.tar.gz \
  /archive.tar.gz

FROM base AS trufflehog-arm64
ADD --checksum=sha256:f48f57e3d4343377865b1b64653f96d381d61a7792d89d026e85524732039fde \
  https://github.com/trufflesecurity/trufflehog/releases/download/v3.97.0/trufflehog_3.97.0_linux_arm64.tar.gz \
  /archive.tar.gz

# hadolint ignore=DL3006
FROM trufflehog-${TARGETARCH} AS trufflehog-unpacked
RUN mkdir -p /out/bin /out/licences \
 && tar -xzf /archive.tar.gz -C /out/bin --no-same-owner trufflehog \
 && tar -xzf /archive.tar.gz -O LICENSE >/out/licences/trufflehog \
 && chmod -R a-w /out/bin /out/licences

FROM scratch AS trufflehog
COPY --from=trufflehog-unpacked /out /

FROM base
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      ca-certificates docker-buildx docker-cli git iproute2 nftables openssl \
      python3-minimal libpython3-stdlib \
 && rm -rf /var/lib/apt/lists/*
COPY --from=tracer /out /
COPY --from=scanners /opt/scanners /opt/scanners
COPY --from=trivy / /opt/scanners/
COPY --from=trufflehog / /opt/scanners/
COPY THIRD_PARTY_NOTICES.md LICENSE /usr/share/doc/mcp-sandbox-action/
COPY --from=python /opt/mcp-sandbox /opt/mcp-sandbox
# A checkout is the working directory: nothing in it may be imported in our place.
ENV PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PATH=/opt/mcp-sandbox/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/scanners/bin
LABEL org.opencontainers.image.title="mcp-sandbox-action" \
      org.opencontainers.image.description="Tells what an MCP server does before it ships" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/opt/mcp-sandbox/bin/mcp-sandbox"]
