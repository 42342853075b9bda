/** What a lane sends that was never sent: batches from the chain's queue at new nonces, and nothing at nonces that nobody used. Everything that speaks
 * against sending is looked at before anything is signed. */
import { Clock, Effect } from "effect"
import { openSlot } from "../../machines/transaction-lane.machine.ts"
import type { Hex } from "../../src/domain/hex.ts"
import type { AttestedBatch } from "../../src/domain/response.ts"
import { ResultContract } from "../../src/journey/6-submitted/result-contract.port.ts"
import { type CarriedAlone, carryAlone, isAboutAttestation } from "../../src/journey/6-submitted/carry-alone.ts"
import { signCancellation, signFulfilment } from "../../src/journey/6-submitted/sign-fulfilment.ts"
import { LaneLedger, NO_BATCH, type Attempt, type Slot, type WaitingBatch } from "../../src/ledger/lane-ledger.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { ResultLedger } from "../../src/ledger/result-ledger.port.ts"
import { monotonicMs } from "../../src/resilience/monotonic.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"
import { atStake, goOn, LEAST_GAS, spending, standStill, worstOf, type Driver, type Standstill } from "./lane-health.ts"
import { drive } from "./slot.ts"

/** Batches that a lane reserves at once: few enough that the next free lane finds some, enough not to ask for each. */
const PULLED_AT_ONCE = 4
/** Nonces that somebody else may have used without anybody being paged: an operator's own transfer or two. */
const STRANGE_NONCES_MAX = 4
/** What cannot be sent now is looked at again after this long. */
const PUT_OFF_MS = 15_000
/** Two of the looks that an idle lane takes: what one cannot pay for, any other has seen by then. */
const TRY_ELSEWHERE_MS = 1_000
/** Mined, reverted and final so often: more money will not help. With the pauses in between it takes at least two and a half minutes, and where
 * finality is slow more than an hour; the first of them has paged. */
export const REVERTS_MAX = 5
/** Rejected before it was sent so often: alone, and over at least half an hour. It cost nothing, but it never will be taken either. */
export const REJECTIONS_MAX = 10
/** Between two tries of what is rejected: the first pause is PUT_OFF_MS, doubled each time. */
const REJECTED_LONGEST_MS = 300_000
/** Nonces without a slot that are filled in one round. */
const HOLES_AT_ONCE = 16

/** A batch, or one result of it that was carried alone, that is given up: its requests are halted. */
export interface GivenUp {
  readonly batch: AttestedBatch
  readonly reason: "fulfilment-reverts" | "fulfilment-rejected"
  readonly detail: string
}

/** New nonces, strictly one after the other: no nonce is broadcast before the one below it is stored. A few batches are pulled at a time, so that
 * lanes that are free find some too. Answers how many were sent. */
export const sendWaiting = Effect.fnUntraced(function* <E, R>(
  driver: Driver,
  nextNonce: number | undefined,
  open: ReadonlyArray<Slot>,
  room: number,
  giveUp: (given: GivenUp) => Effect.Effect<void, E, R>
) {
  const { lane, lease, health } = driver
  const ledger = yield* LaneLedger
  const pull = (sent: number) => ledger.pull(lane, lease, Math.min(PULLED_AT_ONCE, room - sent))
  let pulled = yield* pull(0)
  if (pulled.length === 0) return 0
  const contract = yield* ResultContract
  const [first, balance] = yield* Effect.all([firstNonce(driver, nextNonce), contract.balanceOf(lane.address)], { concurrency: 2 })
  let purse: Purse = { balance, staked: atStake(open) }
  let nonce = first ?? 0
  while (pulled.length > 0) {
    for (const waiting of pulled) {
      if (health.standstill !== undefined) {
        yield* ledger.putBack(lane, lease, waiting.root, health.standstill, 0) // at once for the others
        continue
      }
      const isSent = yield* consider(driver, waiting, nonce, purse, giveUp)
      if (isSent === "lost") return nonce - (first ?? 0)
      if (isSent === "put back") continue
      nonce += 1
      purse = { ...purse, staked: purse.staked + isSent.worst }
    }
    const sent = nonce - (first ?? 0)
    pulled = health.standstill === undefined && sent < room ? yield* pull(sent) : []
  }
  return nonce - (first ?? 0)
})

interface Purse {
  readonly balance: bigint
  /** Most that what is in the mempool can still cost. */
  readonly staked: bigint
}

