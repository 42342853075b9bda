/** Up to n - k nodes may be dead and up to k - 1 may lie. They may slow a request down; they may never change its result. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest"
import type { NodeFault } from "../../src/kms-node/fault.ts"
import { JourneyWorld, type RunningGateway } from "../support/journey.ts"

describe.each(["bls", "quorum"] as const)("a committee of three, two of them needed (%s)", (scheme) => {
  let world: JourneyWorld
  let gateway: RunningGateway | undefined
  beforeAll(async () => {
    world = await JourneyWorld.start({ scheme })
  })
  afterEach(async () => {
    await gateway?.stop()
    gateway = undefined
  })
  afterAll(() => world?.stop())

  /** Node 1 is another one, and so is the gateway: it has no opinion of anybody yet. */
  const start = async (fault?: NodeFault) => {
    await world.world.kms.stop(1, "SIGKILL")
    await world.world.kms.start(1, fault)
    gateway = await world.gateway()
  }

  test("with one lying node still answers rightly, names the liar and keeps a signed proof", async () => {
    await start("wrong-share")
    const { id, value } = await world.publicRequest()
    const history = await world.reaches(id, "finalized")
    const verified = history.find(({ to }) => to === "threshold-verified")?.event
    expect(verified).toMatchObject({ type: "threshold-verified", liars: [1] })
    expect(await world.client.waitForResult(id)).toMatchObject({ items: [new Uint8Array(value)] })
    const evidence = await world.query<{ readonly node_id: number }>("SELECT node_id FROM evidence")
    expect(evidence.map(({ node_id }) => Number(node_id))).toEqual([1])
    expect(await world.fulfilments(id)).toHaveLength(1)
  })

  // What follows is the same under either scheme.
  if (scheme === "quorum") return

  test.each(["malformed", "silent", "refuse", "equivocate"] as const)("with one node that is %s still answers rightly", async (fault) => {
    await start(fault)
    const { id, value } = await world.publicRequest()
    await world.reaches(id, "finalized")
    expect(await world.client.waitForResult(id)).toMatchObject({ items: [new Uint8Array(value)] })
  })

  test("with one dead node still answers rightly, and with two dead waits until one is back", async () => {
    await start()
    await world.world.kms.stop(1, "SIGKILL")
    const first = await world.publicRequest()
    await world.reaches(first.id, "finalized")
    await world.world.kms.stop(2, "SIGKILL")
    const second = await world.publicRequest()
    const waiting = await world.reaches(second.id, "ciphertext-fetched")
    expect(waiting.map(({ to }) => to)).not.toContain("shares-collected")
    await world.world.kms.start(2)
    await world.reaches(second.id, "finalized")
    expect(await world.client.waitForResult(second.id)).toMatchObject({ items: [new Uint8Array(second.value)] })
  })
})
