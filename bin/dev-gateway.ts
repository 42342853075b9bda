/** The options of a gateway node that lives in a development world: every role, embedded bus, quick finality. */
import { randomBytes } from "node:crypto"
import { ROLES } from "../src/domain/cluster.ts"
import type { World } from "./dev-world.ts"
import type { GatewayOptions } from "./gateway-options.ts"

export const devGateway = (world: World, over: Partial<GatewayOptions> = {}): GatewayOptions => ({
  worker: `dev-${randomBytes(3).toString("hex")}`,
  roles: new Set(ROLES),
  database: { connection: world.postgres.address, applicationName: "portcullis-dev" },
  bus: "embedded",
  keyEncryptionKeyFile: world.keyEncryptionKeyFile,
  workConcurrency: 8,
  chain: {
    rpcUrl: world.anvil.url,
    contracts: world.contracts,
    aclFinality: { type: "latest" },
    resultFinality: { type: "confirmations", blocks: 1 },
    pollMs: 50,
    lanes: world.lanes
  },
  kms: { security: world.security },
  stores: [{ name: world.store.name, kind: "directory", path: world.store.path }],
  cache: { directory: world.cacheDirectory, bytesMax: 256 * 1024 * 1024 },
  engine: { name: "mcl", workers: 2 },
  http: undefined,
  log: { level: "silent", to: "stderr" },
  ...over
})
