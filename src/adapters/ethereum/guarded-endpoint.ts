/**
 * The guard around every call to one endpoint: one attempt at one method. What an endpoint says about a call (a revert, an
 * unknown block, a nonce that is used) is an answer; no connection, no answer, nonsense and "too many requests" are not.
 */
import { Effect } from "effect"
import { isError } from "ethers"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import { CALL_POLICIES, type CallPolicy } from "../../resilience/call-policy.ts"
import type { CallFault, Guards } from "../../resilience/guards.ts"

/** EIP-1474: the limit of this endpoint or of who asks; some say it with the number of the HTTP status. */
const OVERLOADED: ReadonlySet<unknown> = new Set([-32_005, 429])
/** The guard only ends what the transport has failed to end. */
const TRANSPORT_MS = 500

export interface EndpointGuard {
  /** Shown to operators: never a URL, which may have somebody's key in it. */
  readonly name: string
  readonly responseMsMax: number
  /** For what must be sent whatever is believed of the endpoint: signed bytes. */
  readonly isVital?: (method: string) => boolean
  readonly policy?: CallPolicy
}

/** Around one attempt, which fails with what ethers threw; `failure` gives it its name. */
export const guardedEndpoint = (guards: Guards["Service"], { name: target, responseMsMax, isVital, policy }: EndpointGuard) => {
  const limits = { ...(policy ?? CALL_POLICIES.rpc), timeoutMs: responseMsMax + TRANSPORT_MS }
  return <A, E>(method: string, send: () => Promise<A>, failure: (cause: unknown) => E): Effect.Effect<A, E | ChainUnavailable> =>
    Effect.tryPromise({ try: send, catch: (cause) => ({ cause }) }).pipe(
      guards.guard({
        dependency: "rpc",
        target,
        method,
        policy: limits,
        isVital: isVital?.(method) ?? false,
        isOutage: ({ cause }: { readonly cause: unknown }) => isOutage(cause),
        unavailable: (fault: CallFault) => new ChainUnavailable({ doing: method, cause: fault.message })
      }),
      Effect.mapError((error) => ("_tag" in error ? error : failure(error.cause)))
    )
}

/** ethers keeps the error object of an answer in one of two places; where there is none, nothing was answered. */
export const isOutage = (cause: unknown): boolean => {
  const { error, info } = (cause ?? {}) as { readonly error?: unknown; readonly info?: { readonly error?: unknown } }
  const said = error ?? info?.error
  if (typeof said === "object" && said !== null && "code" in said) return OVERLOADED.has(said.code)
  return !isError(cause, "CALL_EXCEPTION")
}
