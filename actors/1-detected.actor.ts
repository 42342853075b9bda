/** Hosts block-cursor: does what the cursor says, tells it what was seen, and stores blocks with their requests in one transaction. One
 * listener of each chain is elected, to save questions; several at once are harmless: only one of them advances at a time. */
import { Clock, Deferred, Duration, Effect } from "effect"
import { nextCursor, openCursor, type CursorEvent, type CursorInstruction, type CursorStep } from "../machines/block-cursor.machine.ts"
import { birth, MACHINE_VERSION } from "../machines/decide.ts"
import type { Hex } from "../src/domain/hex.ts"
import { PARTITIONS } from "../src/domain/limits.ts"
import type { BlockRef } from "../src/domain/outcome.ts"
import { partitionOf } from "../src/domain/request.ts"
import { confirmTakenBack, readBlocks, seeHead } from "../src/journey/1-detected/detect-requests.ts"
import { ChainUnavailable, RequestLog, type ReadBlock } from "../src/journey/1-detected/request-log.port.ts"
import { DetectionLedger, type SeenBlock, type SeenRequest } from "../src/ledger/detection-ledger.port.ts"
import type { HeldLease } from "../src/ledger/lease-keeper.port.ts"
import { leaseLost } from "../src/ledger/lease.port.ts"
import { Telemetry } from "../src/telemetry/telemetry.port.ts"
import { untilThereIsRoom } from "./runtime/backpressure.ts"
import { dispatch, type OwedWork } from "./runtime/dispatch.ts"
import { elected } from "./runtime/elected.ts"
import { supervise } from "./runtime/supervise.ts"

export interface ListenerOptions {
  readonly worker: string
  /** The first height that is read when the ledger has no cursor yet. */
  readonly startBlock: number
  /** How often the head is looked at, at least; sooner when a new one is announced. */
  readonly pollMs: number
  /** false: reads whoever else does. Harmless, and every reader pays for its own questions to the chain. */
  readonly isElected?: boolean
  readonly chainSilentMsMax?: number
}

/** Bounds memory and the transaction that stores them. */
const BATCH_BLOCKS_MAX = 50
/** A leader whose chain has answered nothing but failures for this long resigns: another node's endpoint may be better. Long enough for a node
 * that restarts; together with the look of those who watch it bounds what one dead endpoint costs. */
const CHAIN_SILENT_MS_MAX = 15_000
/** Of what was born together, so much is given out at once; coordinators, who know how much is under way, give out the rest (docs/adr/0022). */
const GIVEN_OUT_AT_ONCE_MAX = 128
/** A chain that took back final blocks needs a human; until one comes, it is said again this often. */
const STOPPED_REMINDER_MS = 60_000
const RUNBOOK = "docs/runbooks/detected.md"

export const detectedActor = Effect.fnUntraced(function* (options: ListenerOptions) {
  if (options.isElected === false) return yield* supervise("detected", follow({ ...options, leadership: null, onProgress: () => undefined }))
  const { chainId } = yield* RequestLog
  const telemetry = yield* Telemetry
  telemetry.gauge("is_listener_leader", 0)
  yield* elected({
    name: listenerLease(chainId),
    owner: options.worker,
    canLead: seeHead,
    lead: (leadership) => Effect.scoped(term({ ...options, leadership })),
    onTransition: (transition) => {
      telemetry.gauge("is_listener_leader", transition.to === "leader" ? 1 : 0)
      telemetry.info(transition.to === "leader" ? "the listener leads its chain" : "the listener watches its chain", {
        chain: String(chainId),
        ...(transition.to === "leader" ? { epoch: String(transition.epoch) } : { because: transition.because })
      })
    }
  })
})

export const listenerLease = (chainId: bigint): string => `listener/${chainId}`

interface Reading extends ListenerOptions {
  /** null: not elected; only the cursor holds back. */
  readonly leadership: HeldLease | null
  /** Told whenever everything that the chain has shown is stored. */
  readonly onProgress: () => void
}

