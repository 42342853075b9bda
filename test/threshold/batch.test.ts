import fc from "fast-check"
import { expect, test } from "vitest"
import { findFalse } from "../../src/threshold/batch.ts"

test("finds exactly the false ones, and asks once when there are none", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 100 }), (truths) => {
      let asked = 0
      const found = findFalse(truths, (some) => {
        asked += 1
        return some.every(Boolean)
      })
      const wrong = truths.flatMap((isTrue, index) => (isTrue ? [] : [index]))
      expect([...found].toSorted((left, right) => left - right)).toEqual(wrong)
      if (wrong.length === 0) expect(asked).toBeLessThanOrEqual(1)
      expect(asked).toBeLessThanOrEqual(2 * wrong.length * Math.ceil(Math.log2(truths.length + 1)) + 1)
    })
  )
})
