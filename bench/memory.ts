/**
 * The memory of one gateway process with 10,000 requests in flight: all three KMS nodes are silent, so every request gets as
 * far as its
 * ciphertext and stays there, being asked for again and again.
 *
 *     node bench/memory.ts [--requests 10000] [--bus nats|inProcess]
 */
import { parseArgs } from "node:util"
import { setTimeout as pause } from "node:timers/promises"
import type { BusName } from "./support/engine-rig.ts"
import type { MemoryMiB } from "./support/gateway-process.ts"
import { startJourneyRig } from "./support/journey-rig.ts"

export interface MemoryReport {
  readonly requests: number
  /** Before the first request. */
  readonly idle: MemoryMiB
  /** All of them detected and none ended; the highest of several looks. */
  readonly loaded: MemoryMiB
  /** Where the requests stood at the last look. */
  readonly states: Readonly<Record<string, number>>
}

const HANDLES = 500
const SETTLE_MS_MAX = 90_000
const LOOKS = 20
const LOOK_MS = 500

export const measureMemory = async (requests: number, bus: BusName): Promise<MemoryReport> => {
  const rig = await startJourneyRig({ bus, world: { fault: () => "silent" } })
  try {
    await rig.client.prepare(HANDLES)
    const idle = rig.gateway.memory()
    await rig.client.raise(requests)
    const startMs = performance.now()
    const isThere = async () => {
      const counts = await rig.log.counts()
      return (counts["ciphertext-fetched"] ?? 0) + (counts["shares-collected"] ?? 0) >= requests
    }
    while (!(await isThere()) && performance.now() - startMs < SETTLE_MS_MAX) await pause(LOOK_MS)
    const looks: Array<MemoryMiB> = []
    for (let look = 0; look < LOOKS; look++) {
      looks.push(rig.gateway.memory())
      await pause(LOOK_MS)
    }
    const loaded = looks.reduce((a, b) => (b.rss > a.rss ? b : a))
    return { requests, idle, loaded, states: await rig.log.counts() }
  } finally {
    await rig.stop()
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { requests: { type: "string", default: "10000" }, bus: { type: "string", default: "inProcess" } }
  })
  console.log(JSON.stringify(await measureMemory(Number(values.requests), values.bus as BusName), undefined, 2))
}
