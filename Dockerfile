# One image for gateways, KMS nodes and the command line. Node 24 runs TypeScript as it is, so there is nothing to build; the first stage
# only keeps npm and what it needs for itself out of the image.
FROM node:24-bookworm-slim AS packages
WORKDIR /portcullis
COPY package.json package-lock.json ./
# Optional packages are servers for development (PostgreSQL, anvil, Node itself): not for production.
RUN npm ci --omit=dev --omit=optional --no-audit --no-fund && npm cache clean --force

FROM node:24-bookworm-slim
# Threads share two arenas of glibc: each of its own would keep what it once needed (docs/cluster.md).
ENV NODE_ENV=production MALLOC_ARENA_MAX=2
WORKDIR /portcullis
COPY --from=packages /portcullis/node_modules node_modules
COPY package.json ./
COPY bin bin
COPY actors actors
COPY machines machines
COPY proto proto
COPY src src
RUN ln -s /portcullis/bin/portcullis.js /usr/local/bin/portcullis
# Nobody's account, without a home and without a shell; the image is read-only to it, and works with a read-only root.
USER 65532:65532
ENTRYPOINT ["portcullis"]
CMD ["--help"]
