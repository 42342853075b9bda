/** Hosts transaction-lane, one machine for each open nonce of one sending account: does what a slot says, tells it what came, saves what it
 * decided. Signed bytes and nonce are stored in one transaction before anybody sees them. One process at a time has the lane's lease. */
import { Clock, Effect } from "effect"
import { nextSlot, openSlot, type SlotEffect, type SlotEvent, type SlotStep, type TransactionLaneSnapshot } from "../../machines/transaction-lane.machine.ts"
import type { Hex } from "../../src/domain/hex.ts"
import type { AttestedBatch } from "../../src/domain/response.ts"
import { ResultContract, type Fees } from "../../src/journey/6-submitted/result-contract.port.ts"
import { signFulfilment } from "../../src/journey/6-submitted/sign-fulfilment.ts"
import { LaneLedger, type Attempt, type LaneId, type Slot } from "../../src/ledger/lane-ledger.port.ts"
import type { Lease } from "../../src/ledger/lease.port.ts"
import { ResultLedger } from "../../src/ledger/result-ledger.port.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"
import { Pauses } from "./pauses.ts"

/** geth keeps at most 64 executable transactions of an account; half of that leaves room for replacements. */
const UNMINED_MAX = 32
/** Batches that a lane reserves at once: few enough that the next free lane finds some, enough not to ask for each. */
const PULLED_AT_ONCE = 4
/** Nonces that somebody else may have used without anybody being paged: an operator's own transfer or two. */
const STRANGE_NONCES_MAX = 4
/** Mined slots whose finality is asked for at once. */
const MINED_AT_ONCE = 8
/** A slot that keeps asking for one thing after the other is left for the next round. */
const STEPS_PER_ROUND_MAX = 8

export interface MinedBatch {
  readonly root: Hex
  readonly txHash: Hex
  readonly block: { readonly blockNumber: number; readonly blockHash: Hex }
}

/** One round over the lane: settle what is open, then send what waits, unless an operator has paused that. `announce` hears at once what is
 * newly seen mined, so that nothing that fails later in the round can lose it. Answers whether more is in the mempool, and whether anything was sent or mined. */
export const laneRound = Effect.fnUntraced(function* <E, R>(
  lane: LaneId,
  lease: Lease,
  announce: (mined: MinedBatch) => Effect.Effect<void, E, R>
) {
  const ledger = yield* LaneLedger
  const telemetry = yield* Telemetry
  const { nextNonce, slots } = yield* ledger.open(lane)
  telemetry.gauge("lane_open_slots", slots.length, lane.address)
  const { mined = [], unmined = [] } = Object.groupBy(slots, ({ snapshot }) =>
    isMined(snapshot as TransactionLaneSnapshot) ? "mined" : "unmined"
  )
  let minedNow = 0
  for (const slot of unmined) {
    const seen = yield* driveSlot(lane, lease, slot)
    if (seen === undefined) continue
    minedNow += 1
    yield* announce(seen)
  }
  const isPaused = (yield* Pauses).isPaused(`lane:${lane.chainId}/${lane.address}`)
  const sent = unmined.length < UNMINED_MAX && !isPaused ? yield* sendWaiting(lane, lease, nextNonce, UNMINED_MAX - unmined.length) : 0
  // Last, for where finality is slow there are many of them and nobody waits for them here.
  yield* Effect.forEach(mined, (slot) => driveSlot(lane, lease, slot), { concurrency: MINED_AT_ONCE, discard: true })
  return { isWaiting: unmined.length + sent > 0, hasMoved: minedNow + sent > 0 }
})

const driveSlot = Effect.fnUntraced(function* (lane: LaneId, lease: Lease, slot: Slot) {
  const wasMined = isMined(slot.snapshot as TransactionLaneSnapshot)
  const last = yield* drive(lane, lease, slot, nextSlot(slot.snapshot as TransactionLaneSnapshot, yield* tick))
  const { mined } = last.snapshot.context
  return !wasMined && mined !== null && mined.isSuccess
    ? ({ root: slot.root, txHash: mined.txHash, block: mined.block } satisfies MinedBatch)
    : undefined
})

const isMined = ({ context }: TransactionLaneSnapshot): boolean => context.mined !== null

const tick = Effect.map(Clock.currentTimeMillis, (now): SlotEvent => ({ type: "tick", now }))

