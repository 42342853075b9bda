/**
 * One unary call to a node as an Effect: interrupted with its fiber, bounded in time, its failures in the words of the journey.
 */
import { type CallOptions, type ClientUnaryCall, Metadata, type ServiceError, status } from "@grpc/grpc-js"
import { Clock, Effect } from "effect"
import type { CommitteeNode } from "../../domain/committee.ts"
import { AnswerInvalid, type NodeError, NodeRefused, NodeUnavailable } from "../../journey/4-shares-collected/share-node.port.ts"
import { REFUSALS } from "../../kms-node/refusal.ts"
import { CALL_POLICIES } from "../../resilience/call-policy.ts"
import type { CallFault, Guards } from "../../resilience/guards.ts"
import { readRefusal } from "./refusal-trailer.ts"
import { WireFault } from "./wire.ts"

/** How long to leave a node alone that cannot be reached; the node machines decide beyond that. */
const RETRY_AFTER_MS = 250

const STATUS_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(status).flatMap(([name, code]) =>
    typeof code === "number" ? [[code, name.toLowerCase().replaceAll("_", "-")]] : []
  )
)

/** Statuses that a correct node of this protocol never sends without a refusal: it speaks another protocol, or nonsense. */
const NONSENSE: ReadonlySet<number> = new Set([status.UNIMPLEMENTED, status.DATA_LOSS, status.OUT_OF_RANGE])

/** Of those that say "later", the only one that speaks about the node and not about the request, the chain or the caller's pace. */
const LEAVING = "draining"

/** The guard only ends what the call's own deadline has failed to end. */
const DEADLINE_MS = 500

/** No connection, no answer in time, or none that can be read. Who says no, or "later", has answered. */
const isOutage = (error: NodeError): boolean =>
  error._tag === "NodeUnavailable" && (!(error.reason in REFUSALS) || error.reason === LEAVING)

/** Around each call, by endpoint and method. Who is asked first, and who rests for longer, the node machines decide. */
export const guardedNode = (guards: Guards["Service"], timeoutMs: number) => {
  const policy = { ...CALL_POLICIES["kms-node"], timeoutMs: timeoutMs + DEADLINE_MS }
  return (node: CommitteeNode, endpoint: string, method: string) =>
    guards.guard({
      dependency: "kms-node",
      target: endpoint,
      method,
      policy,
      isOutage,
      unavailable: (fault: CallFault) =>
        fault._tag === "CallRefused"
          ? new NodeUnavailable({ nodeId: node.id, reason: fault.why, retryAfterMs: fault.retryAfterMs })
          : new NodeUnavailable({ nodeId: node.id, reason: "deadline-exceeded", retryAfterMs: RETRY_AFTER_MS })
    })
}

/** A refusal says no, or "later"; everything else says nothing. Texts of others are never looked into. */
const errorOf = (node: CommitteeNode, error: ServiceError): NodeError => {
  const refusal = readRefusal(error.metadata)
  if (refusal !== undefined) {
    const { reason, detail, retryAfterMs } = refusal
    return REFUSALS[reason] === "retry"
      ? new NodeUnavailable({ nodeId: node.id, reason, retryAfterMs })
      : new NodeRefused({ nodeId: node.id, reason, detail })
  }
  const name = STATUS_NAMES.get(error.code) ?? "unknown"
  if (NONSENSE.has(error.code)) return new AnswerInvalid({ nodeId: node.id, reason: `it answers "${name}"` })
  return new NodeUnavailable({ nodeId: node.id, reason: name, retryAfterMs: RETRY_AFTER_MS })
}

type Callback<Answer> = (error: ServiceError | null, answer: Answer) => void

export const callNode = <Answer>(
  node: CommitteeNode,
  timeoutMs: number,
  start: (metadata: Metadata, options: Partial<CallOptions>, done: Callback<Answer>) => ClientUnaryCall
): Effect.Effect<Answer, NodeError> =>
  Effect.flatMap(Clock.currentTimeMillis, (nowMs) =>
    Effect.callback<Answer, NodeError>((resume) => {
      const call = start(new Metadata(), { deadline: nowMs + timeoutMs }, (error, answer: Answer | WireFault) => {
        if (error !== null) resume(Effect.fail(errorOf(node, error)))
        else if (answer instanceof WireFault) resume(Effect.fail(new AnswerInvalid({ nodeId: node.id, reason: answer.fault })))
        else resume(Effect.succeed(answer))
      })
      return Effect.sync(() => call.cancel())
    })
  )
