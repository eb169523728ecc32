
# What it needs, resolved: nothing of it is installed here.
FROM node AS resolved
ENV npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false \
    npm_config_cache=/tmp/npm
COPY package.json resolve.sh /build/
USER 65532:65532
RUN sh /build/resolve.sh

FROM scratch AS lock
COPY --from=resolved /lock/ /

# Installed by the hashes of the lock alone; npm stays behind. Native modules are built against the
# headers of this very Node. What npm refuses it says first, and its manual after it: a builder's
# log keeps the end.
FROM node AS installed
ENV npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false \
    npm_config_cache=/tmp/npm npm_config_nodedir=/opt/node
COPY package.json package-lock.json npmrc /build/
USER 65532:65532
WORKDIR /app
RUN cp /build/package.json /build/package-lock.json . \
 && cp /build/npmrc .npmrc \
 && { npm ci >/tmp/log 2>&1 || { tail -n 15 /tmp/log; grep -m 10 error /tmp/log; false; }; }
