/** What every AccessList promises `check-acl`: one answer at one recorded block, and "no" only ever for a no. */
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Handle } from "../../src/domain/handle.ts"
import type { Hex } from "../../src/domain/hex.ts"
import type { BlockRef } from "../../src/domain/outcome.ts"
import type { DecryptionRequest, RequestId } from "../../src/domain/request.ts"
import type { AccessList, Permission } from "../../src/journey/2-acl-checked/access-list.port.ts"
import { eventually } from "../support/eventually.ts"

interface Made {
  readonly id: RequestId
  readonly facts: DecryptionRequest
  readonly block: BlockRef
}

export interface GivenAccessList {
  /** Four views of one chain; `confirmations` wants two blocks on top. */
  readonly lists: Readonly<Record<"latest" | "confirmations" | "safe" | "finalized", AccessList["Service"]>>
  /** Whoever makes every request, and owns every handle. */
  readonly requester: Hex
  /** Somebody who delegated to nobody. */
  readonly stranger: Hex
  readonly register: () => Promise<Handle>
  /** A handle of the stranger's. */
  readonly registerForeign: () => Promise<Handle>
  readonly allowPublic: (handle: Handle) => Promise<unknown>
  readonly revokePublic: (handle: Handle) => Promise<unknown>
  readonly allow: (handle: Handle, account: Hex) => Promise<unknown>
  readonly requestPublic: (handle: Handle) => Promise<Made>
  readonly requestUser: (handle: Handle, account: Hex) => Promise<Made>
  readonly fulfil: (id: RequestId) => Promise<{ readonly txHash: Hex; readonly block: BlockRef }>
  readonly retireEpoch: () => Promise<unknown>
  readonly head: () => Promise<BlockRef>
  readonly mine: (blocks: number) => Promise<void>
  readonly pass: (seconds: number) => Promise<void>
  readonly reorganise: (depth: number) => Promise<void>
  /** Seconds from a request to its deadline. */
  readonly lifetimeSeconds: number
  readonly close: () => Promise<void>
}