/** Everything that speaks against sending this batch, and if nothing does, sends it. */
const consider = Effect.fnUntraced(function* <E, R>(
  driver: Driver,
  { root, requestIds, failures, rejections, reason }: WaitingBatch,
  nonce: number,
  purse: Purse,
  giveUp: (given: GivenUp) => Effect.Effect<void, E, R>
) {
  const { lane, lease } = driver
  const ledger = yield* LaneLedger
  const telemetry = yield* Telemetry
  const putBack = (why: string, afterMs: number) => Effect.as(ledger.putBack(lane, lease, root, why, afterMs), "put back" as const)
  const discard = Effect.as(ledger.discard(lane, lease, root), "put back" as const)
  const batch = yield* ResultLedger.use((results) => results.batch(root))
  if (batch === undefined) return yield* discard
  const statuses = yield* ResultContract.use((contract) => contract.statuses(batch.responses.map(({ requestId }) => requestId)))
  if (!statuses.includes("requested")) return yield* discard
  // One transaction with all of it has failed, or would: each result goes alone, so that at most one of them is to blame.
  const split = (why: string) => splitUp(driver, root, carryAlone(batch, statuses, requestIds), why)
  if (failures > 0 && (yield* split(reason ?? "reverted"))) return "put back" as const
  if (failures >= REVERTS_MAX || rejections >= REJECTIONS_MAX) {
    yield* giveUp(givenUp(batch, failures, rejections, reason ?? "unknown"))
    return yield* putBack(reason ?? "given-up", PUT_OFF_MS * 4) // until its requests have ended
  }
  if (yield* isOverBudget(driver, batch)) {
    telemetry.count("batches_over_budget")
    return yield* putBack("requester-over-budget", PUT_OFF_MS)
  }
  const signed = yield* signFulfilment(lane.address, batch, nonce).pipe(
    Effect.catchTag("SubmissionRejected", ({ reason: said }) => Effect.succeed({ said })),
    // An endpoint may be unable to answer about this one alone: behind the others, it keeps none of them waiting.
    Effect.tapErrorTag("ChainUnavailable", () => putBack("chain-unavailable", TRY_ELSEWHERE_MS))
  )
  if ("said" in signed) {
    // The attestation lives as long as the last deadline in the batch, so nothing in it can be fulfilled any more, by whatever attestation.
    if (signed.said === "AttestationExpired") return yield* discard
    const why = `rejected: ${signed.said}`
    const isAlone = !isAboutAttestation(signed.said)
    if (isAlone && (yield* split(why))) return "put back" as const
    if (reason !== why) {
      const told = { root, reason: signed.said, runbook: "docs/runbooks/submitted.md" }
      telemetry.error("the contract would reject a fulfilment", told)
    }
    if (!isAlone) return yield* putBack(why, PUT_OFF_MS)
    const pauseMs = Math.min(PUT_OFF_MS * 2 ** rejections, REJECTED_LONGEST_MS)
    return yield* Effect.as(ledger.putBack(lane, lease, root, why, pauseMs, true), "put back" as const)
  }
  const { rawTx, txHash, gasLimit, fees } = signed
  const worst = worstOf({ gasLimit, maxFeePerGas: fees.maxFeePerGas })
  const against = yield* tooDear(driver, purse, worst, fees.maxFeePerGas)
  if (against !== undefined) {
    if (!against.isForAll) return yield* putBack(against.why, yield* tooDearFor(driver, root, reason, against.why))
    yield* standStill(driver, against.why)
    return yield* putBack(against.why, 0)
  }
  const now = yield* Clock.currentTimeMillis
  const attempt: Attempt = { nonce, attemptNo: 0, root, txHash, rawTx, gasLimit, ...fees, isCancellation: false, signedAtMs: now }
  const step = openSlot({ nonce, root, txHash, now })
  if (!(yield* ledger.take(lane, lease, { nonce, root, snapshot: step.snapshot, attempt }))) return "lost" as const
  yield* drive(driver, { nonce, root, version: 1, snapshot: step.snapshot, attempts: [attempt] }, step)
  return { worst }
})

/** Answers whether it was split; it is not when it is one result already, or somebody else's by now. */
const splitUp = Effect.fnUntraced(function* ({ lane, lease }: Driver, root: Hex, parts: ReadonlyArray<CarriedAlone>, why: string) {
  if (parts.length === 0) return false
  if (!(yield* LaneLedger.use((ledger) => ledger.split(lane, lease, root, parts, why)))) return true // nothing of it is ours to send
  const telemetry = yield* Telemetry
  telemetry.count("batches_split", 1, lane.address)
  telemetry.warn("a batch is sent result by result", { lane: lane.address, root, why, runbook: "docs/runbooks/submitted.md" })
  return true
})

const givenUp = (batch: AttestedBatch, failures: number, rejections: number, last: string): GivenUp =>
  failures >= REVERTS_MAX
    ? { batch, reason: "fulfilment-reverts", detail: `${failures} transactions with it were mined and reverted; the last: ${last}` }
    : { batch, reason: "fulfilment-rejected", detail: `the contract would have rejected it ${rejections} times; the last: ${last}` }

