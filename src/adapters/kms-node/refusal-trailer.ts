/**
 * How a refusal travels: a gRPC status that generic tools understand, and the whole of it in the trailer
 * `portcullis-refusal-bin`.
 */
import { Metadata, status } from "@grpc/grpc-js"
import { Refusal, REFUSAL_REASONS, type RefusalReason } from "../../kms-node/refusal.ts"
import * as proto from "./generated/portcullis/kms/v1/kms_node.ts"

const TRAILER = "portcullis-refusal-bin"
const DETAIL_CHARS_MAX = 512
const RETRY_AFTER_MS_MAX = 60_000

/** Codes as grpc.io/docs/guides/status-codes defines them. FAILED_PRECONDITION: the chain has to change first. */
const STATUS: Readonly<Record<RefusalReason, status>> = {
  "not-allowed": status.PERMISSION_DENIED,
  "not-public": status.PERMISSION_DENIED,
  "not-delegated": status.PERMISSION_DENIED,
  "unknown-request": status.NOT_FOUND,
  "already-fulfilled": status.ALREADY_EXISTS,
  expired: status.FAILED_PRECONDITION,
  "epoch-unknown": status.FAILED_PRECONDITION,
  "epoch-retired": status.FAILED_PRECONDITION,
  "transport-key-invalid": status.INVALID_ARGUMENT,
  "ciphertext-mismatch": status.INVALID_ARGUMENT,
  "result-wrong": status.INVALID_ARGUMENT,
  malformed: status.INVALID_ARGUMENT,
  "too-many-requests": status.RESOURCE_EXHAUSTED,
  "chain-unavailable": status.UNAVAILABLE,
  "chain-behind": status.UNAVAILABLE,
  draining: status.UNAVAILABLE
}

export const writeRefusal = ({ reason, detail, retryAfterMs }: Refusal) => {
  const metadata = new Metadata()
  const shown = detail.slice(0, DETAIL_CHARS_MAX)
  metadata.set(TRAILER, Buffer.from(proto.Refusal.encode({ reason, detail: shown, retryAfterMs }).finish()))
  return { code: STATUS[reason], details: `${reason}: ${shown}`.replaceAll(/[^\x20-\x7e]/g, "?"), metadata }
}

/** The refusal in a failed call's trailer; undefined when there is none that this version knows. The sender is not trusted. */
export const readRefusal = (metadata: Metadata | undefined): Refusal | undefined => {
  const [value] = metadata?.get(TRAILER) ?? []
  if (!(value instanceof Uint8Array)) return undefined
  try {
    const { reason, detail, retryAfterMs } = proto.Refusal.decode(value)
    if (!(REFUSAL_REASONS as ReadonlyArray<string>).includes(reason)) return undefined
    return new Refusal({
      reason: reason as RefusalReason,
      detail: detail.slice(0, DETAIL_CHARS_MAX),
      retryAfterMs: Math.min(retryAfterMs, RETRY_AFTER_MS_MAX)
    })
  } catch {
    return undefined
  }
}