/** Follows the chain until it turns out that somebody else leads, or that this process cannot read the chain. */
const term = Effect.fnUntraced(function* (options: Omit<Reading, "onProgress">) {
  const ends = yield* Deferred.make<"lost" | "resigned">()
  const clock = yield* Clock.Clock
  const silentNanosMax = BigInt(options.chainSilentMsMax ?? CHAIN_SILENT_MS_MAX) * 1_000_000n
  let progressNanos = clock.monotonicTimeNanosUnsafe()
  const onProgress = () => void (progressNanos = clock.monotonicTimeNanosUnsafe())
  const isSilent = () => clock.monotonicTimeNanosUnsafe() - progressNanos >= silentNanosMax
  const following = follow({ ...options, onProgress }).pipe(
    Effect.catchTag("LeaseLost", () => Effect.andThen(Deferred.succeed(ends, "lost"), Effect.never)),
    Effect.tapErrorTag("ChainUnavailable", () => Effect.when(Deferred.succeed(ends, "resigned"), Effect.sync(isSilent)))
  )
  yield* supervise("detected", following)
  return yield* Deferred.await(ends)
})

const follow = Effect.fnUntraced(function* (options: Reading) {
  const log = yield* RequestLog
  const ledger = yield* DetectionLedger
  const cursor = yield* ledger.cursor(log.chainId)
  // After a failure the next instruction is simply worked out again from the ledger: nothing is remembered that could be wrong.
  let step = openCursor({ cursor: refOrNull(cursor), startBlock: options.startBlock, batchBlocksMax: BATCH_BLOCKS_MAX })
  let read: ReadonlyArray<ReadBlock> = []
  let isFirstLook = true
  let isBehind = false
  for (;;) {
    const { instruction } = step
    if (instruction.type === "watch" && !isFirstLook) yield* Effect.raceFirst(Effect.sleep(Duration.millis(options.pollMs)), log.nextHead)
    isFirstLook = false
    if (instruction.type === "read") isBehind = yield* untilThereIsRoom
    const seen = yield* carryOut(instruction, read, options, isBehind)
    if (seen.event.type === "advanced" && takesBack(step)) yield* Telemetry.use((telemetry) => Effect.sync(() => telemetry.count("reorgs")))
    read = seen.read
    step = nextCursor(step.snapshot, seen.event)
    if (seen.event.type === "advanced" || step.instruction.type === "watch" || step.instruction.type === "stop") options.onProgress()
  }
})

/** Blocks of ours are replaced. Walking back alone is none: endpoints that disagree about the tip make us do that, too. */
const takesBack = ({ snapshot: { context }, instruction }: CursorStep): boolean =>
  instruction.type === "advance" && context.cursor !== null && instruction.ancestor < context.cursor.blockNumber

const refOf = ({ number, hash }: Pick<SeenBlock, "number" | "hash">): BlockRef => ({ blockNumber: number, blockHash: hash })
const refOrNull = (block: SeenBlock | undefined): BlockRef | null => (block === undefined ? null : refOf(block))

/** Carries out one instruction and says what was seen. */
const carryOut = Effect.fnUntraced(function* (
  instruction: CursorInstruction,
  read: ReadonlyArray<ReadBlock>,
  options: Reading,
  isBehind: boolean
) {
  const log = yield* RequestLog
  const ledger = yield* DetectionLedger
  const telemetry = yield* Telemetry
  switch (instruction.type) {
    case "watch": {
      const { head, finalized } = yield* seeHead
      telemetry.gauge("chain_head_block", head.number)
      const ours = yield* ledger.blockAt(log.chainId, finalized.number)
      return told({ type: "head-seen", head: refOf(head), final: refOf(finalized), ours: ours?.hash ?? null })
    }
    case "read": {
      const blocks = yield* readBlocks(instruction.from, instruction.to)
      return told({ type: "blocks-read", blocks }, blocks)
    }
    case "look": {
      const { height } = instruction
      const [ours, theirs] = yield* Effect.all([ledger.blockAt(log.chainId, height), log.headAt(height)], { concurrency: 2 })
      return told({ type: "looked", ours: ours?.hash ?? null, theirs: theirs?.hash ?? null })
    }
    case "confirm": {
      const { height, ours } = instruction
      telemetry.warn("an endpoint has another block than our final one", { height, runbook: RUNBOOK })
      const stored = yield* ledger.blockAt(log.chainId, height)
      if (ours === null || stored?.hash !== ours) {
        return yield* new ChainUnavailable({ doing: "compare final blocks", cause: "another listener has moved the cursor meanwhile" })
      }
      yield* confirmTakenBack(height, ours)
      return told({ type: "taken-back" })
    }
    case "advance":
      return told(yield* advance(instruction, read.slice(0, instruction.count), options, isBehind))
    case "stop": {
      telemetry.error("the chain took back final blocks", { height: instruction.height, runbook: RUNBOOK })
      return yield* Effect.never.pipe(Effect.timeout(Duration.millis(STOPPED_REMINDER_MS)))
    }
  }
})

