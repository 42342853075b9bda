#!/bin/sh
# FOR DEVELOPMENT ONLY. Makes a world under $WORLD once: a dealt committee, certificates, the contracts on the chain, and the files that
# gateways read. Every step is a command that an operator would type; what is secret here was made here, and guards nothing.
set -eu
umask 077

deployment="$WORLD/gateway/deployment.json"
[ -s "$deployment" ] && { echo "the world is there already: $WORLD"; exit 0; }

# What an earlier start left half done is of no use: without the deployment nothing was built on it.
rm -rf "$WORLD/committee" "$WORLD/gateway" "$WORLD/account-key"

nodes=$(printf '%s' "$KMS_ENDPOINTS" | tr ',' '\n' | grep -c .)
portcullis keys deal --directory "$WORLD/committee" --nodes "$nodes" --threshold "$KMS_THRESHOLD" --endpoints "$KMS_ENDPOINTS"
portcullis keys certificates --directory "$WORLD/committee"

mkdir -p "$WORLD/gateway" "$WORLD/store"
cp -R "$WORLD/committee/gateway-tls" "$WORLD/gateway/tls"
head -c 32 /dev/urandom > "$WORLD/gateway/key-encryption-key"
printf '%s\n' "$DATABASE_URL" > "$WORLD/gateway/database-url"
# The well-known accounts of anvil: 0 deploys and asks, 1 to 3 send, one for each gateway.
printf '%s\n' 0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80 > "$WORLD/account-key"
printf '%s\n' 0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d > "$WORLD/gateway/lane-key-1"
printf '%s\n' 0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a > "$WORLD/gateway/lane-key-2"
printf '%s\n' 0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6 > "$WORLD/gateway/lane-key-3"

portcullis deploy --committee "$WORLD/committee/committee.json" --key-file "$WORLD/account-key" --out "$deployment"
for node in "$WORLD"/committee/node-*; do cp "$deployment" "$node/deployment.json"; done
# In containers everything else runs without privileges, as this account; elsewhere as whoever runs this.
[ -z "${RUNS_AS:-}" ] || [ "$(id -u)" != 0 ] || chown -R "$RUNS_AS" "$WORLD"
