/** What the rig changes about the services of docker-compose.yml, and all that it changes: with these, everything else that it runs is what the
 * file says. Printed with every run and kept in its report. */
import { type Change } from "../../tools/cluster/overlay.ts"
import type { ClusterShape } from "../rig.ts"

/** Files that the rig writes for one service: its clock, its lane keys, its database's address. */
export const RIG_VOLUME = "/rig"
/** Sixteen blocks to finality: no reorganisation of a scenario is deeper, and a listener rightly stops when final blocks are taken back. */
const SLOTS_IN_AN_EPOCH = "8"
/** Deeper than any reorganisation of a scenario: what the chain takes back was never called final. */
const RESULT_CONFIRMATIONS = 12
/** Nobody listens there. */
const NOWHERE_PORT = 1

/** In `nats.conf` of the rig's volume; everything else is said by words. */
export const NATS_CONFIG = "jetstream { max_file_store: 8GB }\n"

const SKEWABLE = { NODE_OPTIONS: "--import=/portcullis/chaos/process/skewed-clock.ts", CHAOS_CLOCK_FILE: `${RIG_VOLUME}/clock` }

const numbered = (family: string, count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, index) => `${family}-${index + 1}`)

/** Each begins with another one, so that all of them are somebody's first. */
const inTurn = (all: ReadonlyArray<string>, first: number): ReadonlyArray<string> => [...all.slice(first % all.length), ...all.slice(0, first % all.length)]

export const overlayOf = (shape: ClusterShape): ReadonlyArray<Change> => {
  const gateways = numbered("gateway", shape.gateways)
  const nodes = numbered("kms", shape.kmsNodes)
  const nats = numbered("nats", shape.natsServers)
  const endpoints = numbered("rpc", shape.rpcEndpoints).map((name) => `http://${name}:8545`)
  return [
    {
      services: ["setup"],
      why: "the committee of the scenario",
      replaces: { KMS_ENDPOINTS: nodes.map((name) => `${name}:7443`).join(","), KMS_THRESHOLD: String(shape.threshold) }
    },
    ...gateways.map((name, index) => ({
      services: [name],
      why: "endpoints of the rig, which can lie",
      replaces: { PORTCULLIS_RPC_URL: inTurn(endpoints, index).join(",") }
    })),
    { services: gateways, why: "a store of the rig, which can fail", replaces: { PORTCULLIS_STORES: "dev=http://store:8080" } },
    {
      services: gateways,
      why: "each reaches the database by a link of its own, and all share the lanes, whose keys can be lost",
      replaces: { PORTCULLIS_DATABASE_URL_FILE: `${RIG_VOLUME}/database-url`, PORTCULLIS_LANE_KEYS_FILE: `${RIG_VOLUME}/lane-keys` },
      addsVolumeAt: RIG_VOLUME
    },
    {
      services: gateways,
      why: "blocks are taken back, and what is final must not be",
      replaces: { PORTCULLIS_RESULT_FINALITY: `confirmations:${RESULT_CONFIRMATIONS}` }
    },
    { services: gateways, why: "they share the cores of one machine", adds: { PORTCULLIS_ENGINE_WORKERS: "1" } },
    { services: nodes, why: "where its clock is", addsVolumeAt: RIG_VOLUME },
    { services: [...gateways, ...nodes], why: "a clock that can be moved", adds: SKEWABLE },
    ...nats.map((name) => ({
      services: [name],
      why: "servers would tell each other where they listen, and connect past the links",
      addsWords: ["--cluster_advertise", `${name}:${NOWHERE_PORT}`, "--no_advertise"]
    })),
    { services: ["chain"], why: "reorganisations never reach what is final", replacesAfter: { "--slots-in-an-epoch": SLOTS_IN_AN_EPOCH } },
    ...(shape.hasSmallDisks ? smallDisks(nats) : [])
  ]
}

const smallDisks = (nats: ReadonlyArray<string>): ReadonlyArray<Change> => [
  {
    services: nats,
    why: "more than its small disk has, or it would refuse streams that could fill it, and none would ever be full",
    addsWords: ["--config", `${RIG_VOLUME}/nats.conf`],
    addsVolumeAt: RIG_VOLUME
  },
  { services: ["postgres"], why: "its log has to fit on a small disk", addsWords: ["-c", "shared_buffers=64MB", "-c", "max_wal_size=96MB"] }
]
