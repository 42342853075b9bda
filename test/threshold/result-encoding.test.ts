import { AbiCoder } from "ethers"
import fc from "fast-check"
import { expect, test } from "vitest"
import { toHex } from "../../src/domain/hex.ts"
import { encodeResult } from "../../src/threshold/result-encoding.ts"

test("any list of byte strings is encoded as ethers' AbiCoder encodes bytes[]", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 8 }), (items) => {
      expect(toHex(encodeResult(items))).toBe(AbiCoder.defaultAbiCoder().encode(["bytes[]"], [items]))
    })
  )
})
