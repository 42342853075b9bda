/** What every ResultContract promises a lane: the chain's word on nonces, fees, transactions and requests; signing without it. */
import { Effect } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Hex } from "../../src/domain/hex.ts"
import type { BlockRef } from "../../src/domain/outcome.ts"
import type { RequestId } from "../../src/domain/request.ts"
import type { AttestedBatch } from "../../src/domain/response.ts"
import { type Broadcast, type Fees, type ResultContract, TOO_MUCH_GAS, withMargin } from "../../src/journey/6-submitted/result-contract.port.ts"
import { partOf } from "../../src/threshold/part-of-batch.ts"
import { eventually } from "../support/eventually.ts"

/** What stands in signed bytes. */
export interface Signed {
  readonly txHash: Hex
  readonly from: Hex
  readonly to: Hex
  readonly nonce: number
  readonly chainId: bigint
  readonly gasLimit: bigint
  readonly fees: Fees
  /** Neither value nor data. */
  readonly isEmpty: boolean
}

export interface GivenResultContract {
  /** Results are final when two blocks stand on theirs. */
  readonly results: ResultContract["Service"]
  readonly chainId: bigint
  readonly gateway: Hex
  /** Lanes with money, and one without. */
  readonly lanes: readonly [Hex, Hex]
  readonly pauper: Hex
  readonly request: () => Promise<RequestId>
  readonly batchOf: (ids: ReadonlyArray<RequestId>, change?: { readonly expiry?: number }) => Promise<AttestedBatch>
  readonly now: () => Promise<number>
  /** By somebody who knows the chain's encoding, and did not write the adapter. */
  readonly read: (rawTx: Hex) => Signed
  /** While it runs, transactions wait; whatever waits afterwards is mined in one block. */
  readonly withoutMining: (run: () => Promise<void>) => Promise<void>
  readonly mine: (blocks: number) => Promise<void>
  /** While it runs, a block holds no more gas than this. */
  readonly withBlocksOf: (gas: bigint, run: () => Promise<void>) => Promise<void>
  readonly reorganise: (depth: number) => Promise<void>
  /** What a gateway without a connection has. */
  readonly offline: () => Promise<ResultContract["Service"]>
  readonly close: () => Promise<void>
}

const GAS_LIMIT = 1_000_000n
/** Enough to be taken into a block, and not to fulfil anything. */
const TOO_LITTLE_GAS = 50_000n

