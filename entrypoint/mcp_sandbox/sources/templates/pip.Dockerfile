
FROM base AS pip
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/pip \
 && mkdir /lock /venv \
 && chown 65532:65532 /lock /venv
