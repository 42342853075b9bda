/** How often the work on a request has failed since its last fact, as far as this process knows: what fails again is tried again
 * later and later. Bounded and never saved; forgotten, it costs one early try. */
import { Context } from "effect"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"

export interface TriesMemory {
  /** Counts one more failure, and answers how many there are now. */
  readonly failed: (request: Pick<StoredRequest, "id" | "version">) => number
}

/** Two generations, of which the older goes when the younger is full: twice what a process has under way (10,000). */
const REMEMBERED_MAX = 10_000

export const rememberTries = (): TriesMemory => {
  let young = new Map<string, number>()
  let old = new Map<string, number>()
  return {
    failed: ({ id, version }) => {
      const key = `${id}:${version}`
      const tries = (young.get(key) ?? old.get(key) ?? 0) + 1
      young.set(key, tries)
      if (young.size >= REMEMBERED_MAX) {
        old = young
        young = new Map()
      }
      return tries
    }
  }
}

/** Of the actor that does the work; without one, every failure is the first. */
export const FailedTries = Context.Reference<TriesMemory>("portcullis/actors/FailedTries", {
  defaultValue: () => ({ failed: () => 1 })
})
