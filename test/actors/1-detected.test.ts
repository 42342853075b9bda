/** The listener does what the block cursor says: every block is stored on the one that it names as its parent, with its
 * requests, or not at all. */
import { Deferred, Effect } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { detectedActor, type ListenerOptions } from "../../actors/1-detected.actor.ts"
import { rescanActor } from "../../actors/rescan.actor.ts"
import type { DecryptionRequest } from "../../src/domain/request.ts"
import { requestIdOf, type RequestId } from "../../src/domain/request.ts"
import { ChainUnavailable, RequestLog, type ReadBlock } from "../../src/journey/1-detected/request-log.port.ts"
import { DetectionLedger } from "../../src/ledger/detection-ledger.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { aChainId, type LedgerWorld, openLedgerWorld, random32 } from "../support/ledger-world.ts"
import { aRequest } from "../journey/a-request.ts"
import type { HeardTelemetry } from "./support/heard-telemetry.ts"
import { hearWork, inActorWorld, until, withOver } from "./support/actor-world.ts"

let world: LedgerWorld
beforeAll(async () => void (world = await openLedgerWorld()), 60_000)
afterAll(() => world.close(), 60_000)

/** Blocks that a test mines and takes back. */
class Chain {
  readonly chainId = aChainId()
  readonly blocks: Array<ReadBlock> = []
  finalized = 0
  /** So many looks at the head are answered by an endpoint that has another block there. */
  disputes = 0
  isUnreachable = false
  reads = 0
  private bell = Deferred.makeUnsafe<void>()
  readonly rereads: Array<number> = []
  /** Requests that the endpoint which the listener asks leaves out. */
  readonly hidden = new Set<RequestId>()
  /** What another endpoint has at every height, when it is on another fork. */
  forked: ReadBlock | undefined
  /** The branch of an endpoint that has not noticed that the chain left it, and that is asked for blocks; what is final another one tells. */
  stuck: ReadonlyArray<ReadBlock> | undefined
  /** What a second endpoint has, when it is asked what is final at a height. */
  second: ReadonlyArray<ReadBlock> | undefined

  mine(...facts: ReadonlyArray<DecryptionRequest>): void {
    const number = this.blocks.length
    const hash = random32()
    const anchor = (logIndex: number) => ({ blockNumber: number, blockHash: hash, logIndex })
    const requests = facts.map((one, logIndex) => ({ id: requestIdOf(one), facts: one, anchor: anchor(logIndex) }))
    this.blocks.push({ number, hash, parentHash: this.blocks.at(-1)?.hash ?? random32(), timestamp: number, requests })
  }

  announce(): void {
    const rung = this.bell
    this.bell = Deferred.makeUnsafe<void>()
    Deferred.doneUnsafe(rung, Effect.void)
  }

  private hiding(block: ReadBlock | undefined): ReadBlock | undefined {
    return block && { ...block, requests: block.requests.filter(({ id }) => !this.hidden.has(id)) }
  }

  takeBack(count: number): void {
    this.blocks.splice(-count)
  }

  get log(): RequestLog["Service"] {
    const cutOff = new ChainUnavailable({ doing: "read", cause: "cut off" })
    const ask = <A>(answer: () => A) => Effect.suspend(() => (this.isUnreachable ? Effect.fail(cutOff) : Effect.sync(answer)))
    return {
      chainId: this.chainId,
      nextHead: Effect.suspend(() => Deferred.await(this.bell)),
      latest: ask(() => ({ ...(this.stuck ?? this.blocks).at(-1)!, ...(this.disputes-- > 0 ? { hash: random32() } : {}) })),
      finalized: ask(() => this.blocks[this.finalized]!),
      finalAt: (number) =>
        ask(() => [this.blocks, this.second ?? this.blocks].map((blocks) => (number <= this.finalized ? blocks[number] : undefined))),
      readBlock: (number) => ask(() => (this.reads++, this.hiding((this.stuck ?? this.blocks)[number]))),
      readElsewhere: (number) => ask(() => (this.rereads.push(number), this.forked ?? this.blocks[number])),
      headAt: (number) => ask(() => (this.stuck ?? this.blocks)[number])
    }
  }
}

