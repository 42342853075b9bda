/**
 * The hash chain of a request's history: whoever alters, drops or reorders a row breaks every hash after it. It shows tampering
 * with old rows to anyone who kept a newer hash; it cannot stop somebody who may rewrite the whole history and every copy of its
 * tail.
 *
 *     digest of a row = sha256(canonical JSON of [tag, request id, seq, from, to, event, worker])
 *     hash of a row   = sha256(hash of the row before (32 bytes; zeros before the first) || digest || time (ms, uint64 big-endian))
 *
 * The digest is computed where the decision is made and the hash where the clock is: in the database.
 */
import assert from "node:assert/strict"
import { hash } from "node:crypto"
import type { RequestState } from "../domain/journey.ts"
import type { TransitionView } from "../domain/outcome.ts"
import { fromHex, type Hex, toHex } from "../domain/hex.ts"
import type { RequestId } from "../domain/request.ts"

const TAG = "portcullis/ledger/transition/v1"

/** What stands before the first row. */
export const GENESIS: Hex = `0x${"00".repeat(32)}`

/** JSON with sorted keys and no spaces; properties that are `undefined` are left out, as `JSON.stringify` does. */
export const canonicalJson = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(",")}]`
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`)
    return `{${fields.join(",")}}`
  }
  const text = JSON.stringify(value)
  assert(text !== undefined, "a history holds plain JSON only")
  return text
}

/** 32 bytes over everything in a row but its time and its predecessor. */
export const transitionDigest = (row: {
  readonly requestId: RequestId
  readonly seq: number
  readonly from: RequestState | null
  readonly to: RequestState
  readonly event: unknown
  readonly worker: string
}): Hex => `0x${hash("sha256", canonicalJson([TAG, row.requestId, row.seq, row.from, row.to, row.event, row.worker]), "hex")}`

export const transitionHash = (previous: Hex, digest: Hex, atMs: number): Hex => {
  const time = Buffer.alloc(8)
  time.writeBigUInt64BE(BigInt(atMs))
  return toHex(hash("sha256", Buffer.concat([fromHex(previous), fromHex(digest), time]), "buffer"))
}

/**
 * Recomputes a history, oldest first. `brokenAt` is the seq of the first row that does not follow from the rows before it; a
 * history whose end was cut off is broken at its length + 1, which only a `tail` from elsewhere (the request's row, a copy) can
 * show.
 */
export const verifyHistory = (
  requestId: RequestId,
  history: ReadonlyArray<TransitionView>,
  tail: Hex
): { readonly type: "intact" } | { readonly type: "tampered"; readonly brokenAt: number } => {
  let previous = GENESIS
  let state: RequestState | null = null
  for (const [index, row] of history.entries()) {
    const expected = transitionHash(previous, transitionDigest({ requestId, ...row }), row.atMs)
    if (row.seq !== index + 1 || row.from !== state || row.hash !== expected) return { type: "tampered", brokenAt: index + 1 }
    previous = row.hash
    state = row.to
  }
  return previous === tail ? { type: "intact" } : { type: "tampered", brokenAt: history.length + 1 }
}