const told = (event: CursorEvent, read: ReadonlyArray<ReadBlock> = []) => ({ event, read })

const advance = Effect.fnUntraced(function* (
  { expected, ancestor, keepFrom }: Extract<CursorInstruction, { type: "advance" }>,
  blocks: ReadonlyArray<ReadBlock>,
  { worker, leadership }: Reading,
  isBehind: boolean
) {
  if (leadership !== null && !leadership.isTrusted()) return yield* leaseLost(leadership.lease)
  const { chainId } = yield* RequestLog
  const ledger = yield* DetectionLedger
  const stored = yield* ledger
    .advance({ chainId, expected, ancestor, keepFrom, worker, blocks, requests: blocks.flatMap(requestsIn), lease: leadership?.lease ?? null })
    .pipe(
      Effect.map((advanced) => ({ type: "advanced", ...advanced }) as const),
      Effect.catchTag("CursorMoved", () => Effect.succeed({ type: "moved" } as const))
    )
  if (stored.type === "moved") {
    return { type: "cursor-moved", cursor: refOrNull(yield* ledger.cursor(chainId)) } satisfies CursorEvent as CursorEvent
  }
  const last = blocks.at(-1)
  if (last !== undefined) yield* Telemetry.use((telemetry) => Effect.sync(() => telemetry.gauge("cursor_block", last.number)))
  yield* announceBorn(stored.born, blocks, isBehind)
  return { type: "advanced" } satisfies CursorEvent as CursorEvent
})

/** What the ledger is told of the requests in a block. */
export const requestsIn = (block: ReadBlock): ReadonlyArray<SeenRequest> =>
  block.requests.map(({ id, facts, anchor }) => ({
    id,
    facts,
    anchor,
    partition: partitionOf(id, PARTITIONS),
    snapshot: birth(anchor).snapshot,
    machineVersion: MACHINE_VERSION
  }))

/** Says what was born and gives out its first piece of work. */
export const announceBorn = Effect.fnUntraced(function* (
  born: ReadonlyArray<{ readonly requestId: Hex; readonly outboxId: bigint }>,
  blocks: ReadonlyArray<ReadBlock>,
  isBehind = false
) {
  const telemetry = yield* Telemetry
  const seen = new Map(blocks.flatMap(({ requests }) => requests.map((request) => [request.id, request] as const)))
  const owed: Array<OwedWork> = []
  for (const { requestId, outboxId } of born) {
    const request = seen.get(requestId)
    if (request === undefined) continue
    owed.push({ requestId, version: 1, reached: "detected", outboxId, deadline: request.facts.deadline, claim: 0 })
    const event = { type: "detected", blockNumber: request.anchor.blockNumber } as const
    telemetry.reached({ requestId, kind: request.facts.kind, from: null, to: "detected", event, version: 1, sinceDetectedMs: 0 })
  }
  // Nobody overtakes those who wait.
  if (isBehind) return
  yield* Effect.forkDetach(dispatch(inTurn(owed, seen).slice(0, GIVEN_OUT_AT_ONCE_MAX)))
})

/** One of each requester, then a second of each, and so on. */
const inTurn = (owed: ReadonlyArray<OwedWork>, seen: ReadonlyMap<Hex, { readonly facts: { readonly requester: Hex } }>) => {
  const turns = new Map<Hex | undefined, number>()
  const numbered = owed.map((work) => {
    const requester = seen.get(work.requestId)?.facts.requester
    const turn = (turns.get(requester) ?? 0) + 1
    turns.set(requester, turn)
    return { work, turn }
  })
  return numbered.toSorted((a, b) => a.turn - b.turn).map(({ work }) => work)
}