/** Effect, event, decision, until the slot has nothing to do now. Every decision is saved before its effect is carried out. */
const drive = (lane: LaneId, lease: Lease, from: Slot, first: SlotStep) =>
  Effect.gen(function* () {
    const ledger = yield* LaneLedger
    let slot = from
    let step = first
    for (let count = 0; count < STEPS_PER_ROUND_MAX; count++) {
      if (step.snapshot !== slot.snapshot) {
        const giveBack = step.isFinal ? giveBackOf(step) : undefined
        const change = { nonce: slot.nonce, version: slot.version, snapshot: step.snapshot, isFinal: step.isFinal, ...giveBack }
        if (JSON.stringify(step.snapshot) !== JSON.stringify(slot.snapshot) || step.isFinal) {
          if (!(yield* ledger.save(lane, lease, change))) return step // somebody else has the lane now
          slot = { ...slot, version: slot.version + 1, snapshot: step.snapshot }
        }
      }
      if (step.effect === null) return step
      const done = yield* carryOut(lane, lease, slot, step)
      if (done === undefined) return step
      slot = done.slot
      step = done.step
    }
    return step
  })

/** What ends a slot without having fulfilled its batch gives the batch back in the same write: no crash in between can lose or double it. */
const giveBackOf = ({ effect }: SlotStep) => {
  if (effect?.type === "requeue") return { giveBack: { reason: "nonce-lost", isFailure: false } }
  return effect?.type === "inspect" ? { giveBack: { reason: "reverted", isFailure: true } } : undefined
}

/** Undefined: there is nothing to tell the slot. */
const carryOut = Effect.fnUntraced(function* (lane: LaneId, lease: Lease, slot: Slot, { effect, snapshot }: SlotStep) {
  const now = yield* Clock.currentTimeMillis
  const tell = (event: SlotEvent) => ({ slot, step: nextSlot(snapshot, event) })
  switch (effect?.type) {
    case "broadcast":
      return tell(yield* broadcast(slot, effect, now))
    case "find-receipt":
      return tell(yield* findReceipt(lane, slot, now))
    case "check-finality":
      return tell(yield* checkFinality(effect, now))
    case "sign":
      return yield* replace(lane, lease, slot, snapshot, effect.attemptNo, now)
    case "requeue":
      return undefined // it was given back with the decision
    case "inspect": {
      const telemetry = yield* Telemetry
      telemetry.error("a fulfilment reverted", { lane: lane.address, nonce: slot.nonce, root: effect.root, runbook: "docs/runbooks/submitted.md" })
      return undefined
    }
    case undefined:
      return undefined
  }
})

const broadcast = Effect.fnUntraced(function* (slot: Slot, effect: Extract<SlotEffect, { type: "broadcast" }>, now: number) {
  const contract = yield* ResultContract
  const attempt = slot.attempts.find(({ attemptNo }) => attemptNo === effect.attemptNo)
  if (attempt === undefined) return { type: "nonce-used", now } satisfies SlotEvent as SlotEvent
  const answer = yield* contract.broadcast(attempt.rawTx)
  return { type: answer, now } satisfies SlotEvent as SlotEvent
})

const findReceipt = Effect.fnUntraced(function* (lane: LaneId, slot: Slot, now: number) {
  const contract = yield* ResultContract
  const look = contract.mined(slot.attempts.map(({ txHash }) => txHash))
  const [mined, next] = yield* contract.together(
    Effect.gen(function* () {
      const [seen, nonce] = yield* Effect.all([look, contract.nonceOf(lane.address)], { concurrency: 2 })
      // A block may have come between the two: whoever has seen the nonce used has the receipt by now, if one of ours has used it.
      return [seen === undefined && nonce > slot.nonce ? yield* look : seen, nonce] as const
    })
  )
  return (
    mined === undefined ? { type: "not-mined", isNonceUsed: next > slot.nonce, now } : { type: "mined", ...mined, now }
  ) satisfies SlotEvent as SlotEvent
})

const checkFinality = Effect.fnUntraced(function* ({ block }: Extract<SlotEffect, { type: "check-finality" }>, now: number) {
  const finality = yield* ResultContract.use((contract) => contract.finality(block))
  const type = finality === "gone" ? "reorged" : finality
  return { type, now } satisfies SlotEvent as SlotEvent
})

const FULFILMENT = { isCancellation: false } as const

const feesOf = ({ maxFeePerGas, maxPriorityFeePerGas }: Attempt): Fees => ({ maxFeePerGas, maxPriorityFeePerGas })

