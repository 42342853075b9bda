/** RFC 9591 section 4.2: interpolation at zero. */
import { bls12_381_Fr as Fr } from "@noble/curves/bls12-381.js"
import fc from "fast-check"
import { expect, test } from "vitest"
import { evaluate, weightsAtZero } from "../../src/threshold/lagrange.ts"
import { GROUP_ORDER } from "../../src/threshold/scalar.ts"

const scalar = fc.bigInt({ min: 0n, max: GROUP_ORDER - 1n })

test("k values of a polynomial of degree k-1 give back its value at zero", () => {
  fc.assert(
    fc.property(fc.array(scalar, { minLength: 1, maxLength: 20 }), (coefficients) =>
      fc.assert(
        fc.property(
          fc.uniqueArray(fc.bigInt({ min: 1n, max: 32n }), { minLength: coefficients.length, maxLength: coefficients.length }),
          (xs) => {
            const weights = weightsAtZero(xs)
            const sum = xs.reduce((total, x, index) => Fr.add(total, Fr.mul(weights[index]!, evaluate(coefficients, x))), 0n)
            expect(sum).toBe(coefficients[0])
          }
        ),
        { numRuns: 3 }
      )
    ),
    { numRuns: 40 }
  )
})

test("the weights of a constant add up to 1", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.bigInt({ min: 1n, max: 32n }), { minLength: 1, maxLength: 32 }), (xs) => {
      expect(weightsAtZero(xs).reduce((sum, weight) => Fr.add(sum, weight), 0n)).toBe(1n)
    })
  )
})

test("no index, a repeated index, index zero, and both of them modulo r are our mistakes", () => {
  expect(() => weightsAtZero([])).toThrow("no shares")
  expect(() => weightsAtZero([1n, 2n, 1n])).toThrow("one index")
  expect(() => weightsAtZero([1n, GROUP_ORDER + 1n])).toThrow("one index")
  expect(() => weightsAtZero([0n, 1n])).toThrow("the secret itself")
  expect(() => weightsAtZero([GROUP_ORDER, 1n])).toThrow("the secret itself")
})
