/** acl-checked -> ciphertext-fetched. A few at a time: each may hold a whole ciphertext in memory. */
import { Effect } from "effect"
import { fetchCiphertext } from "../src/journey/3-ciphertext-fetched/fetch-ciphertext.ts"
import { settle } from "./runtime/outcome-of-failure.ts"
import { stepActor } from "./runtime/step-actor.ts"

const FETCHES_AT_ONCE = 8

export const ciphertextFetchedActor = (concurrency: number) =>
  stepActor("acl-checked", concurrency, (requests) =>
    Effect.forEach(
      requests,
      (request) => settle(fetchCiphertext(request)),
      { concurrency: FETCHES_AT_ONCE }
    )
  )
