/**
 * The guard around one store: a store that fails or hangs is left alone for a while, and holds only so many places until then. A
 * reading is one attempt from its first question to its last byte; an object that is not there, or that is not what it should
 * be, is an answer.
 */
import { Effect, Exit, Stream } from "effect"
import { StoreUnavailable } from "../../journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import { CALL_POLICIES } from "../../resilience/call-policy.ts"
import type { CallFault, Guards } from "../../resilience/guards.ts"
import { locationOf } from "./location.ts"
import type { ObjectStore } from "./object-store.ts"

/** The guard only ends what the store's own limit has failed to end. */
const STORE_MS = 500

export const guardedStore = (guards: Guards["Service"], name: string, timeoutMs: number, store: ObjectStore): ObjectStore => {
  const call = (method: string, location: string) => ({
    dependency: "object-store" as const,
    target: name,
    method,
    policy: { ...CALL_POLICIES["object-store"], timeoutMs: timeoutMs + STORE_MS },
    isOutage: ({ _tag }: { readonly _tag: string }) => _tag === "StoreUnavailable",
    unavailable: (fault: CallFault) => new StoreUnavailable({ location, cause: fault })
  })
  return {
    read: (location, key) =>
      Stream.unwrap(
        Effect.gen(function* () {
          const asked = call("read", location)
          const { leave } = yield* Effect.acquireRelease(guards.enter(asked), (entered) =>
            Effect.sync(() => entered.leave("abandoned"))
          )
          return store.read(location, key).pipe(
            Stream.onExit((exit) => Effect.sync(() => leave(Exit.isSuccess(exit) ? "good" : failedVerdict(exit))))
          )
        })
      ),
    write: (digest, bytes) => guards.guard(call("write", locationOf(name, digest)))(store.write(digest, bytes))
  }
}

/** A reader that has had enough has no complaint; neither has one that was told "no such object". */
const failedVerdict = (exit: Exit.Exit<unknown, { readonly _tag: string }>): "good" | "bad" | "abandoned" => {
  const failed = Exit.findErrorOption(exit)
  if (failed._tag === "None") return "abandoned"
  return failed.value._tag === "StoreUnavailable" ? "bad" : "good"
}
