/** A promise of the client library as an effect with the one error that callers know. The library's own error is its cause. */
import { Effect } from "effect"
import { BusUnavailable } from "../../messaging/bus.port.ts"

/** `doing` completes the sentence "could not ...". */
export const attempt = <A>(doing: string, act: () => Promise<A>): Effect.Effect<A, BusUnavailable> =>
  Effect.tryPromise({ try: act, catch: (cause) => new BusUnavailable({ doing, cause }) })
