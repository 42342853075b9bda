/** What the ledger does with signed bytes, looked at while it happens: afterwards a promoted standby may lack them, and what is final is forgotten. */
import type { Check } from "../campaign.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { ancestorAt } from "./chain/sim-block.ts"
import { txAttemptTable } from "./ledger/tables.ts"
import type { SimWorld } from "./sim-world.ts"

/** What is looked at. */
export interface Watched extends Pick<SimWorld, "onBroadcast"> {
  readonly database: Pick<SimWorld["database"], "watch">
  readonly chain: Pick<SimWorld["chain"], "head" | "finalizedNumber">
}

/** Nothing ever left a gateway whose bytes were not committed before (I3, I6). Where they are by now is another question: the server that had them
 * may be gone while they travel or while their sender sleeps, and its standby need not have them; what is final is forgotten. */
export const watchIntents = (world: Watched): (() => Check) => {
  let examined = 0
  const violations: Array<string> = []
  const committed = new Set<Hex>()
  world.database.watch(txAttemptTable, ({ after }) => void (after && committed.add(after.txHash)))
  world.onBroadcast = ({ hash, nonce, from }) => {
    examined++
    if (!committed.has(hash)) violations.push(`${hash} (nonce ${nonce} of ${from}) was sent, and the ledger did not know it`)
  }
  return () => ({ name: "intent before effect", examined, violations })
}

/** Bytes are forgotten only when they can never be needed again: a final block has used their nonce. The true chain says so, not an endpoint. */
export const watchForgetting = (world: Watched): (() => Check) => {
  let examined = 0
  const violations: Array<string> = []
  world.database.watch(txAttemptTable, ({ before, after }) => {
    if (before === undefined || before.rawTx === "0x" || after?.rawTx === before.rawTx) return
    examined++
    const { address, nonce, txHash } = before
    const { head, finalizedNumber } = world.chain
    const next = ancestorAt(head, finalizedNumber)?.state.nonces.get(address) ?? 0
    if (next <= nonce) violations.push(`${txHash} (nonce ${nonce} of ${address}) was forgotten, and the next nonce is ${next} in the last final block`)
  })
  return () => ({ name: "forgotten when final", examined, violations })
}