const listening = (chain: Chain, worker = "listener", given: Partial<ListenerOptions> = {}) =>
  detectedActor({ worker, startBlock: 0, pollMs: 5, ...given }).pipe(Effect.provideService(RequestLog, chain.log))

const request = (chain: Chain) => aRequest({ chainId: chain.chainId, deadline: Math.floor(Date.now() / 1_000) + 3_600 })
const cursorOf = (chain: Chain) => DetectionLedger.use((ledger) => ledger.cursor(chain.chainId))
const hasRead = (chain: Chain) => Effect.map(cursorOf(chain), (cursor) => cursor?.hash === chain.blocks.at(-1)?.hash)
const signalsOf = (id: RequestId) =>
  Effect.promise(() => world.query("SELECT event FROM signal WHERE request_id = $1", [Buffer.from(id.slice(2), "hex")])).pipe(
    Effect.map((rows) => rows.map((row) => (row["event"] as { type: string }).type))
  )

/** What was announced as detected, each as often as it was. */
const detected = ({ facts }: HeardTelemetry) =>
  facts.filter(({ to }) => to === "detected").map(({ requestId }) => requestId).toSorted()

describe("the listener", () => {
  test("stores each request with its block and announces it once", () => {
    const chain = new Chain()
    const asked = [request(chain), request(chain), request(chain)]
    chain.mine(asked[0]!)
    chain.mine()
    chain.mine(asked[1]!)
    return inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const work = yield* hearWork("detected")
        yield* listening(chain)
        yield* until("the head is read", hasRead(chain))
        chain.mine(asked[2]!)
        yield* until("the new head is read", hasRead(chain))
        yield* until("all are announced", Effect.sync(() => work.items().length === 3))
        const ids = asked.map(requestIdOf)
        expect(work.items().map(({ requestId }) => requestId).toSorted()).toEqual(ids.toSorted())
        expect(detected(telemetry)).toEqual(ids.toSorted())
        const stored = yield* RequestLedger.use((ledger) => ledger.load(ids))
        expect(stored.map(({ version }) => version)).toEqual([1, 1, 1])
        const outbox = Effect.promise(() => world.query("SELECT 1 FROM outbox"))
        yield* until("nothing is owed", Effect.map(outbox, ({ length }) => length === 0))
      })
    )
  })

  test("does not wait for its next look when a new head is announced", () => {
    const chain = new Chain()
    chain.mine()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        yield* listening(chain, "listener", { pollMs: 600_000 })
        yield* until("the head is read", hasRead(chain))
        chain.mine(request(chain))
        yield* until("the new head is read", Effect.andThen(Effect.sync(() => chain.announce()), hasRead(chain)))
      })
    )
  })

  test("catches up in batches, and reads nothing twice", () => {
    const chain = new Chain()
    for (let block = 0; block < 130; block++) chain.mine()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        yield* listening(chain)
        yield* until("the head is read", hasRead(chain))
        expect(chain.reads).toBe(130)
      })
    )
  })

  test("goes on from the ledger after a restart", () => {
    const chain = new Chain()
    chain.mine(request(chain))
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        yield* Effect.scoped(Effect.andThen(listening(chain), until("the head is read", hasRead(chain))))
        chain.mine(request(chain))
        const reads = chain.reads
        yield* listening(chain)
        yield* until("the head is read", hasRead(chain))
        expect(chain.reads - reads).toBe(1)
      })
    )
  })

  test("walks back to the last common block, tells requests that are gone or elsewhere, and bears new ones", () => {
    const chain = new Chain()
    const [stays, gone, moves, comes] = [request(chain), request(chain), request(chain), request(chain)]
    chain.mine(stays)
    chain.mine(gone)
    chain.mine(moves)
    return inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        yield* listening(chain)
        yield* until("the head is read", hasRead(chain))
        chain.takeBack(2)
        chain.mine()
        chain.mine(moves, comes)
        chain.mine()
        yield* until("the new head is read", hasRead(chain))
        expect(yield* signalsOf(requestIdOf(stays))).toEqual([])
        expect(yield* signalsOf(requestIdOf(gone))).toEqual(["orphaned"])
        expect(yield* signalsOf(requestIdOf(moves))).toEqual(["moved"])
        expect(telemetry.counted("reorgs")).toBe(1)
        expect(detected(telemetry)).toEqual([stays, gone, moves, comes].map(requestIdOf).toSorted())
      })
    )
  })

  test("counts no reorganisation where endpoints only disagree about the tip", () => {
    const chain = new Chain()
    chain.mine()
    chain.mine()
    return inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        yield* listening(chain)
        yield* until("the head is read", hasRead(chain))
        chain.disputes = 3
        yield* until("it has heard of another tip", Effect.sync(() => chain.disputes <= 0))
        chain.mine(request(chain))
        yield* until("the new head is read", hasRead(chain))
        expect(telemetry.counted("reorgs")).toBe(0)
      })
    )
  })

  test("stops and pages when the chain takes back what it had called final, and stores nothing", () => {
    const chain = new Chain()
    for (let block = 0; block < 4; block++) chain.mine()
    chain.finalized = 3
    return inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        yield* listening(chain)
        yield* until("the head is read", hasRead(chain))
        const before = yield* cursorOf(chain)
        chain.takeBack(3)
        for (let block = 0; block < 5; block++) chain.mine(request(chain))
        yield* until("somebody is paged", Effect.sync(() => telemetry.errors.length > 0))
        expect(telemetry.errors).toMatchObject([{ what: "the chain took back final blocks" }])
        expect(yield* cursorOf(chain)).toEqual(before)
        expect(telemetry.facts).toEqual([])
      })
    )
  })

  test("takes nothing for final that comes from an endpoint on a branch which the chain left, and goes on when another answers", () => {
    const chain = new Chain()
    const [moves, comes] = [request(chain), request(chain)]
    for (let block = 0; block < 3; block++) chain.mine()
    chain.mine(moves)
    const branch = [...chain.blocks]
    chain.takeBack(1)
    chain.mine(moves)
    for (let block = 0; block < 3; block++) chain.mine()
    chain.mine(comes)
    // The endpoint that is well calls final what lies above all that the stuck one has.
    chain.finalized = 5
    chain.stuck = branch
    return inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        yield* listening(chain)
        const isOnBranch = Effect.map(cursorOf(chain), (cursor) => cursor?.hash === branch.at(-1)!.hash)
        yield* until("the branch that was left is read", isOnBranch)
        chain.stuck = undefined
        yield* until("the head is read", hasRead(chain))
        expect(detected(telemetry)).toEqual([moves, comes].map(requestIdOf).toSorted())
        expect(telemetry.errors).toEqual([])
        expect(telemetry.counted("reorgs")).toBe(1)
      })
    )
  })

  test("does not believe one endpoint that final blocks were taken back: it warns, stores nothing, and goes on when that one is gone", () => {
    const chain = new Chain()
    for (let block = 0; block < 4; block++) chain.mine()
    chain.finalized = 3
    return inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        yield* listening(chain)
        yield* until("the head is read", hasRead(chain))
        const before = yield* cursorOf(chain)
        const right = [...chain.blocks]
        chain.second = right
        chain.takeBack(3)
        for (let block = 0; block < 5; block++) chain.mine(request(chain))
        const doubts = () => telemetry.warnings.filter(({ what }) => what === "an endpoint has another block than our final one").length
        yield* until("it has doubted twice", Effect.sync(() => doubts() >= 2))
        expect(yield* cursorOf(chain)).toEqual(before)
        expect(telemetry.errors).toEqual([])
        chain.blocks.splice(0, chain.blocks.length, ...right)
        const asked = request(chain)
        chain.mine(asked)
        yield* until("the head is read", hasRead(chain))
        expect(detected(telemetry)).toEqual([requestIdOf(asked)])
      })
    )
  })

  test("without election lets another listener be faster, and announces nothing that the other has announced", () => {
    const chain = new Chain()
    const asked = Array.from({ length: 20 }, () => request(chain))
    chain.mine(asked[0]!)
    return inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        let moved = 0
        const counting = withOver(DetectionLedger, (real) => ({
          advance: (step) =>
            Effect.tapError(real.advance(step), (error) => Effect.sync(() => error._tag === "CursorMoved" && moved++))
        }))
        yield* counting(listening(chain, "one", { isElected: false }))
        yield* counting(listening(chain, "other", { isElected: false }))
        for (const one of asked.slice(1)) {
          chain.mine(one)
          yield* until("the head is read", hasRead(chain))
        }
        yield* until("all are announced", Effect.sync(() => telemetry.facts.length >= asked.length))
        expect(moved).toBeGreaterThan(0)
        expect(detected(telemetry)).toEqual(asked.map(requestIdOf).toSorted())
        expect(telemetry.counted("actor_restarts")).toBe(0)
      })
    )
  })

  test("waits for a chain that cannot be asked, and works out from the ledger where it was", () => {
    const chain = new Chain()
    chain.mine()
    return inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        yield* listening(chain)
        yield* until("the head is read", hasRead(chain))
        chain.isUnreachable = true
        yield* until("it has noticed", Effect.sync(() => telemetry.counted("actor_restarts") > 0))
        const asked = request(chain)
        chain.mine(asked)
        chain.isUnreachable = false
        yield* until("the head is read", hasRead(chain))
        expect(telemetry.facts.map(({ requestId }) => requestId)).toEqual([requestIdOf(asked)])
      })
    )
  })
})

