FROM debian:trixie-slim AS base
COPY system.txt /build/
RUN apt-get update \
 && xargs -a /build/system.txt apt-get install -y --no-install-recommends \
 && rm -rf /var/lib/apt/lists/* /build \
 && groupadd --gid 65532 server \
 && useradd --uid 65532 --gid 65532 --create-home server
