/** Requests raised one after the other at an even pace, whatever becomes of them, each followed from its transaction to its end. */
import { setTimeout as pause } from "node:timers/promises"
import { gatewayInterface } from "../../src/adapters/ethereum/inspection.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { ask } from "./lease-holders.ts"
import type { NativeCluster } from "./native-cluster.ts"
import type { Followed } from "./recovery-time.ts"

const REQUESTED = gatewayInterface.getEvent("DecryptionRequested")!.topicHash
const RECEIPT_MS_MAX = 30_000

interface Raised {
  readonly hash: string
  readonly raisedMs: number
  id: RequestId | undefined
}

export class SteadyLoad {
  private readonly cluster: NativeCluster
  private readonly raised: Array<Raised> = []
  private isOver = false
  private readonly running: Promise<void>

  constructor(cluster: NativeCluster, perSecond: number) {
    this.cluster = cluster
    this.running = this.run(1_000 / perSecond)
    this.running.catch(() => {}) // said by `end`
  }

  /** Raises no more. */
  async end(): Promise<void> {
    this.isOver = true
    await this.running
  }

  /** By the clock of this machine, which is also the database server's. */
  async followed(): Promise<ReadonlyArray<Followed>> {
    const ids = await Promise.all(this.raised.map((one) => this.idOf(one)))
    const rows = await ask<{ id: string; ended: number }>(
      this.cluster.world.postgres.address,
      `SELECT '0x' || encode(r.request_id, 'hex') AS id, 1000 * extract(epoch FROM t.at)::float8 AS ended
       FROM request r JOIN transition t ON t.request_number = r.number WHERE t.to_state = 'finalized' AND r.request_id = ANY($1)`,
      [ids.map((id) => Buffer.from(id.slice(2), "hex"))]
    )
    const endedMs = new Map(rows.map(({ id, ended }) => [id, ended]))
    return this.raised.map(({ raisedMs }, index) => ({ raisedMs, endedMs: endedMs.get(ids[index] ?? "") }))
  }

  private async run(everyMs: number): Promise<void> {
    const startMs = performance.now()
    for (let tick = 1; !this.isOver; tick++) {
      const raisedMs = Date.now()
      const [hash = ""] = await this.cluster.client.raise(1)
      this.raised.push({ hash, raisedMs, id: undefined })
      await pause(Math.max(0, tick * everyMs - (performance.now() - startMs)))
    }
  }

  private async idOf(one: Raised): Promise<RequestId> {
    const until = performance.now() + RECEIPT_MS_MAX
    while (one.id === undefined) {
      const receipt = await this.cluster.world.provider.getTransactionReceipt(one.hash)
      one.id = receipt?.logs.find(({ topics }) => topics[0] === REQUESTED)?.topics[1] as RequestId | undefined
      if (one.id === undefined && performance.now() > until) throw new TypeError(`the chain has no request in ${one.hash}`)
      if (one.id === undefined) await pause(50)
    }
    return one.id
  }
}
