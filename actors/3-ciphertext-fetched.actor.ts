/** acl-checked -> ciphertext-fetched. One store that hangs holds up nobody whose ciphertext lies in another. */
import { Effect, Semaphore } from "effect"
import { fetchCiphertext } from "../src/journey/3-ciphertext-fetched/fetch-ciphertext.ts"
import { settle } from "./runtime/outcome-of-failure.ts"
import { sayEarly } from "./runtime/say-early.ts"
import { stepActor } from "./runtime/step-actor.ts"

/** Of all messages together: 64 MiB of the largest, and as much again while the cache takes its copies. Small ones need no place. */
const LARGE_FETCHES_AT_ONCE = 4

export const ciphertextFetchedActor = Effect.fnUntraced(function* (concurrency: number) {
  const large = yield* Semaphore.make(LARGE_FETCHES_AT_ONCE)
  yield* stepActor("acl-checked", concurrency, (requests) =>
    sayEarly("acl-checked", requests, (request) => settle(fetchCiphertext(request, large), request))
  )
})
