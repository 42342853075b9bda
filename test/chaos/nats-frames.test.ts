import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { frameCutter, messageFilter } from "../../chaos/process/nats-frames.ts"
import type { MessageFault } from "../../chaos/rig.ts"
import { seededRandom } from "../../chaos/seeded-random.ts"

const work = (text: string) => `MSG decryption.detected.do 1 $JS.ACK.x ${text.length}\r\n${text}\r\n`
const other = `HMSG _INBOX.a 2 12 14\r\nNATS/1.0\r\n\r\nok\r\n`

describe("what a NATS server sends", () => {
  test("is cut into whole messages, wherever the packets end", () => {
    const frames = [`INFO {"a":1}\r\n`, work("one\r\nline"), other, "PING\r\n", work("")]
    const bytes = Buffer.from(frames.join(""), "latin1")
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 8 }), (ends) => {
        const cuts = [0, ...ends.toSorted((a, b) => a - b), bytes.length]
        const cut = frameCutter()
        const seen = cuts.slice(1).flatMap((end, index) => cut(bytes.subarray(cuts[index], end)))
        expect(seen.map((frame) => frame.toString("latin1"))).toEqual(frames)
      })
    )
  })

  const through = (fault: MessageFault | undefined, ...sent: ReadonlyArray<string>) => {
    const filter = messageFilter(() => fault, seededRandom(1))
    return sent.flatMap((text) => filter(Buffer.from(text, "latin1"))).map((frame) => frame.toString("latin1"))
  }
  const [a, b, c, d] = ["a", "b", "c", "d"].map(work) as [string, string, string, string]

  test("arrives as it was sent when nothing is wrong", () => {
    expect(through(undefined, a, other, b)).toEqual([a, other, b])
  })

  test("arrives twice, not at all or in another order, and only where it carries work", () => {
    expect(through({ type: "duplicate", share: 1 }, a, other, b)).toEqual([a, a, other, b, b])
    expect(through({ type: "lose", share: 1 }, a, other, b)).toEqual([other])
    expect(through({ type: "reorder", share: 1 }, a, other, b, c, d)).toEqual([other, b, a, d, c])
  })

  test("is not kept back any longer than the fault lasts", () => {
    let fault: MessageFault | undefined = { type: "reorder", share: 1 }
    const filter = messageFilter(() => fault, seededRandom(1))
    expect(filter(Buffer.from(a, "latin1"))).toEqual([])
    fault = undefined
    expect(filter(Buffer.from(other, "latin1")).map((frame) => frame.toString("latin1"))).toEqual([a, other])
  })
})
