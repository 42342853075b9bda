/** acl-checked -> ciphertext-fetched. A few at a time: each may hold a whole ciphertext in memory. */
import { Effect, Semaphore } from "effect"
import { fetchCiphertext } from "../src/journey/3-ciphertext-fetched/fetch-ciphertext.ts"
import { settle } from "./runtime/outcome-of-failure.ts"
import { stepActor } from "./runtime/step-actor.ts"

/** Of one message. */
const FETCHES_AT_ONCE = 8
/** Of all messages together: 64 MiB of the largest, and as much again while the cache takes its copies. */
const LARGE_FETCHES_AT_ONCE = 4

export const ciphertextFetchedActor = Effect.fnUntraced(function* (concurrency: number) {
  const large = yield* Semaphore.make(LARGE_FETCHES_AT_ONCE)
  yield* stepActor("acl-checked", concurrency, (requests) =>
    Effect.forEach(requests, (request) => settle(fetchCiphertext(request, large)), { concurrency: FETCHES_AT_ONCE })
  )
})
