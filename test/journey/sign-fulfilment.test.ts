/** Signed bytes that can be stored before anybody sees them: enough gas, and a replacement that every node accepts as one. */
import { Effect, Layer } from "effect"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import type { AttestedBatch } from "../../src/domain/response.ts"
import { type Fees, ResultContract, SubmissionRejected } from "../../src/journey/6-submitted/result-contract.port.ts"
import { bump, signCancellation, signFulfilment } from "../../src/journey/6-submitted/sign-fulfilment.ts"
import { someHex } from "./a-request.ts"

const address = someHex(20)
const batch: AttestedBatch = {
  attested: { root: someHex(32), count: 1, epoch: 1, expiry: 2_000_000_000 },
  chainId: 31_337n,
  gateway: someHex(20),
  attestation: new Uint8Array(128),
  responses: [{ requestId: someHex(32), result: new Uint8Array(96) }]
}
const MARKET: Fees = { maxFeePerGas: 100n, maxPriorityFeePerGas: 2n }

/** Notes what was signed; the bytes do not matter here. */
const sign = async (
  of: { readonly gas?: bigint; readonly market?: Fees; readonly previous?: Fees; readonly rejects?: boolean; readonly cancels?: boolean } = {}
) => {
  const signed: Array<{ nonce: number; gasLimit: bigint; fees: Fees }> = []
  const notAsked = () => Effect.die("not a question of this step")
  const layer = Layer.succeed(ResultContract, {
    chainId: 31_337n,
    addresses: [address],
    together: (questions) => questions,
    fees: Effect.succeed(of.market ?? MARKET),
    estimate: () =>
      of.rejects === true
        ? Effect.fail(new SubmissionRejected({ reason: "InvalidAttestation" }))
        : Effect.succeed(of.gas ?? 180_000n),
    sign: (_address, _batch, tx) => Effect.sync(() => (signed.push(tx), { rawTx: someHex(100), txHash: someHex(32) })),
    latest: notAsked(),
    nonceOf: notAsked,
    pendingNonceOf: notAsked,
    finalNonceOf: notAsked,
    balanceOf: notAsked,
    signCancellation: (_address, tx) => Effect.sync(() => (signed.push(tx), { rawTx: someHex(100), txHash: someHex(32) })),
    broadcast: notAsked,
    mined: notAsked,
    statuses: notAsked,
    finality: notAsked,
    fulfilment: notAsked
  })
  const answer = await Effect.runPromise(
    (of.cancels === true ? signCancellation(address, 7, of.previous) : signFulfilment(address, batch, 7, of.previous)).pipe(Effect.provide(layer), Effect.result)
  )
  return { answer, signed }
}

const gwei = fc.bigInt({ min: 0n, max: 10n ** 15n })
const anyFees = fc.record({ maxFeePerGas: gwei, maxPriorityFeePerGas: gwei })

test("a first attempt pays the market's fees and has a quarter more gas than estimated", async () => {
  const { signed } = await sign({ gas: 180_001n })
  expect(signed).toEqual([{ nonce: 7, gasLimit: 225_001n, fees: MARKET }])
})

test("what the chain would revert is never signed", async () => {
  const { answer, signed } = await sign({ rejects: true })
  expect(answer).toMatchObject({ failure: { _tag: "SubmissionRejected", fate: "halt" } })
  expect(signed).toEqual([])
})

describe("a replacement", () => {
  test("pays at least 12.5 % more than the attempt before it, and never less than the market", () =>
    fc.assert(
      fc.asyncProperty(anyFees, anyFees, async (previous, market) => {
        const { signed } = await sign({ previous, market })
        const { fees } = signed[0]!
        for (const cap of ["maxFeePerGas", "maxPriorityFeePerGas"] as const) {
          expect(fees[cap] * 1_000n).toBeGreaterThanOrEqual(previous[cap] * 1_125n)
          expect(fees[cap]).toBeGreaterThanOrEqual(market[cap])
        }
      })
    ))

  test("takes the market's fees when those have risen by more", async () => {
    const market = { maxFeePerGas: 500n, maxPriorityFeePerGas: 50n }
    expect((await sign({ previous: MARKET, market })).signed[0]!.fees).toEqual(market)
  })

  test("pays more even where the step is less than one wei", () => {
    expect(bump({ maxFeePerGas: 1n, maxPriorityFeePerGas: 3n })).toEqual({ maxFeePerGas: 2n, maxPriorityFeePerGas: 4n })
  })

  test("is a replacement by geth's rule (10 % more on both), however often it is repeated", () => {
    fc.assert(
      fc.property(anyFees, fc.integer({ min: 1, max: 20 }), (first, times) => {
        let fees = first
        for (let attempt = 0; attempt < times; attempt++) {
          const next = bump(fees)
          expect(next.maxFeePerGas * 100n).toBeGreaterThanOrEqual(fees.maxFeePerGas * 110n)
          expect(next.maxPriorityFeePerGas * 100n).toBeGreaterThanOrEqual(fees.maxPriorityFeePerGas * 110n)
          fees = next
        }
      })
    )
  })

  test("never tips more than it pays in all, if the attempt before it did not", () => {
    fc.assert(
      fc.property(gwei, gwei, (a, b) => {
        const fees = a >= b ? { maxFeePerGas: a, maxPriorityFeePerGas: b } : { maxFeePerGas: b, maxPriorityFeePerGas: a }
        const next = bump(fees)
        expect(next.maxFeePerGas).toBeGreaterThanOrEqual(next.maxPriorityFeePerGas)
      })
    )
  })
})

test("a cancellation replaces like any other attempt", async () => {
  const { signed } = await sign({ cancels: true, previous: MARKET })
  expect(signed).toMatchObject([{ nonce: 7, fees: { maxFeePerGas: 113n, maxPriorityFeePerGas: 3n } }])
})
