/** A node behind a connection that has silently died: every call ends in time, and soon none is sent any more. */
import { Effect } from "effect"
import { createServer, type AddressInfo } from "node:net"
import { expect, test } from "vitest"
import { shareNodesLayer } from "../../../src/adapters/kms-node/share-nodes.layer.ts"
import type { CommitteeNode } from "../../../src/domain/committee.ts"
import { ShareNodes } from "../../../src/journey/4-shares-collected/share-node.port.ts"
import { CALL_POLICIES } from "../../../src/resilience/call-policy.ts"
import { aCommitteeRecord } from "../../journey/a-request.ts"

const TIMEOUT_MS = 150

/** Takes connections and what is said on them, and never says anything. */
const listenDeaf = async () => {
  const sockets = new Set<import("node:net").Socket>()
  const server = createServer((socket) => void sockets.add(socket.on("error", () => undefined).resume()))
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening))
  const close = () => new Promise<void>((closed) => (sockets.forEach((socket) => socket.destroy()), server.close(() => closed())))
  return { endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}`, close }
}

test("a node that hears and never answers costs each call its time limit, and after some calls nothing at all", async () => {
  const deaf = await listenDeaf()
  const [first] = aCommitteeRecord(2, 3).nodes
  const node: CommitteeNode = { ...first!, endpoint: deaf.endpoint }
  await Effect.runPromise(
    Effect.gen(function* () {
      const nodes = yield* ShareNodes
      const ask = Effect.flip(nodes.describe(node))
      const calls = Array.from({ length: CALL_POLICIES["kms-node"].volumeMin }, () => ask)
      const from = performance.now()
      for (const error of yield* Effect.all(calls, { concurrency: "unbounded" })) {
        expect(error).toMatchObject({ _tag: "NodeUnavailable", reason: "deadline-exceeded" })
      }
      expect(performance.now() - from).toBeLessThan(TIMEOUT_MS + 3_000)
      const again = performance.now()
      const refused = yield* ask
      expect(performance.now() - again).toBeLessThan(TIMEOUT_MS)
      expect(refused).toMatchObject({ _tag: "NodeUnavailable", reason: "resting" })
      expect(refused._tag === "NodeUnavailable" && refused.retryAfterMs).toBeGreaterThan(0)
    }).pipe(Effect.provide(shareNodesLayer({ security: { insecure: true }, timeoutMs: TIMEOUT_MS })))
  )
  await deaf.close()
})
