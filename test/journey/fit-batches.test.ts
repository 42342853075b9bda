/** What nodes have to check and one transaction has to carry: never more than every Ethereum node takes, and nobody's result left out. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import {
  CALLBACK_GAS_PER_ATTESTATION_MAX,
  HANDLES_PER_ATTESTATION_MAX,
  RESPONSES_PER_ATTESTATION_MAX,
  RESULT_BYTES_PER_ATTESTATION_MAX
} from "../../src/domain/limits.ts"
import { type BatchCost, fitBatches } from "../../src/journey/5-threshold-verified/fit-batches.ts"

const fit = (results: ReadonlyArray<BatchCost>) => fitBatches(results, (result) => result)
const sum = (batch: ReadonlyArray<BatchCost>, of: keyof BatchCost) => batch.reduce((total, result) => total + result[of], 0)
const result: fc.Arbitrary<BatchCost> = fc.record({
  handles: fc.integer({ min: 1, max: 32 }),
  resultBytes: fc.nat(RESULT_BYTES_PER_ATTESTATION_MAX),
  callbackGas: fc.nat(500_000)
})

describe("Results are cut into batches", () => {
  test("that hold every result once, in order", () => {
    fc.assert(fc.property(fc.array(result, { maxLength: 100 }), (results) => {
      expect(fit(results).flat()).toEqual(results)
    }))
  })

  test("none of which is larger than a transaction may be", () => {
    fc.assert(fc.property(fc.array(result, { maxLength: 100 }), (results) => {
      for (const batch of fit(results)) {
        expect(batch.length).toBeGreaterThan(0)
        expect(batch.length).toBeLessThanOrEqual(RESPONSES_PER_ATTESTATION_MAX)
        expect(sum(batch, "handles")).toBeLessThanOrEqual(HANDLES_PER_ATTESTATION_MAX)
        expect(sum(batch, "resultBytes")).toBeLessThanOrEqual(RESULT_BYTES_PER_ATTESTATION_MAX)
        expect(sum(batch, "callbackGas")).toBeLessThanOrEqual(CALLBACK_GAS_PER_ATTESTATION_MAX)
      }
    }))
  })

  test("that stay whole when they are small", () => {
    const small = Array.from({ length: RESPONSES_PER_ATTESTATION_MAX }, () => ({ handles: 1, resultBytes: 128, callbackGas: 0 }))
    expect(fit(small)).toHaveLength(1)
  })

  test("so that 32 user requests of 32 handles are not one transaction of a quarter of a megabyte", () => {
    const user = Array.from({ length: 32 }, () => ({ handles: 32, resultBytes: 64 + 32 * (64 + 192), callbackGas: 0 }))
    expect(fit(user).map(({ length }) => length)).toEqual([4, 4, 4, 4, 4, 4, 4, 4])
  })
})
