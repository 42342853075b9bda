/** Finds whole messages in what a NATS server sends to a client, and loses, doubles or swaps those that carry work. */
import type { MessageFault } from "../rig.ts"
import type { SeededRandom } from "../seeded-random.ts"
import type { Filter } from "./link-proxy.ts"

const LINE_END = "\r\n"
/** Only what the journey says: acknowledgements and the server's own answers pass. */
const WORK = /^H?MSG decryption\./

/** Cuts a stream of bytes into protocol lines, each with its payload. What is not complete waits. */
export const frameCutter = (): ((chunk: Buffer) => ReadonlyArray<Buffer>) => {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const frames: Array<Buffer> = []
    for (;;) {
      const lineEnd = rest.indexOf(LINE_END)
      if (lineEnd < 0) return frames
      const line = rest.subarray(0, lineEnd).toString("latin1")
      const payload = /^H?MSG /i.test(line) ? Number(line.split(" ").at(-1)) + LINE_END.length : 0
      const end = lineEnd + LINE_END.length + payload
      if (rest.length < end) return frames
      frames.push(rest.subarray(0, end))
      rest = rest.subarray(end)
    }
  }
}

/** `faultNow` is asked for every message. */
export const messageFilter = (faultNow: () => MessageFault | undefined, random: SeededRandom): Filter => {
  const cut = frameCutter()
  let held: Buffer | undefined
  return (chunk) =>
    cut(chunk).flatMap((frame) => {
      const fault = faultNow()
      const late = held
      if (!WORK.test(frame.subarray(0, 32).toString("latin1"))) {
        // A swapped message waits for the next one, but not for longer than the fault lasts.
        if (late === undefined || fault?.type === "reorder") return [frame]
        held = undefined
        return [late, frame]
      }
      held = undefined
      const isHit = fault !== undefined && random.next() < fault.share
      if (isHit && fault.type === "reorder" && late === undefined) {
        held = frame
        return []
      }
      const sent = !isHit ? [frame] : fault.type === "duplicate" ? [frame, frame] : fault.type === "lose" ? [] : [frame]
      return late === undefined ? sent : [...sent, late]
    })
}
