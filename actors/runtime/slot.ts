/** Hosts transaction-lane, one machine for each open nonce: does what a slot says, tells it what came, saves what it decided. Signed bytes and
 * nonce are stored in one transaction before anybody sees them. */
import { Clock, Effect } from "effect"
import { hasPassed, nextSlot, type SlotEffect, type SlotEvent, type SlotStep, type TransactionLaneSnapshot } from "../../machines/transaction-lane.machine.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { ZERO_ADDRESS } from "../../src/domain/request.ts"
import { ResultContract, type Fees } from "../../src/journey/6-submitted/result-contract.port.ts"
import { signCancellation, signFulfilment } from "../../src/journey/6-submitted/sign-fulfilment.ts"
import { LaneLedger, NO_BATCH, type Attempt, type SeenAttempt, type Slot, type Spent } from "../../src/ledger/lane-ledger.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { ResultLedger } from "../../src/ledger/result-ledger.port.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"
import { standStill, worstOf, type Driver } from "./lane-health.ts"

/** A slot that keeps asking for one thing after the other is left for the next round. */
const STEPS_PER_ROUND_MAX = 8
/** Bytes that the contract would reject by now are tried as they are for so long; then the nonce is cancelled. Three times the patience after which a
 * transaction is replaced, so that an endpoint that is wrong for a moment costs nothing. */
const CANCEL_AFTER_MS = 72_000

interface Done {
  readonly slot: Slot
  readonly step: SlotStep
  readonly spent?: ReadonlyArray<Spent>
}

export const isMined = ({ context }: TransactionLaneSnapshot): boolean => context.mined !== null

/** Effect, event, decision, until the slot has nothing to do now. Every decision is saved before its effect is carried out. */
export const drive = (driver: Driver, from: Slot, first: SlotStep) =>
  Effect.gen(function* () {
    const ledger = yield* LaneLedger
    let slot = from
    let { step, spent }: { step: SlotStep; spent: ReadonlyArray<Spent> | undefined } = { step: first, spent: undefined }
    for (let count = 0; count < STEPS_PER_ROUND_MAX; count++) {
      if (step.snapshot !== slot.snapshot && (JSON.stringify(step.snapshot) !== JSON.stringify(slot.snapshot) || step.isFinal)) {
        const { nonce, version } = slot
        const change = { nonce, version, snapshot: step.snapshot, isFinal: step.isFinal, ...(spent && { spent }), ...giveBackOf(slot, step) }
        if (!(yield* ledger.save(driver.lane, driver.lease, change))) return { slot, step } // somebody else has the lane now
        slot = { ...slot, version: version + 1, snapshot: step.snapshot }
      }
      if (step.effect === null) return { slot, step }
      const done: Done | undefined = yield* carryOut(driver, slot, step)
      if (done === undefined) return { slot, step }
      slot = done.slot
      step = done.step
      spent = done.spent
    }
    return { slot, step }
  })

/** What ends a slot without having fulfilled its batch gives the batch back in the same write: no crash in between can lose or double it. */
const giveBackOf = (slot: Slot, { effect, isFinal, snapshot }: SlotStep) => {
  if (!isFinal) return undefined
  if (effect?.type === "requeue") return { giveBack: { reason: "nonce-lost", isFailure: false } }
  if (effect?.type === "inspect") return { giveBack: { reason: `reverted in ${snapshot.context.mined?.txHash ?? "0x"}`, isFailure: true } }
  return isCancelled(slot, snapshot) ? { giveBack: { reason: "cancelled", isFailure: false } } : undefined
}

/** What was mined at this nonce is not what the slot was opened for. */
export const isCancelled = ({ attempts }: Slot, { context }: TransactionLaneSnapshot): boolean =>
  attempts.some(({ isCancellation, txHash }) => isCancellation && txHash === context.mined?.txHash)

