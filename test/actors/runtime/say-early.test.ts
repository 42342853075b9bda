/** One request that takes for ever does not keep the answers of those that came in the same message. */
import { Deferred, Effect, Layer } from "effect"
import { describe, expect, test } from "vitest"
import { sayEarly } from "../../../actors/runtime/say-early.ts"
import type { StepOutcome } from "../../../src/domain/outcome.ts"
import type { StoredRequest } from "../../../src/ledger/stored-request.ts"
import { Bus, BusUnavailable } from "../../../src/messaging/bus.port.ts"
import { decodeOutcomes } from "../../../src/messaging/envelope.ts"
import { random32 } from "../../support/ledger-world.ts"
import { eventually } from "../../support/eventually.ts"

const requestOf = (): StoredRequest => ({ id: random32(), version: 3, partition: 0, state: "acl-checked" }) as StoredRequest
const fetched: StepOutcome = { type: "ciphertext-fetched", digests: [] }

const start = ({ isBusDown = false } = {}) => {
  const [quick, slow] = [requestOf(), requestOf()]
  const heard: Array<string> = []
  const refused: Array<Uint8Array> = []
  const arrives = Deferred.makeUnsafe<StepOutcome>()
  const bus = Layer.succeed(Bus, {
    publish: (_subject, body) =>
      isBusDown
        ? Effect.suspend(() => {
            refused.push(body)
            return Effect.fail(new BusUnavailable({ doing: "publish", cause: "down" }))
          })
        : Effect.map(Effect.orDie(decodeOutcomes(body)), ({ items }) => void heard.push(...items.map(({ requestId }) => requestId))),
    consume: () => Effect.void,
    ping: Effect.void
  })
  const work = (request: StoredRequest) => (request === quick ? Effect.succeed(fetched) : Deferred.await(arrives))
  const result = Effect.runPromise(sayEarly("acl-checked", [quick, slow], work).pipe(Effect.provide(bus)))
  return { quick, slow, heard, refused, result, finish: () => Deferred.doneUnsafe(arrives, Effect.succeed(fetched)) }
}

describe("A slow request", () => {
  test("does not keep the others waiting, and is said as soon as it is known", async () => {
    const { quick, slow, heard, result, finish } = start()
    await eventually("the quick one is said", () => heard.length === 1)
    expect(heard).toEqual([quick.id])
    finish()
    expect(await result).toEqual([null, null])
    expect(heard).toEqual([quick.id, slow.id])
  })

  test("costs no message of its own when all are quick", async () => {
    const { heard, result, finish } = start()
    finish()
    expect(await result).toEqual([fetched, fetched])
    expect(heard).toEqual([])
  })

  test("loses nobody's answer when the bus is down: it is said at the end", async () => {
    const { heard, refused, result, finish } = start({ isBusDown: true })
    await eventually("the quick one could not be said", () => refused.length === 1)
    finish()
    expect(await result).toEqual([fetched, fetched])
    expect(heard).toEqual([])
  })
})
