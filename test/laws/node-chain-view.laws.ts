/**
 * What every NodeChainView promises a KMS node about the chain. Each test gets requests of its own; the last ones end the epoch.
 */
import { randomBytes } from "node:crypto"
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { type Hex, toHex } from "../../src/domain/hex.ts"
import type { DecryptionRequest } from "../../src/domain/request.ts"
import { randomSecret } from "../../src/threshold/scalar.ts"
import { transportKeyOf } from "../../src/threshold/transport.ts"
import { nobleEngine } from "../../src/threshold/noble-engine.ts"
import { eventually } from "../support/eventually.ts"
import { type ChainWorld, REQUEST_LIFETIME_SECONDS, type View } from "../support/chain-world.ts"

export const nodeChainViewLaws = (
  name: string,
  open: () => Promise<{ readonly world: ChainWorld; readonly close: () => Promise<void> }>
) =>
  describe(name, () => {
    let world: ChainWorld
    let close: () => Promise<void>

    beforeAll(async () => {
      ;({ world, close } = await open())
    })
    afterAll(() => close())

    const transportKey = toHex(transportKeyOf(nobleEngine, randomSecret()))
    const inspect = (request: DecryptionRequest, view: View = world.view) => Effect.runPromise(view.inspect(request))
    const registered = async () => {
      const digest = toHex(randomBytes(32))
      return { digest, handle: await world.register(toHex(randomBytes(32)), digest, 400) }
    }
    const allowedToAll = async () => {
      const made = await registered()
      await world.allowPublic(made.handle)
      return made
    }
    const allowedTo = async (account: Hex) => {
      const made = await registered()
      await world.allow(made.handle, account)
      return made
    }

    test("a request that was made and is allowed is seen so, with the digests in its order", async () => {
      const made = [await allowedToAll(), await allowedToAll(), await allowedToAll()]
      const request = await world.requestPublic(made.map(({ handle }) => handle))
      expect(await inspect(request)).toEqual({
        status: "requested",
        isExpired: false,
        denial: undefined,
        digests: made.map(({ digest }) => digest)
      })
    })

    test("a request that nobody made is unknown, though everything in it is allowed", async () => {
      const request = await world.requestPublic([(await allowedToAll()).handle])
      expect(await inspect({ ...request, salt: toHex(randomBytes(32)) })).toMatchObject({ status: "unknown", denial: undefined })
      expect(await inspect({ ...request, deadline: request.deadline + 1 })).toMatchObject({ status: "unknown" })
      expect(await inspect({ ...request, callbackGas: 1 })).toMatchObject({ status: "unknown" })
      expect(await inspect({ ...request, requester: world.owner })).toMatchObject({ status: "unknown" })
    })

    test("a public request for a handle that may not become public is denied", async () => {
      const [open, shut] = [await allowedToAll(), await allowedTo(world.requester)]
      expect(await inspect(await world.requestPublic([open.handle, shut.handle]))).toMatchObject({
        status: "requested",
        denial: "not-public"
      })
    })

    test("a user request needs the account's permission for every handle", async () => {
      const [mine, not] = [await allowedTo(world.requester), await allowedToAll()]
      const handles = [mine.handle, not.handle]
      expect(await inspect(await world.requestUser({ handles: [mine.handle], transportKey }))).toMatchObject({
        denial: undefined
      })
      expect(await inspect(await world.requestUser({ handles, transportKey }))).toMatchObject({
        status: "requested",
        denial: "not-allowed"
      })
    })

    test("a requester that was not delegated to may not act for an account", async () => {
      const { handle } = await allowedTo(world.owner)
      const request = await world.requestUser({ handles: [handle], account: world.owner, transportKey })
      expect(await inspect(request)).toMatchObject({ status: "requested", denial: "not-delegated" })
    })

    test("a handle that nobody registered has no digest", async () => {
      const { handle, digest } = await allowedToAll()
      const request = await world.requestPublic([handle])
      const stranger = toHex(randomBytes(32))
      expect(await inspect({ ...request, handles: [handle, stranger] })).toMatchObject({
        denial: "unknown-request",
        digests: [digest, undefined]
      })
    })

    test("a request is unsettled until its block is as deep as the operator wants", async () => {
      const { handle } = await allowedToAll()
      await world.mine(2)
      const request = await world.requestPublic([handle])
      expect(await inspect(request, world.settledView)).toMatchObject({ status: "unsettled" })
      expect(await inspect(request)).toMatchObject({ status: "requested" })
      await world.mine(2)
      // A view may remember the newest block for a moment.
      const settled = await eventually("the request is settled", async () => {
        const seen = await inspect(request, world.settledView)
        return seen.status === "unsettled" ? undefined : seen
      })
      expect(settled).toMatchObject({ status: "requested", denial: undefined })
      expect(await inspect({ ...request, salt: toHex(randomBytes(32)) }, world.settledView)).toMatchObject({ status: "unknown" })
    })

    test("a fulfilled request is fulfilled", async () => {
      const request = await world.requestPublic([(await allowedToAll()).handle])
      await world.fulfil(request)
      expect(await inspect(request)).toMatchObject({ status: "fulfilled" })
    })

    test("the epoch's record is the committee's, and other epochs have none", async () => {
      expect(await Effect.runPromise(world.view.committee(world.committee.epoch))).toEqual(world.committee)
      expect(await Effect.runPromise(world.view.committee(world.committee.epoch + 1))).toBeUndefined()
    })

    test("a request expires by the chain's own clock, under every policy", async () => {
      const request = await world.requestPublic([(await allowedToAll()).handle])
      await world.mine(3)
      await world.pass(REQUEST_LIFETIME_SECONDS + 5)
      expect(await inspect(request)).toMatchObject({ status: "requested", isExpired: true })
      await eventually("the settled view sees it too", async () => (await inspect(request, world.settledView)).isExpired)
    })

    test("a retired epoch denies everything", async () => {
      const { handle } = await allowedToAll()
      const request = await world.requestPublic([handle])
      await world.retireEpoch()
      expect(await inspect(request)).toMatchObject({ status: "requested", denial: "epoch-retired" })
    })
  })