/** Undefined: there is nothing to tell the slot. */
const carryOut = Effect.fnUntraced(function* (driver: Driver, slot: Slot, { effect, snapshot }: SlotStep) {
  const now = yield* Clock.currentTimeMillis
  const tell = (event: SlotEvent): Done => ({ slot, step: nextSlot(snapshot, event) })
  switch (effect?.type) {
    case "broadcast": {
      const answer = yield* broadcast(driver, slot, effect, now)
      return answer && tell(answer)
    }
    case "find-receipt": {
      const { event, spent } = yield* findReceipt(driver, slot, now)
      return { ...tell(event), ...(spent && { spent }) }
    }
    case "check-finality":
      return tell(yield* checkFinality(effect, now))
    case "sign":
      return driver.hasKey ? yield* replace(driver, slot, snapshot, effect.attemptNo, now) : tell({ type: "not-replaced", now })
    case "inspect": {
      const telemetry = yield* Telemetry
      const { address } = driver.lane
      telemetry.count("lane_reverts", 1, address)
      telemetry.error("a fulfilment reverted", { lane: address, nonce: slot.nonce, root: effect.root, runbook: "docs/runbooks/submitted.md" })
      return undefined
    }
    case "requeue": // it was given back with the decision
    case undefined:
      return undefined
  }
})

/** An account that cannot pay keeps its bytes for when it can. */
const broadcast = Effect.fnUntraced(function* (driver: Driver, slot: Slot, effect: Extract<SlotEffect, { type: "broadcast" }>, now: number) {
  const contract = yield* ResultContract
  const attempt = slot.attempts.find(({ attemptNo }) => attemptNo === effect.attemptNo)
  if (attempt === undefined) return { type: "nonce-used", now } satisfies SlotEvent as SlotEvent
  // The bytes of what was mined are read again only here, when its block is gone.
  const rawTx = attempt.rawTx ?? (yield* LaneLedger.use((ledger) => ledger.signed(driver.lane, slot.nonce, attempt.attemptNo)))
  if (rawTx === undefined) return undefined
  return yield* contract.broadcast(rawTx).pipe(
    Effect.map((answer): SlotEvent => ({ type: answer, now })),
    Effect.catchTag("LaneOutOfFunds", () => Effect.as(standStill(driver, "out-of-funds"), undefined))
  )
})

const findReceipt = Effect.fnUntraced(function* ({ lane }: Driver, slot: Slot, now: number) {
  const contract = yield* ResultContract
  // Together: a receipt that a lagging endpoint does not have and a nonce that another one counts would look like a stranger's transaction.
  const look = contract.mined(slot.attempts.map(({ txHash }) => txHash))
  const [mined, next] = yield* contract.together(
    Effect.gen(function* () {
      const [seen, nonce] = yield* Effect.all([look, contract.nonceOf(lane.address)], { concurrency: 2 })
      // A block may have come between the two: whoever has seen the nonce used has the receipt by now, if one of ours has used it.
      return [seen === undefined && nonce > slot.nonce ? yield* look : seen, nonce] as const
    })
  )
  if (mined !== undefined) {
    const { cost, ...seen } = mined
    const event: SlotEvent = { type: "mined", ...seen, now }
    return { event, spent: cost === undefined ? undefined : yield* shares(slot, atMost(slot, mined.txHash, cost)) }
  }
  const isNonceUsed = next > slot.nonce
  // No receipt and a used nonce are rare, and only what is final tells a stranger's transaction from an endpoint that lags.
  const isNonceFinal = isNonceUsed && (yield* contract.finalNonceOf(lane.address)) > slot.nonce
  return { event: { type: "not-mined", isNonceUsed, isNonceFinal, now } satisfies SlotEvent as SlotEvent, spent: undefined }
})

/** No transaction costs more than it was signed for, whatever an endpoint says: a lie must neither use up a budget nor be more than the ledger can hold. */
const atMost = ({ attempts }: Slot, txHash: Hex, cost: bigint): bigint => {
  const worst = worstOf(attempts.find((attempt) => attempt.txHash === txHash))
  return cost < worst ? cost : worst
}

