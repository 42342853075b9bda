/** What every RequestLog promises `detect-requests`: each request of a block, once, in order, and nothing else. */
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Hex } from "../../src/domain/hex.ts"
import type { BlockRef } from "../../src/domain/outcome.ts"
import { type DecryptionRequest, requestIdOf } from "../../src/domain/request.ts"
import type { RequestLog } from "../../src/journey/1-detected/request-log.port.ts"

interface Made {
  readonly id: Hex
  readonly facts: DecryptionRequest
}

export interface GivenRequestLog {
  readonly log: RequestLog["Service"]
  readonly chainId: bigint
  /** Requests with these contents, each in a transaction of its own, all in one block and in this order. */
  readonly inOneBlock: (count: number) => Promise<{ readonly made: ReadonlyArray<Made>; readonly block: BlockRef }>
  /** The same, but all in one transaction. */
  readonly inOneTransaction: (count: number) => Promise<{ readonly made: ReadonlyArray<Made>; readonly block: BlockRef }>
  readonly userRequest: () => Promise<{ readonly made: Made; readonly block: BlockRef }>
  /** Somebody else's contract says the same words about the same contents. */
  readonly lookAlike: () => Promise<BlockRef>
  readonly mine: (blocks: number) => Promise<void>
  readonly reorganise: (depth: number) => Promise<void>
  readonly close: () => Promise<void>
}

export const requestLogLaws = (name: string, open: () => Promise<GivenRequestLog>) =>
  describe(name, () => {
    let given: GivenRequestLog

    beforeAll(async () => {
      given = await open()
    })
    afterAll(() => given.close())

    const run = <A, E>(look: (log: RequestLog["Service"]) => Effect.Effect<A, E>) => Effect.runPromise(look(given.log))
    const read = async (number: number) => {
      const block = await run((log) => log.readBlock(number))
      expect(block).toBeDefined()
      return block!
    }

    test("it speaks for the chain that it was opened for", () => {
      expect(given.log.chainId).toBe(given.chainId)
    })

    test("a request is told with everything that its id commits to, and where it stands", async () => {
      const { made, block } = await given.inOneBlock(1)
      const found = await read(block.blockNumber)
      expect(found.hash).toBe(block.blockHash)
      expect(found.requests).toEqual([{ ...made[0]!, anchor: { ...block, logIndex: 0 } }])
      expect(requestIdOf(found.requests[0]!.facts)).toBe(found.requests[0]!.id)
    })

    test("a user request is told with its account and its transport key", async () => {
      const { made, block } = await given.userRequest()
      const { requests } = await read(block.blockNumber)
      expect(requests).toMatchObject([{ id: made.id, facts: { ...made.facts, kind: "user" } }])
    })

    test.each([
      ["in one block", "inOneBlock"],
      ["in one transaction", "inOneTransaction"]
    ] as const)("several requests %s come each once, in the order of the log", async (_where, how) => {
      const { made, block } = await given[how](3)
      const { requests } = await read(block.blockNumber)
      expect(requests.map(({ id }) => id)).toEqual(made.map(({ id }) => id))
      expect(requests.map(({ facts }) => facts)).toEqual(made.map(({ facts }) => facts))
      const places = requests.map(({ anchor }) => anchor.logIndex)
      expect(places).toEqual(places.toSorted((a, b) => a - b))
      expect(new Set(places).size).toBe(3)
    })

    test("a block is read the same, however often", async () => {
      const { block } = await given.inOneBlock(2)
      expect(await read(block.blockNumber)).toEqual(await read(block.blockNumber))
    })

    test("an empty block is a block without requests", async () => {
      await given.mine(1)
      const { number } = await run((log) => log.latest)
      expect((await read(number)).requests).toEqual([])
    })

    test("what another contract says is no request of ours", async () => {
      const { blockNumber } = await given.lookAlike()
      expect((await read(blockNumber)).requests).toEqual([])
    })

    test("a height that the chain has not reached has neither block nor head", async () => {
      const { number } = await run((log) => log.latest)
      expect(await run((log) => log.readBlock(number + 1_000))).toBeUndefined()
      expect(await run((log) => log.headAt(number + 1_000))).toBeUndefined()
    })

    test("heads link up by their parents' hashes, and are the heads of the blocks that are read", async () => {
      await given.mine(2)
      const latest = await run((log) => log.latest)
      const [parent, same] = [await run((log) => log.headAt(latest.number - 1)), await run((log) => log.headAt(latest.number))]
      expect(latest.parentHash).toBe(parent?.hash)
      expect(parent!.timestamp).toBeLessThanOrEqual(latest.timestamp)
      expect(same).toMatchObject({ number: latest.number, hash: latest.hash, parentHash: latest.parentHash })
      const { requests: _, ...head } = await read(latest.number)
      expect(head).toMatchObject({ hash: latest.hash, parentHash: latest.parentHash, timestamp: latest.timestamp })
    })

    test("what the chain calls final lies behind its newest block, and follows it", async () => {
      const before = await run((log) => log.finalized)
      await given.mine(3)
      const [after, latest] = [await run((log) => log.finalized), await run((log) => log.latest)]
      expect(after.number).toBe(before.number + 3)
      expect(after.number).toBeLessThanOrEqual(latest.number)
    })

    test("the final block is the one that stands at its height, and nothing above it is final for anybody", async () => {
      await given.mine(1)
      const { number, hash, parentHash } = await run((log) => log.finalized)
      expect(await run((log) => log.headAt(number))).toMatchObject({ hash, parentHash })
      const words = await run((log) => log.finalAt(number))
      expect(words).toHaveLength(2)
      for (const word of words) expect(word).toMatchObject({ number, hash })
      expect(await run((log) => log.finalAt(number + 1_000))).toEqual([undefined, undefined])
    })

    test("after a reorganisation the same height tells of the block that stands there now", async () => {
      const { made, block } = await given.inOneBlock(1)
      expect((await read(block.blockNumber)).requests.map(({ id }) => id)).toEqual(made.map(({ id }) => id))
      await given.reorganise(1)
      const now = await read(block.blockNumber)
      expect(now.hash).not.toBe(block.blockHash)
      expect(now.requests).toEqual([])
    })
  })