/** A further attempt at the same nonce, stored together with the decision before it is broadcast. */
const replace = Effect.fnUntraced(function* (
  lane: LaneId,
  lease: Lease,
  slot: Slot,
  snapshot: TransactionLaneSnapshot,
  attemptNo: number,
  now: number
) {
  const ledger = yield* LaneLedger
  const telemetry = yield* Telemetry
  const batch = yield* ResultLedger.use((results) => results.batch(slot.root))
  const previous = slot.attempts.at(-1)
  const signed =
    batch === undefined
      ? undefined
      : yield* signFulfilment(lane.address, batch, slot.nonce, previous && feesOf(previous)).pipe(
          Effect.catchTag("SubmissionRejected", () => Effect.succeed(undefined))
        )
  if (signed === undefined) return { slot, step: nextSlot(snapshot, { type: "not-replaced", now }) }
  const { rawTx, txHash, gasLimit, fees } = signed
  const attempt: Attempt = { ...{ nonce: slot.nonce, attemptNo, root: slot.root, txHash, rawTx, gasLimit }, ...fees, ...FULFILMENT, signedAtMs: now }
  const step = nextSlot(snapshot, { type: "replaced", attemptNo, txHash, now })
  const change = { nonce: slot.nonce, version: slot.version, snapshot: step.snapshot, isFinal: step.isFinal, attempt }
  if (!(yield* ledger.save(lane, lease, change))) return undefined
  telemetry.count("fee_bumps", 1, lane.address)
  const attempts = [...slot.attempts, attempt]
  return { slot: { ...slot, version: slot.version + 1, snapshot: step.snapshot, attempts }, step }
})

/** New nonces, strictly one after the other: no nonce is broadcast before the one below it is stored. A few batches are pulled at a time, so that
 * lanes that are free find some too. */
const sendWaiting = Effect.fnUntraced(function* (lane: LaneId, lease: Lease, nextNonce: number | undefined, room: number) {
  const ledger = yield* LaneLedger
  const pull = (sent: number) => ledger.pull(lane, lease, Math.min(PULLED_AT_ONCE, room - sent))
  let pulled = yield* pull(0)
  if (pulled.length === 0) return 0
  const first = yield* firstNonce(lane, nextNonce)
  if (first === undefined) return 0
  let nonce = first
  while (pulled.length > 0) {
    for (const { root, requestIds } of pulled) {
      const batch = yield* ResultLedger.use((results) => results.batch(root))
      const statuses = batch === undefined ? [] : yield* ResultContract.use((contract) => contract.statuses(requestIds))
      if (batch === undefined || !statuses.includes("requested")) {
        yield* ledger.discard(lane, lease, root)
        continue
      }
      const isSent = yield* send(lane, lease, batch, nonce)
      if (isSent === "lost") return nonce - first
      if (isSent === "sent") nonce += 1
    }
    pulled = nonce - first < room ? yield* pull(nonce - first) : []
  }
  return nonce - first
})

/** Whoever else used this account on chain took nonces that the ledger does not know of. A few are believed; a leap is either a key in strange
 * hands or an endpoint that lies, and sending above it could block the lane for ever. Undefined: somebody has been paged. */
const firstNonce = Effect.fnUntraced(function* (lane: LaneId, nextNonce: number | undefined) {
  const onChain = yield* ResultContract.use((contract) => contract.nonceOf(lane.address))
  if (nextNonce === undefined || onChain <= nextNonce) return nextNonce ?? onChain
  if (onChain - nextNonce <= STRANGE_NONCES_MAX) return onChain
  const telemetry = yield* Telemetry
  telemetry.error("a lane's nonce leapt ahead", { lane: lane.address, nextNonce, onChain, runbook: "docs/runbooks/submitted.md" })
  return undefined
})

const send = Effect.fnUntraced(function* (lane: LaneId, lease: Lease, batch: AttestedBatch, nonce: number) {
  const ledger = yield* LaneLedger
  const telemetry = yield* Telemetry
  const now = yield* Clock.currentTimeMillis
  const { root } = batch.attested
  const signed = yield* signFulfilment(lane.address, batch, nonce).pipe(
    Effect.catchTag("SubmissionRejected", ({ reason }) =>
      Effect.sync(() => {
        telemetry.error("the contract would reject a fulfilment", { root, reason, runbook: "docs/runbooks/submitted.md" })
        return undefined
      })
    )
  )
  if (signed === undefined) {
    yield* ledger.discard(lane, lease, root)
    return "rejected" as const
  }
  const { rawTx, txHash, gasLimit, fees } = signed
  const attempt: Attempt = { ...{ nonce, attemptNo: 0, root, txHash, rawTx, gasLimit }, ...fees, ...FULFILMENT, signedAtMs: now }
  const first = openSlot({ nonce, root, txHash, now })
  if (!(yield* ledger.take(lane, lease, { nonce, root, snapshot: first.snapshot, attempt }))) return "lost" as const
  yield* drive(lane, lease, { nonce, root, version: 1, snapshot: first.snapshot, attempts: [attempt] }, first)
  return "sent" as const
})