export const resultContractLaws = (name: string, open: () => Promise<GivenResultContract>) =>
  describe(name, () => {
    let given: GivenResultContract
    let lane: Hex

    beforeAll(async () => {
      given = await open()
      lane = given.lanes[0]
    })
    afterAll(() => given.close())

    const ask = <A, E>(question: (results: ResultContract["Service"]) => Effect.Effect<A, E>) =>
      Effect.runPromise(question(given.results))
    const broadcast = (rawTx: Hex) => ask((results) => results.broadcast(rawTx))
    interface Over {
      readonly nonce?: number
      readonly fees?: Fees
      readonly from?: Hex
    }
    const signed = async (batch: AttestedBatch, over: Over = {}) => {
      const from = over.from ?? lane
      const nonce = over.nonce ?? (await ask((results) => results.nonceOf(from)))
      const fees = over.fees ?? (await ask((results) => results.fees))
      return { nonce, fees, ...(await ask((results) => results.sign(from, batch, { nonce, gasLimit: GAS_LIMIT, fees }))) }
    }
    const dearer = ({ maxFeePerGas, maxPriorityFeePerGas }: Fees): Fees => ({
      maxFeePerGas: maxFeePerGas * 2n,
      maxPriorityFeePerGas: maxPriorityFeePerGas * 2n + 1n
    })
    const minedBy = (...hashes: ReadonlyArray<Hex>) => ask((results) => results.mined(hashes))
    const fulfil = async (id: RequestId) => {
      const transaction = await signed(await given.batchOf([id]))
      expect(await broadcast(transaction.rawTx)).toBe("accepted")
      const mined = await eventually("it is mined", () => minedBy(transaction.txHash))
      return { ...transaction, mined }
    }

    test("it knows its chain and its lanes", async () => {
      expect(given.results.chainId).toBe(given.chainId)
      expect(given.results.addresses).toEqual(expect.arrayContaining([...given.lanes, given.pauper]))
    })

    describe("before anything is sent", () => {
      test("the nonce is the number of transactions that were mined, and pending ones do not count", async () => {
        const before = await ask((results) => results.nonceOf(lane))
        const { rawTx } = await signed(await given.batchOf([await given.request()]))
        await given.withoutMining(async () => {
          expect(await broadcast(rawTx)).toBe("accepted")
          expect(await ask((results) => results.nonceOf(lane))).toBe(before)
        })
        expect(await ask((results) => results.nonceOf(lane))).toBe(before + 1)
      })

      test("the final nonce follows when the block is final, and never counts what may be taken back", async () => {
        const before = await ask((results) => results.finalNonceOf(lane))
        const { nonce } = await fulfil(await given.request())
        expect(await ask((results) => results.finalNonceOf(lane))).toBeLessThanOrEqual(nonce)
        await given.mine(2)
        await eventually("it is final", async () => (await ask((results) => results.finalNonceOf(lane))) === nonce + 1)
        expect(nonce).toBeGreaterThanOrEqual(before)
      })

      test("with what waits in the mempool the nonce is never lower, and without anything it is the same", async () => {
        const { nonce } = await fulfil(await given.request())
        await given.mine(1)
        const [latest, pending] = [await ask((results) => results.nonceOf(lane)), await ask((results) => results.pendingNonceOf(lane))]
        expect([latest, pending]).toEqual([nonce + 1, nonce + 1])
      })

      test("the balance is what is left after a transaction was paid by its receipt", async () => {
        const before = await ask((results) => results.balanceOf(lane))
        const { mined } = await fulfil(await given.request())
        expect(mined.cost).toBeGreaterThan(21_000n)
        expect(mined.fulfilled).toHaveLength(1)
        expect(await ask((results) => results.balanceOf(lane))).toBe(before - mined.cost!)
        expect(await ask((results) => results.balanceOf(given.pauper))).toBe(0n)
      })

      test("fees pay for two full blocks of rising base fee, and never offer a tip above the whole", async () => {
        const { maxFeePerGas, maxPriorityFeePerGas } = await ask((results) => results.fees)
        expect(maxPriorityFeePerGas).toBeGreaterThanOrEqual(0n)
        expect(maxFeePerGas).toBeGreaterThan(maxPriorityFeePerGas)
      })

      test.each([1, 3])("an estimate of %i results is enough for the transaction to succeed", async (count) => {
        const ids: Array<RequestId> = []
        for (let index = 0; index < count; index += 1) ids.push(await given.request())
        const batch = await given.batchOf(ids)
        const gasLimit = await ask((results) => results.estimate(lane, batch))
        const [nonce, fees] = [await ask((results) => results.nonceOf(lane)), await ask((results) => results.fees)]
        const { rawTx, txHash } = await ask((results) => results.sign(lane, batch, { nonce, gasLimit, fees }))
        await broadcast(rawTx)
        const mined = await eventually("it is mined", () => minedBy(txHash))
        expect(mined.isSuccess).toBe(true)
        expect(await ask((results) => results.statuses(ids))).toEqual(ids.map(() => "fulfilled"))
      })

      test("each result of a batch is taken alone, with its proof, beside what was taken before", async () => {
        const ids: Array<RequestId> = []
        for (let index = 0; index < 3; index += 1) ids.push(await given.request())
        const batch = await given.batchOf(ids)
        for (const [index, id] of ids.entries()) {
          const part = partOf(batch, id)!
          await ask((results) => results.estimate(lane, part))
          const { rawTx, txHash } = await signed(part)
          await broadcast(rawTx)
          expect(await eventually("it is mined", () => minedBy(txHash))).toMatchObject({ isSuccess: true, fulfilled: [id] })
          expect(await ask((results) => results.statuses(ids))).toEqual(ids.map((_, at) => (at <= index ? "fulfilled" : "requested")))
        }
      })

      test("an estimate of what no block could hold with its margin is rejected: no mempool would take it", async () => {
        const batch = await given.batchOf([await given.request(), await given.request()])
        const gas = await ask((results) => results.estimate(lane, batch))
        const rejected = () => ask((results) => Effect.flip(results.estimate(lane, batch)))
        await given.withBlocksOf(withMargin(gas) - 1n, async () => {
          expect(await rejected()).toMatchObject({ _tag: "SubmissionRejected", reason: TOO_MUCH_GAS })
        })
        await given.withBlocksOf(gas - 1_000n, async () => expect(await rejected()).toMatchObject({ _tag: "SubmissionRejected" }))
        expect(await ask((results) => results.estimate(lane, batch))).toBe(gas)
      })

      test("an estimate of what would revert is rejected, which halts, with the contract's own word for it", async () => {
        const id = await given.request()
        const batch = await given.batchOf([id])
        const late = await given.batchOf([id], { expiry: (await given.now()) - 1 })
        const [first] = batch.responses
        const rejected = (wrong: AttestedBatch) => ask((results) => Effect.flip(results.estimate(lane, wrong)))
        expect(await rejected({ ...batch, attestation: new Uint8Array(130).fill(1) })).toMatchObject({
          _tag: "SubmissionRejected",
          fate: "halt",
          reason: "InvalidAttestation"
        })
        const other = { ...batch, responses: [{ ...first!, result: new Uint8Array(32) }] }
        expect(await rejected(other)).toMatchObject({ reason: "RootMismatch" })
        expect(await rejected(late)).toMatchObject({ reason: "AttestationExpired" })
      })
    })

    describe("signing", () => {
      test("says the same bytes for the same transaction, and what it says is what was asked", async () => {
        const batch = await given.batchOf([await given.request()])
        const fees = { maxFeePerGas: 7n, maxPriorityFeePerGas: 3n }
        const sign = () => ask((results) => results.sign(lane, batch, { nonce: 41, gasLimit: 123_456n, fees }))
        const [one, two] = [await sign(), await sign()]
        expect(one).toEqual(two)
        expect(given.read(one.rawTx)).toEqual({
          txHash: one.txHash,
          from: lane,
          to: given.gateway,
          nonce: 41,
          chainId: given.chainId,
          gasLimit: 123_456n,
          fees,
          isEmpty: false
        })
      })

      test("a cancellation sends nothing to itself, replaces what was dearer by a tenth, and uses up the nonce", async () => {
        const first = await signed(await given.batchOf([await given.request()]))
        const { nonce } = first
        const tx = { nonce, gasLimit: 100_000n, fees: dearer(first.fees) }
        const { rawTx, txHash } = await ask((results) => results.signCancellation(lane, tx))
        expect(given.read(rawTx)).toMatchObject({ from: lane, to: lane, isEmpty: true })
        await given.withoutMining(async () => {
          expect(await broadcast(first.rawTx)).toBe("accepted")
          expect(await broadcast(rawTx)).toBe("accepted")
        })
        expect(await eventually("it is mined", () => minedBy(first.txHash, txHash))).toMatchObject({ txHash, isSuccess: true })
        expect(await ask((results) => results.nonceOf(lane))).toBe(nonce + 1)
      })

      test("needs no chain", async () => {
        const batch = await given.batchOf([await given.request()])
        const tx = { nonce: 1, gasLimit: 1n, fees: { maxFeePerGas: 1n, maxPriorityFeePerGas: 1n } }
        const offline = await given.offline()
        const online = await ask((results) => results.sign(lane, batch, tx))
        expect(await Effect.runPromise(offline.sign(lane, batch, tx))).toEqual(online)
        expect(await Effect.runPromise(Effect.flip(offline.latest))).toMatchObject({ _tag: "ChainUnavailable" })
      })
    })

    describe("a broadcast", () => {
      test("is accepted, and accepted again while the chain knows it", async () => {
        const { rawTx, txHash } = await signed(await given.batchOf([await given.request()]))
        await given.withoutMining(async () => {
          expect(await broadcast(rawTx)).toBe("accepted")
          expect(await broadcast(rawTx)).toBe("accepted")
          expect(await minedBy(txHash)).toBeUndefined()
        })
        expect(await eventually("it is mined", () => minedBy(txHash))).toMatchObject({ txHash, isSuccess: true })
      })

      test("finds its nonce used, whether by itself or by another", async () => {
        const id = await given.request()
        const { rawTx, nonce } = await fulfil(id)
        expect(await broadcast(rawTx)).toBe("nonce-used")
        const other = await signed(await given.batchOf([await given.request()]), { nonce })
        expect(await broadcast(other.rawTx)).toBe("nonce-used")
      })

      test("that replaces another has to pay more, and then takes its place", async () => {
        const batch = await given.batchOf([await given.request()])
        const first = await signed(batch)
        const same = await signed(await given.batchOf([await given.request()]), first)
        const more = await signed(batch, { nonce: first.nonce, fees: dearer(first.fees) })
        await given.withoutMining(async () => {
          expect(await broadcast(first.rawTx)).toBe("accepted")
          expect(await broadcast(same.rawTx)).toBe("underpriced")
          expect(await broadcast(more.rawTx)).toBe("accepted")
        })
        const mined = await eventually("one of them is mined", () => minedBy(first.txHash, more.txHash))
        expect(mined.txHash).toBe(more.txHash)
        expect(await minedBy(first.txHash)).toBeUndefined()
      })

      test("that pays less than the chain asks is underpriced", async () => {
        const fees = { maxFeePerGas: 1n, maxPriorityFeePerGas: 1n }
        const cheap = await signed(await given.batchOf([await given.request()]), { fees })
        expect(await broadcast(cheap.rawTx)).toBe<Broadcast>("underpriced")
      })

      test("from an account that cannot pay says whose", async () => {
        const { rawTx } = await signed(await given.batchOf([await given.request()]), { from: given.pauper })
        expect(await ask((results) => Effect.flip(results.broadcast(rawTx)))).toMatchObject({
          _tag: "LaneOutOfFunds",
          fate: "retry",
          address: given.pauper
        })
      })
    })

    describe("afterwards", () => {
      test("a transaction is found by the hash of any attempt, and hashes that never were are not", async () => {
        const { txHash, mined } = await fulfil(await given.request())
        const never: Hex = `0x${"99".repeat(32)}`
        expect(await minedBy(never, txHash)).toEqual(mined)
        expect(await minedBy(txHash, never)).toEqual(mined)
        expect(await minedBy(never)).toBeUndefined()
        expect(await minedBy()).toBeUndefined()
      })

      test("a transaction that reverted is mined, and no success", async () => {
        const batch = await given.batchOf([await given.request()])
        const { rawTx, txHash } = await signed({ ...batch, attestation: new Uint8Array(130) })
        await broadcast(rawTx)
        expect(await eventually("it is mined", () => minedBy(txHash))).toMatchObject({ isSuccess: false })
      })

      test("a transaction that ran out of gas is mined, and no success, and its gas is paid for", async () => {
        const batch = await given.batchOf([await given.request()])
        const [nonce, fees] = [await ask((results) => results.nonceOf(lane)), await ask((results) => results.fees)]
        const { rawTx, txHash } = await ask((results) => results.sign(lane, batch, { nonce, gasLimit: TOO_LITTLE_GAS, fees }))
        await broadcast(rawTx)
        const mined = await eventually("it is mined", () => minedBy(txHash))
        expect(mined).toMatchObject({ isSuccess: false, fulfilled: [] })
        expect(mined.cost).toBeGreaterThan(21_000n)
      })

      test("statuses come in the order asked: unknown, requested, fulfilled", async () => {
        const [open, done] = [await given.request(), await given.request()]
        await fulfil(done)
        const never: RequestId = `0x${"98".repeat(32)}`
        expect(await ask((results) => results.statuses([done, never, open]))).toEqual(["fulfilled", "unknown", "requested"])
        expect(await ask((results) => results.statuses([]))).toEqual([])
      })

      test("a fulfilment is found by its request, whoever sent it, and none where there is none", async () => {
        const [open, done] = [await given.request(), await given.request()]
        const { mined } = await fulfil(done)
        const { txHash, block } = mined
        expect(await ask((results) => results.fulfilment(done))).toEqual({ txHash, block, isSuccess: true })
        expect(await ask((results) => results.fulfilment(open))).toBeUndefined()
      })

      test("a result is pending, then final, under the operator's policy", async () => {
        const { mined } = await fulfil(await given.request())
        expect(await ask((results) => results.finality(mined.block))).toBe("pending")
        await given.mine(2)
        await eventually("it is final", async () => (await ask((results) => results.finality(mined.block))) === "final")
      })

      test("a result that was reorganised away is gone: not mined, not fulfilled, and asked for again", async () => {
        const id = await given.request()
        const { mined, txHash } = await fulfil(id)
        await given.reorganise(1)
        const finality = (block: BlockRef) => ask((results) => results.finality(block))
        await eventually("its block is gone", async () => (await finality(mined.block)) === "gone")
        expect(await minedBy(txHash)).toBeUndefined()
        expect(await ask((results) => results.fulfilment(id))).toBeUndefined()
        expect(await ask((results) => results.statuses([id]))).toEqual(["requested"])
      })

      test("the newest block follows the chain", async () => {
        const before = await ask((results) => results.latest)
        await given.mine(1)
        expect(await ask((results) => results.latest)).toMatchObject({ number: before.number + 1, parentHash: before.hash })
      })
    })
  })
