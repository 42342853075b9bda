/** Every form that a snapshot of the present version can take: each state with each set of things that can be known in it, on the way there by the
 * events of request-events.ts. The file of a version in corpus/ is written with it, once, and stays as it is when the next version comes. */
import { birth, decide, MACHINE_VERSION } from "../../machines/decide.ts"
import type { DecryptionRequestContext } from "../../machines/decryption-request.machine.ts"
import type { RequestState } from "../../src/domain/journey.ts"
import { EVENTS, HOME } from "./request-events.ts"

interface Snapshot {
  readonly value: RequestState
  readonly context: DecryptionRequestContext
}

const formOf = ({ value, context }: Snapshot): string => [value, ...Object.keys(context.known).toSorted()].join(" ")

export const reachedSnapshots = (): ReadonlyArray<{ readonly machineVersion: number; readonly snapshot: Snapshot }> => {
  const found = new Map<string, Snapshot>()
  let next = [birth(HOME).snapshot as Snapshot]
  while (next.length > 0) {
    const later: Array<Snapshot> = []
    for (const snapshot of next) {
      if (found.has(formOf(snapshot))) continue
      found.set(formOf(snapshot), snapshot)
      for (const event of EVENTS) {
        const decision = decide({ snapshot, machineVersion: MACHINE_VERSION }, event)
        if (decision.type === "decided") later.push(decision.snapshot as Snapshot)
      }
    }
    next = later
  }
  return [...found.values()].map((snapshot) => ({ machineVersion: MACHINE_VERSION, snapshot }))
}