export const accessListLaws = (name: string, open: () => Promise<GivenAccessList>) =>
  describe(name, () => {
    let given: GivenAccessList

    beforeAll(async () => {
      given = await open()
    })
    afterAll(() => given.close())

    type Policy = keyof GivenAccessList["lists"]
    const ask = ({ id, facts }: Pick<Made, "id" | "facts">, policy: Policy = "latest") =>
      Effect.runPromise(given.lists[policy].permission(id, facts))
    /** An adapter may remember the newest block for a moment; this is what it says once it has looked again. */
    const askUntil = (made: Made, type: Permission["type"], policy: Policy = "latest") =>
      eventually(`the answer is ${type}`, async () => {
        const said = await ask(made, policy)
        return said.type === type && said
      })
    const finality = (block: BlockRef, policy: Policy) =>
      Effect.runPromise(given.lists[policy].finality({ ...block, logIndex: 0 }))
    const finalityUntil = (block: BlockRef, policy: Policy, wanted: "final" | "pending" | "gone") =>
      eventually(`under ${policy} the block is ${wanted}`, async () => (await finality(block, policy)) === wanted)
    const openHandle = async () => {
      const handle = await given.register()
      await given.allowPublic(handle)
      return handle
    }

    describe("permission", () => {
      test("a public request for an open handle is allowed, at the block that was asked, by number and hash", async () => {
        const made = await given.requestPublic(await openHandle())
        const head = await given.head()
        expect(await askUntil(made, "allowed")).toEqual({
          type: "allowed",
          block: { blockNumber: head.blockNumber, blockHash: head.blockHash }
        })
      })

      test("a user request is allowed to whom the handle is", async () => {
        const handle = await given.register()
        await given.allow(handle, given.requester)
        const made = await given.requestUser(handle, given.requester)
        expect((await askUntil(made, "allowed")).type).toBe("allowed")
      })

      test("a public request for a closed handle is denied: not public", async () => {
        const made = await given.requestPublic(await given.register())
        expect(await askUntil(made, "denied")).toMatchObject({ reason: "not-public" })
      })

      test("a user request for somebody else's secret is denied: not allowed", async () => {
        const made = await given.requestUser(await given.registerForeign(), given.requester)
        expect(await askUntil(made, "denied")).toMatchObject({ reason: "not-allowed" })
      })

      test("a user request in the name of somebody who did not delegate is denied: not delegated", async () => {
        const handle = await given.register()
        await given.allow(handle, given.stranger)
        const made = await given.requestUser(handle, given.stranger)
        expect(await askUntil(made, "denied")).toMatchObject({ reason: "not-delegated" })
      })

      test("a request that the contract does not know at that block is unknown, which is not a no", async () => {
        const made = await given.requestPublic(await given.register())
        expect(await ask(made, "confirmations")).toMatchObject({ type: "unknown" })
        await given.mine(2)
        expect(await askUntil(made, "denied", "confirmations")).toMatchObject({ reason: "not-public" })
      })

      test("a revocation before the recorded block counts, one after it does not", async () => {
        const handle = await openHandle()
        const made = await given.requestPublic(handle)
        const before = await given.head()
        await given.mine(1)
        await given.revokePublic(handle)
        // "confirmations" now looks at `before`, two blocks under the head.
        expect(await askUntil(made, "allowed", "confirmations")).toEqual({
          type: "allowed",
          block: { blockNumber: before.blockNumber, blockHash: before.blockHash }
        })
        expect(await askUntil(made, "denied", "latest")).toMatchObject({ reason: "not-public" })
        await given.mine(2)
        expect(await askUntil(made, "denied", "confirmations")).toMatchObject({ reason: "not-public" })
      })

      test("a request that was fulfilled is told with the transaction that did it, and that one's block", async () => {
        const made = await given.requestPublic(await openHandle())
        const { txHash, block } = await given.fulfil(made.id)
        expect(await askUntil(made, "fulfilled")).toEqual({ type: "fulfilled", txHash, block })
      })

      test("contents that are not those of the id are the chain's contradiction, never an answer", async () => {
        const made = await given.requestPublic(await openHandle())
        const other = { ...made, facts: { ...made.facts, callbackGas: 1 } }
        await expect(ask(other)).rejects.toMatchObject({ _tag: "ChainUnavailable", fate: "retry" })
      })

      test("a request whose deadline the recorded block has passed is expired", async () => {
        const made = await given.requestPublic(await openHandle())
        await given.pass(given.lifetimeSeconds - 60)
        expect((await ask(made)).type).toBe("allowed")
        await given.pass(120)
        const head = await given.head()
        expect(await askUntil(made, "expired")).toEqual({
          type: "expired",
          block: { blockNumber: head.blockNumber, blockHash: head.blockHash }
        })
      })
    })

    describe("finality", () => {
      test("under `latest` a block is final as soon as it stands", async () => {
        const { block } = await given.requestPublic(await given.register())
        await finalityUntil(block, "latest", "final")
      })

      test.each([
        ["confirmations", 2],
        ["safe", 1],
        ["finalized", 2]
      ] as const)("under `%s` a block is pending until %i more stand on it, and final for good", async (policy, depth) => {
        const { block } = await given.requestPublic(await given.register())
        for (let standing = 0; standing < depth; standing += 1) {
          expect(await finality(block, policy)).toBe("pending")
          await given.mine(1)
        }
        await finalityUntil(block, policy, "final")
        await given.mine(2)
        expect(await finality(block, policy)).toBe("final")
      })

      const policies = ["latest", "confirmations", "safe", "finalized"] as const
      test.each(policies)("under `%s` a block that was reorganised away is gone", async (policy) => {
        const { block } = await given.requestPublic(await given.register())
        await given.reorganise(1)
        await finalityUntil(block, policy, "gone")
        await given.mine(4)
        await finalityUntil(block, policy, "gone")
      })

      test("a block above the endpoint's newest is pending, not gone: the endpoint may lag", async () => {
        const { blockNumber, blockHash } = await given.head()
        expect(await finality({ blockNumber: blockNumber + 100, blockHash }, "latest")).toBe("pending")
      })
    })

    test("once its epoch is retired a request is denied: epoch retired", async () => {
      const made = await given.requestPublic(await openHandle())
      expect((await askUntil(made, "allowed")).type).toBe("allowed")
      await given.retireEpoch()
      expect(await askUntil(made, "denied")).toMatchObject({ reason: "epoch-retired" })
    })
  })
