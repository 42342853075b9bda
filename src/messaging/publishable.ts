/** What may be published at all. A violation is our own mistake, found before anything is sent. */
import assert from "node:assert/strict"
import { BODY_BYTES_MAX } from "./bus-limits.ts"

/** Work for a step, or outcomes for the coordinator of a partition (domain/journey.ts). Only the bus itself parks. */
const SUBJECT = /^decryption\.(?:[a-z][a-z-]*\.do|outcome\.\d{1,4})$/

export const assertPublishable = (subject: string, body: Uint8Array): void => {
  assert(SUBJECT.test(subject), `nothing may be published on ${subject}`)
  assert(body.length <= BODY_BYTES_MAX, `a message has at most ${BODY_BYTES_MAX} bytes, this one has ${body.length}`)
}