/** Everybody who asked for a result in the batch pays for a part; what carries no batch is on the house. */
const shares = Effect.fnUntraced(function* ({ root }: Slot, cost: bigint) {
  const batch = root === NO_BATCH ? undefined : yield* ResultLedger.use((results) => results.batch(root))
  const ids = batch?.responses.map(({ requestId }) => requestId) ?? []
  const requesterOf = new Map((yield* RequestLedger.use((ledger) => ledger.load(ids))).map(({ id, facts }) => [id, facts.requester]))
  const payers = ids.length === 0 ? [ZERO_ADDRESS] : ids.map((id) => requesterOf.get(id) ?? ZERO_ADDRESS)
  const [each, rest] = [cost / BigInt(payers.length), cost % BigInt(payers.length)]
  return [...Map.groupBy(payers, (payer) => payer)].map(
    ([requester, of], index): Spent => ({ requester, wei: each * BigInt(of.length) + (index === 0 ? rest : 0n) })
  )
})

const checkFinality = Effect.fnUntraced(function* ({ block }: Extract<SlotEffect, { type: "check-finality" }>, now: number) {
  const finality = yield* ResultContract.use((contract) => contract.finality(block))
  const type = finality === "gone" ? "reorged" : finality
  return { type, now } satisfies SlotEvent as SlotEvent
})

const feesOf = ({ maxFeePerGas, maxPriorityFeePerGas }: SeenAttempt): Fees => ({ maxFeePerGas, maxPriorityFeePerGas })

/** A further attempt at the same nonce, stored together with the decision before it is broadcast. */
const replace = Effect.fnUntraced(function* (driver: Driver, slot: Slot, snapshot: TransactionLaneSnapshot, attemptNo: number, now: number) {
  const { lane, lease } = driver
  const ledger = yield* LaneLedger
  const telemetry = yield* Telemetry
  const signed = yield* signAgain(driver, slot, now)
  if (signed === undefined) return { slot, step: nextSlot(snapshot, { type: "not-replaced", now }) } satisfies Done
  const { rawTx, txHash, gasLimit, fees, isCancellation } = signed
  const { nonce, root } = slot
  const attempt: Attempt = { nonce, attemptNo, root, txHash, rawTx, gasLimit, ...fees, isCancellation, signedAtMs: now }
  const step = nextSlot(snapshot, { type: "replaced", attemptNo, txHash, now })
  const change = { nonce, version: slot.version, snapshot: step.snapshot, isFinal: step.isFinal, attempt }
  if (!(yield* ledger.save(lane, lease, change))) return undefined
  if (isCancellation) telemetry.count("lane_cancellations", 1, lane.address)
  else telemetry.count("fee_bumps", 1, lane.address)
  const attempts = [...slot.attempts, attempt]
  return { slot: { ...slot, version: slot.version + 1, snapshot: step.snapshot, attempts }, step } satisfies Done
})

/** The same batch, dearer. A cancellation when nothing in it is wanted any more, or when the contract has been rejecting it for a while: the nonce
 * must not hold up those above it. Undefined: not now. */
const signAgain = Effect.fnUntraced(function* ({ lane }: Driver, slot: Slot, now: number) {
  const previous = slot.attempts.at(-1)
  const [first] = slot.attempts
  const fees = previous && feesOf(previous)
  const cancel = Effect.map(signCancellation(lane.address, slot.nonce, fees), (signed) => ({ ...signed, isCancellation: true }))
  if (previous?.isCancellation === true || slot.root === NO_BATCH) return yield* cancel
  const batch = yield* ResultLedger.use((results) => results.batch(slot.root))
  if (batch === undefined) return yield* cancel
  const contract = yield* ResultContract
  const statuses = yield* contract.statuses(batch.responses.map(({ requestId }) => requestId))
  if (!statuses.includes("requested")) {
    // Fulfilled by whom? If by this very slot, its receipt is what is missing, not a cancellation.
    const mined = yield* contract.mined(slot.attempts.map(({ txHash }) => txHash))
    return mined === undefined ? yield* cancel : undefined
  }
  return yield* signFulfilment(lane.address, batch, slot.nonce, fees).pipe(
    Effect.map((signed) => ({ ...signed, isCancellation: false })),
    Effect.catchTag("SubmissionRejected", () =>
      first !== undefined && hasPassed(CANCEL_AFTER_MS, first.signedAtMs, now) ? cancel : Effect.succeed(undefined)
    )
  )
})
