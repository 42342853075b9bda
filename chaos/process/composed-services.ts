/** The services of docker-compose.yml in the shape that a scenario asks for, with the rig's overlay, and their names in a scenario. */
import { readComposeFile, type Service } from "../../tools/cluster/compose-file.ts"
import { scaled } from "../../tools/cluster/copies.ts"
import { COMPOSE_FILE } from "../../tools/cluster/local-cluster.ts"
import { overlaid, overlayLines } from "../../tools/cluster/overlay.ts"
import { CannotInject, type ClusterShape, type Target } from "../rig.ts"
import { overlayOf } from "./compose-overlay.ts"

/** They only watch, and nobody waits for them. */
const NOT_STARTED = ["prometheus", "grafana"]
/** docker/setup.sh makes a file with the key of so many sending accounts. */
const LANES_MAX = 3

const WRITTEN = readComposeFile(COMPOSE_FILE)

const LETTERS: Readonly<Record<string, string>> = { gateway: "g", kms: "k", nats: "n", rpc: "r" }

/** `gateway-1` is g1 in scenarios and reports; postgres and store are called so in both. */
export const targetOf = (service: string): Target => {
  const [, family = "", number = ""] = /^([a-z]+)-(\d+)$/.exec(service) ?? []
  const letter = LETTERS[family]
  return letter === undefined ? service : `${letter}${number}`
}

export const servicesFor = (shape: ClusterShape): ReadonlyMap<string, Service> => {
  const natsServers = [...WRITTEN.keys()].filter((name) => name.startsWith("nats-")).length
  if (shape.natsServers !== natsServers) throw new CannotInject("shape", `docker-compose.yml connects ${natsServers} NATS servers, not ${shape.natsServers}`)
  if (shape.lanes > LANES_MAX) throw new CannotInject("shape", `docker/setup.sh funds ${LANES_MAX} lanes, not ${shape.lanes}`)
  const inShape = scaled(scaled(WRITTEN, "gateway", shape.gateways), "kms", shape.kmsNodes)
  return overlaid(new Map([...inShape].filter(([name]) => !NOT_STARTED.includes(name))), overlayOf(shape))
}

/** For the report: what the cluster is, next to the file. */
export const composedLines = (shape: ClusterShape): ReadonlyArray<string> => {
  const written = [...WRITTEN.keys()]
  const running = [...servicesFor(shape).keys()]
  const copies = running.filter((name) => !written.includes(name))
  return [
    "the services of docker-compose.yml as it stands, but for this:",
    ...(copies.length === 0 ? [] : [`${copies.join(", ")}: copies of the last one of their kind`]),
    `${written.filter((name) => !running.includes(name)).join(", ")}: not started`,
    ...overlayLines(overlayOf(shape))
  ]
}
