/**
 * The public evidence of an event as flat log data: blocks, transactions, roots, nodes, reasons. Each field is named here, one
 * by one, so that a field added to an event is not written anywhere before somebody has decided that it may be.
 */
import type { BlockRef } from "../domain/outcome.ts"
import type { FactReached, LogData } from "./telemetry.port.ts"

const blockOf = ({ blockNumber, blockHash }: BlockRef) => ({ blockNumber, blockHash })

export const evidenceOf = (event: FactReached["event"]): LogData => {
  switch (event.type) {
    case "detected":
      return { blockNumber: event.blockNumber }
    case "acl-checked":
      return blockOf(event.block)
    case "ciphertext-fetched":
      return { ciphertexts: event.digests.length, firstDigest: event.digests[0] ?? null }
    case "shares-collected":
      return { nodes: event.nodes.join(",") }
    case "threshold-verified":
      return { root: event.root, resultHash: event.resultHash, nodes: event.nodes.join(","), ...liarsOf(event.liars) }
    case "submitted":
    case "finalized":
      return { txHash: event.txHash, ...blockOf(event.block) }
    case "refused":
    case "halted":
      return { reason: event.reason, detail: event.detail }
    case "expired":
      return { detail: event.detail }
    case "orphaned":
      return blockOf(event.block)
    case "moved":
      return { event: event.type, ...blockOf(event.anchor), logIndex: event.anchor.logIndex }
    case "cancelled":
      return { by: event.by, why: event.why }
    case "result-lost":
      return { event: event.type }
    case "redriven":
      return { event: event.type, by: event.by, why: event.why }
  }
}

const liarsOf = (liars: ReadonlyArray<number>): LogData => (liars.length === 0 ? {} : { liars: liars.join(",") })
