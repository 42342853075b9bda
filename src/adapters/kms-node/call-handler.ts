/**
 * Runs one unary call as an Effect: refusals become statuses, our own failures become "internal" without a word about their
 * cause, and a caller that goes away or runs out of time stops the work.
 */
import { type handleUnaryCall, type sendUnaryData, type ServerUnaryCall, status } from "@grpc/grpc-js"
import { Cause, type Context, Effect, Exit, Option } from "effect"
import type { AnswerContradicts, AnswerLogUnavailable } from "../../kms-node/answer-log.port.ts"
import { refuse, Refusal } from "../../kms-node/refusal.ts"
import type { VaultRejected } from "../../kms-node/share-vault.port.ts"
import { writeRefusal } from "./refusal-trailer.ts"
import { WireFault } from "./wire.ts"

export type NodeFailure = Refusal | VaultRejected | AnswerLogUnavailable | AnswerContradicts

interface CallOptions<R> {
  readonly method: string
  readonly context: Context.Context<R>
  /** The longest that a call may take, whatever deadline its caller set. */
  readonly answerMsMax: number
}

/** Who asks: the subject of its certificate when there is one, else the address it comes from. */
const callerOf = (call: ServerUnaryCall<unknown, unknown>): string => {
  const certificate = call.getAuthContext().sslPeerCertificate
  if (certificate === undefined) return `peer:${call.getPeer().replace(/:\d+$/, "")}`
  const name: unknown = certificate.subject?.CN
  return `cert:${typeof name === "string" ? name : certificate.fingerprint256}`
}

/**
 * What the caller is told about a failure that is not about its request. Only tags are logged: a cause may quote what it should
 * not.
 */
const internal = (method: string, failure: Exclude<NodeFailure, Refusal> | undefined) => {
  const answer =
    failure?._tag === "AnswerLogUnavailable"
      ? { code: status.UNAVAILABLE, details: "the node cannot write its answer log" }
      : { code: status.INTERNAL, details: "internal" }
  return Effect.logError("a call failed for a reason of ours").pipe(
    Effect.annotateLogs({
      method,
      failure: failure?._tag ?? "defect",
      ...(failure?._tag === "VaultRejected" ? { why: failure.message } : {})
    }),
    Effect.as(answer)
  )
}

const failureOf = <R>({ method }: CallOptions<R>, cause: Cause.Cause<NodeFailure>) => {
  const failure = Option.getOrUndefined(Cause.findErrorOption(cause))
  return failure instanceof Refusal ? Effect.succeed(writeRefusal(failure)) : internal(method, failure)
}

/** A handler whose request has come through a guarded door. */
export const unaryHandler = <Request, Response, R>(
  options: CallOptions<R>,
  answer: (request: Request, caller: string) => Effect.Effect<Response, NodeFailure, R>
): handleUnaryCall<Request | WireFault, Response> => {
  const run = Effect.runCallbackWith(options.context)
  return (call: ServerUnaryCall<Request | WireFault, Response>, callback: sendUnaryData<Response>) => {
    const { request } = call
    if (request instanceof WireFault) return callback(writeRefusal(refuse("malformed", request.fault)))
    const work = answer(request, callerOf(call)).pipe(
      Effect.timeoutOrElse({
        duration: options.answerMsMax,
        orElse: () => Effect.fail(refuse("chain-unavailable", `no answer within ${options.answerMsMax} ms`))
      }),
      Effect.map((response) => () => callback(null, response)),
      Effect.catchCause((cause) => Effect.map(failureOf(options, cause), (failed) => () => callback(failed)))
    )
    const cancel = run(work, {
      onExit: (exit) => {
        if (Exit.isSuccess(exit)) exit.value()
      }
    })
    call.on("cancelled", () => cancel())
    return undefined
  }
}