describe("the re-scan of final blocks", () => {
  const rescanning = (chain: Chain, blocks: number) =>
    rescanActor({ worker: "rescan", startBlock: 0, blocks, everyMs: 5 }).pipe(Effect.provideService(RequestLog, chain.log))

  test("bears what the listener's endpoint left out, says so once, and gives out its work", () => {
    const chain = new Chain()
    const [told, left, recent] = [request(chain), request(chain), request(chain)]
    chain.mine(told)
    chain.mine(left)
    chain.mine(recent)
    chain.mine()
    chain.finalized = 2
    chain.hidden.add(requestIdOf(left)).add(requestIdOf(recent))
    return inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const work = yield* hearWork("detected")
        yield* listening(chain)
        yield* until("the head is read", hasRead(chain))
        const before = yield* cursorOf(chain)
        yield* rescanning(chain, 10)
        yield* until("work is given out for all", Effect.sync(() => work.items().length === 3))
        expect(detected(telemetry)).toEqual([told, left, recent].map(requestIdOf).toSorted())
        expect(telemetry.counted("rescan_found")).toBe(2)
        expect(telemetry.warnings.map(({ what }) => what)).toEqual(["the re-scan found requests that were missed"])
        const passes = chain.rereads.length
        yield* until("further passes find nothing", Effect.sync(() => chain.rereads.length >= passes + 6))
        expect(telemetry.counted("rescan_found")).toBe(2)
        expect(yield* cursorOf(chain)).toEqual(before)
        const [stored] = yield* RequestLedger.use((ledger) => ledger.load([requestIdOf(left)]))
        expect(stored).toMatchObject({ state: "detected", version: 1, anchor: { blockNumber: 1 } })
      })
    )
  })

  test("reads the newest final blocks and no others", () => {
    const chain = new Chain()
    for (let block = 0; block < 40; block++) chain.mine()
    chain.finalized = 30
    return inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        yield* listening(chain)
        yield* until("the head is read", hasRead(chain))
        yield* rescanning(chain, 20)
        yield* until("a pass has ended", Effect.sync(() => chain.rereads.length > 20))
        expect([...new Set(chain.rereads)].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => 11 + index))
        expect(telemetry.warnings).toEqual([])
      })
    )
  })

  test("believes no block that does not lead up to our own", () => {
    const chain = new Chain()
    chain.mine()
    chain.mine()
    chain.finalized = 1
    const asked = request(chain)
    const other = new Chain()
    other.mine(asked)
    chain.forked = other.blocks[0]
    return inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        yield* listening(chain)
        yield* until("the head is read", hasRead(chain))
        yield* rescanning(chain, 10)
        yield* until("it has tried again and again", Effect.sync(() => telemetry.counted("actor_restarts") > 1))
        expect(telemetry.counted("rescan_found")).toBe(0)
        expect(yield* RequestLedger.use((ledger) => ledger.load([requestIdOf(asked)]))).toEqual([])
      })
    )
  })
})
