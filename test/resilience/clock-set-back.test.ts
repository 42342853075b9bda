/** What is remembered for a moment is not remembered for an hour because somebody set the calendar's clock back by one. */
import { Clock, Effect } from "effect"
import { expect, test } from "vitest"
import { finalityOf } from "../../src/adapters/ethereum/finality.ts"
import type { BlockHeader, Rpc } from "../../src/adapters/ethereum/rpc.ts"
import { nodeBeliefs } from "../../actors/kms-node.actor.ts"
import { NODE_PATIENCE } from "../../machines/kms-node.machine.ts"
import type { Committee } from "../../src/domain/committee.ts"
import { NodeUnavailable } from "../../src/journey/4-shares-collected/share-node.port.ts"
import { heardTelemetry } from "../actors/support/heard-telemetry.ts"
import { movedClock } from "../actors/support/moved-clock.ts"

const HOUR_MS = 3_600_000

test("the newest final block", async () => {
  const time = movedClock()
  let number = 7
  const block = () => Effect.sync(() => ({ number, hash: "0xb1", parentHash: "0xb0", timestamp: 0, logsBloom: "0x", baseFeePerGas: 0n }) satisfies BlockHeader)
  const rpc = { witnesses: 1, block, agreed: ({ ask }: { readonly ask: unknown }) => ask } as unknown as Rpc
  const { newest } = finalityOf(rpc, { type: "finalized" })
  const ask = () => Effect.runPromise(Effect.provideService(newest, Clock.Clock, time.clock))
  expect((await ask()).number).toBe(7)
  number = 8
  time.setBack(HOUR_MS)
  time.forward(1_000)
  expect((await ask()).number).toBe(8)
})

test("a KMS node that rests", async () => {
  const time = movedClock()
  const node = (id: number) => ({ id, identity: `0x0${id}`, endpoint: `node-${id}:1` })
  const committee = { epoch: 1, threshold: 1, nodes: [node(1), node(2)] } as unknown as Committee
  const beliefs = await Effect.runPromise(
    nodeBeliefs.pipe(Effect.provide(heardTelemetry().layer), Effect.provideService(Clock.Clock, time.clock))
  )
  for (let failures = 0; failures < 20; failures++) {
    beliefs.failed(committee, 1, new NodeUnavailable({ nodeId: 1, reason: "unavailable", retryAfterMs: 0 }))
  }
  expect(beliefs.rank(committee)).toEqual([2])
  time.setBack(HOUR_MS)
  time.forward(NODE_PATIENCE.restMsMax)
  expect(beliefs.rank(committee)).toContain(1)
})
