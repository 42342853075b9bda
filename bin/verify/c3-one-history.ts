/** C3: for every request exactly one transition for every version, contiguous, under an intact hash chain that ends where the row says. */
import { verifyHistory } from "../../src/ledger/hash-chain.ts"
import type { Records } from "./records.ts"
import type { Verdict } from "./verdict.ts"

export const oneHistory = ({ requests }: Records): Verdict => ({
  looked: requests.length,
  violations: requests.flatMap(({ stored, history }) => {
    const { id, version, state, chainTail } = stored
    if (history.length !== version) return [{ subject: id, what: `stands at version ${version} with ${history.length} transitions` }]
    const verified = verifyHistory(id, history, chainTail)
    if (verified.type === "tampered") return [{ subject: id, what: `its history is broken at transition ${verified.brokenAt}` }]
    const last = history.at(-1)?.to
    return last === state ? [] : [{ subject: id, what: `stands in ${state}, and its last transition led to ${String(last)}` }]
  })
})