/** Every requester in the batch has spent too much. One who has not is not made to wait for others. */
const isOverBudget = Effect.fnUntraced(function* (driver: Driver, { responses }: AttestedBatch) {
  const { overBudget } = yield* spending(driver, yield* monotonicMs)
  if (overBudget.size === 0) return false
  const requests = yield* RequestLedger.use((ledger) => ledger.load(responses.map(({ requestId }) => requestId)))
  return requests.length > 0 && requests.every(({ facts }) => overBudget.has(facts.requester))
})

/** `isForAll`: the lane could not pay for the cheapest batch either. Otherwise it is this one that is dear (a callback with much gas), and must not keep
 * the others from a lane that can carry them. */
const tooDear = Effect.fnUntraced(function* (driver: Driver, { balance, staked }: Purse, worst: bigint, maxFeePerGas: bigint) {
  const least = LEAST_GAS * maxFeePerGas
  if (balance < staked + worst) return { why: "out-of-funds" satisfies Standstill, isForAll: balance < staked + least } as const
  const { lane: spent } = yield* spending(driver, yield* monotonicMs)
  if (spent + staked + worst <= driver.budget.lane) return undefined
  return { why: "over-budget" satisfies Standstill, isForAll: spent + staked + least > driver.budget.lane } as const
})

/** Says so the first time. Answers for how long it is put off: another lane may have more, so at first not for long. */
const tooDearFor = Effect.fnUntraced(function* ({ lane }: Driver, root: Hex, reason: string | null, why: Standstill) {
  if (reason === why) return PUT_OFF_MS
  const telemetry = yield* Telemetry
  telemetry.warn("a batch costs more than a lane has left", { lane: lane.address, root, why, runbook: "docs/runbooks/submitted.md" })
  return TRY_ELSEWHERE_MS
})

/** Whoever else used this account took nonces that the ledger does not know of. They are believed only when they are final: an endpoint that is wrong
 * about the newest block must not make us leave a gap. A leap is either a key in strange hands or an endpoint that lies. Undefined: not now. */
export const firstNonce = Effect.fnUntraced(function* (driver: Driver, nextNonce: number | undefined) {
  const { lane } = driver
  const contract = yield* ResultContract
  const onChain = yield* contract.nonceOf(lane.address)
  const isOurs = nextNonce !== undefined && onChain <= nextNonce
  const final = isOurs ? onChain : yield* contract.finalNonceOf(lane.address)
  // A lane that has never sent has no count of its own: what is final takes its place, and what is above it is filled up when it was a lie.
  const isFew = onChain - (nextNonce ?? final) <= STRANGE_NONCES_MAX
  if (isFew && (nextNonce === undefined || final >= onChain)) {
    if (driver.health.standstill === "strange-nonce") yield* goOn(driver)
    return Math.max(nextNonce ?? final, onChain)
  }
  if (!isFew && nextNonce !== undefined && driver.health.standstill !== "strange-nonce") {
    const telemetry = yield* Telemetry
    telemetry.error("a lane's nonce leapt ahead", { lane: lane.address, nextNonce, onChain, runbook: "docs/runbooks/submitted.md" })
  }
  yield* standStill(driver, "strange-nonce")
  return undefined
})

/** Nonces that the chain still expects and that never had a slot: an endpoint lied when the lane began, or rows were lost. Nothing above them can be
 * mined, so they are used up. */
export const fillHoles = Effect.fnUntraced(function* (driver: Driver, chainNonce: number) {
  const { lane, lease } = driver
  const ledger = yield* LaneLedger
  const holes = yield* ledger.holes(lane, chainNonce, HOLES_AT_ONCE)
  for (const nonce of holes) {
    const telemetry = yield* Telemetry
    const { rawTx, txHash, gasLimit, fees } = yield* signCancellation(lane.address, nonce)
    const now = yield* Clock.currentTimeMillis
    const root: Hex = NO_BATCH
    const attempt: Attempt = { nonce, attemptNo: 0, root, txHash, rawTx, gasLimit, ...fees, isCancellation: true, signedAtMs: now }
    const step = openSlot({ nonce, root, txHash, now })
    if (!(yield* ledger.fill(lane, lease, { nonce, root, snapshot: step.snapshot, attempt }))) return
    telemetry.warn("a lane fills a nonce that nobody used", { lane: lane.address, nonce, runbook: "docs/runbooks/submitted.md" })
    telemetry.count("lane_cancellations", 1, lane.address)
    yield* drive(driver, { nonce, root, version: 1, snapshot: step.snapshot, attempts: [attempt] }, step)
  }
})
