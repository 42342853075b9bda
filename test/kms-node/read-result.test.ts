/** Results have one encoding, and it is Solidity's. */
import { AbiCoder } from "ethers"
import fc from "fast-check"
import { expect, test } from "vitest"
import { fromHex } from "../../src/domain/hex.ts"
import { readResult } from "../../src/kms-node/read-result.ts"
import { encodeResult } from "../../src/threshold/result-encoding.ts"

const items = fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 32 })

test("what is read is what was written, and Solidity writes the same", () =>
  fc.assert(
    fc.property(items, (list) => {
      const encoded = encodeResult(list)
      expect(readResult(encoded)).toEqual(list)
      expect(encoded).toEqual(fromHex(AbiCoder.defaultAbiCoder().encode(["bytes[]"], [list])))
    })
  ))

test("no altered byte goes unnoticed: it reads as another list, or not at all", () =>
  fc.assert(
    fc.property(items, fc.nat(), fc.integer({ min: 1, max: 255 }), (list, at, mask) => {
      const altered = encodeResult(list)
      altered[at % altered.length]! ^= mask
      const read = readResult(altered)
      if (read !== undefined) expect(encodeResult(read)).toEqual(altered)
      expect(read).not.toEqual(list)
    })
  ))

test("any bytes at all are read or refused, never an exception", () =>
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 400 }),
        fc.array(fc.constantFrom(0, 0, 0, 1, 32, 64), { maxLength: 400 }).map((a) => Uint8Array.from(a))
      ),
      (bytes) => {
        const read = readResult(bytes)
        if (read !== undefined) expect(encodeResult(read)).toEqual(bytes)
      }
    ),
    { numRuns: 500 }
  ))
