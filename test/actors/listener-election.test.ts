/** One listener of each chain reads it, and another takes over from one that stops, dies, is deposed or has lost its chain. What a deposed one
 * still tries to write is refused. */
import { Effect, Exit, Layer, Scope } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { detectedActor, listenerLease, type ListenerOptions } from "../../actors/1-detected.actor.ts"
import { fiberLeaseKeeper } from "../../src/adapters/embedded/fiber-lease-keeper.layer.ts"
import { ChainUnavailable, RequestLog, type ReadBlock } from "../../src/journey/1-detected/request-log.port.ts"
import { DetectionLedger } from "../../src/ledger/detection-ledger.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { aChainId, type LedgerWorld, openLedgerWorld, random32 } from "../support/ledger-world.ts"
import { inActorWorld, until, withOver } from "./support/actor-world.ts"
import { heardTelemetry } from "./support/heard-telemetry.ts"

let world: LedgerWorld
beforeAll(async () => void (world = await openLedgerWorld()), 60_000)
afterAll(() => world.close())

/** A chain that several nodes look at, each through an endpoint of its own. */
const aChain = () => {
  const chainId = aChainId()
  const blocks: Array<ReadBlock> = []
  const mine = () =>
    void blocks.push({ number: blocks.length, hash: random32(), parentHash: blocks.at(-1)?.hash ?? random32(), timestamp: 1, requests: [] })
  mine()
  const endpoint = () => {
    const state = { isDead: false, reads: 0 }
    const cutOff = new ChainUnavailable({ doing: "read", cause: "cut off" })
    const ask = <A>(answer: () => A) => Effect.suspend(() => (state.isDead ? Effect.fail(cutOff) : Effect.sync(answer)))
    const log = {
      chainId,
      latest: ask(() => blocks.at(-1)!),
      finalized: ask(() => blocks[0]!),
      finalAt: () => ask(() => []),
      readBlock: (number: number) => ask(() => (state.reads++, blocks[number])),
      readElsewhere: (number: number) => ask(() => blocks[number]),
      headAt: (number: number) => ask(() => blocks[number]),
      nextHead: Effect.never
    } satisfies RequestLog["Service"]
    return { state, log }
  }
  const isRead = Effect.map(DetectionLedger.use((ledger) => ledger.cursor(chainId)), (cursor) => cursor?.hash === blocks.at(-1)?.hash)
  return { chainId, lease: listenerLease(chainId), mine, endpoint, isRead }
}

/** A node of its own: its endpoint, its keeper, its telemetry, its end. */
const aNode = Effect.fnUntraced(function* (chain: ReturnType<typeof aChain>, worker: string, options: Partial<ListenerOptions> = {}) {
  const telemetry = heardTelemetry()
  const { state, log } = chain.endpoint()
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const context = yield* Layer.build(Layer.merge(fiberLeaseKeeper(), telemetry.layer)).pipe(Scope.provide(scope))
  const start = detectedActor({ worker, startBlock: 0, pollMs: 5, ...options }).pipe(
    Effect.provideService(RequestLog, log),
    Effect.provide(context),
    Scope.provide(scope)
  )
  const leads = Effect.sync(() => telemetry.gauged("is_listener_leader").at(-1) === 1)
  const changes = () => telemetry.infos.map(({ what, data }) => (what === "the listener leads its chain" ? "leads" : data["because"]))
  return { start, state, telemetry, leads, changes, stop: Scope.close(scope, Exit.void) }
})

describe("listeners of one chain", () => {
  test("elect one that reads, and the other takes over when it stops", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const [one, other] = [yield* aNode(chain, "one"), yield* aNode(chain, "other")]
        yield* one.start
        yield* until("one leads", one.leads)
        yield* other.start
        chain.mine()
        yield* until("the block is read", chain.isRead)
        yield* one.stop
        yield* until("the other leads", other.leads)
        chain.mine()
        yield* until("the next block is read", chain.isRead)
        expect([one.state.reads, other.state.reads]).toEqual([2, 1])
        expect([one.changes(), other.changes()]).toEqual([["leads", "stopped"], ["leads"]])
        expect(one.telemetry.gauged("is_listener_leader")).toEqual([0, 1, 0])
      })
    )
  })

  test("wait until the lease of one that died has run out, and no longer than a look", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        yield* Leases.use((leases) => leases.claim([chain.lease], "dead", 60_000))
        const one = yield* aNode(chain, "one")
        yield* one.start
        yield* Effect.promise(() => world.query("UPDATE lease SET until = now() + interval '300 milliseconds' WHERE name = $1", [chain.lease]))
        expect(yield* one.leads).toBe(false)
        yield* until("one leads", one.leads, 3_000)
        yield* until("the block is read", chain.isRead)
      })
    )
  })

  test("refuse what a deposed leader still wants to write, and it steps back although nobody told it", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const one = yield* aNode(chain, "one")
        // It hears of no renewal: what it knows of its deposition it learns from the ledger's refusal.
        yield* one.start.pipe(withOver(Leases, () => ({ renew: () => Effect.never })))
        yield* until("the block is read", chain.isRead)
        const usurp = "UPDATE lease SET owner = 'usurper', epoch = epoch + 1, until = now() + interval '1 hour' WHERE name = $1"
        yield* Effect.promise(() => world.query(usurp, [chain.lease]))
        chain.mine()
        yield* until("it has stepped back", Effect.map(one.leads, (leads) => !leads))
        expect(one.changes()).toEqual(["leads", "lost"])
        expect(yield* chain.isRead).toBe(false)
        expect(one.telemetry.counted("actor_restarts")).toBe(0)
      })
    )
  })

  test("change when the leader has lost its chain for too long, to one whose endpoint is alive", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const [one, dead, other] = [
          yield* aNode(chain, "one", { chainSilentMsMax: 600 }),
          yield* aNode(chain, "dead"),
          yield* aNode(chain, "other")
        ]
        yield* one.start
        yield* until("one leads", one.leads)
        dead.state.isDead = true
        yield* dead.start
        yield* other.start
        one.state.isDead = true
        chain.mine()
        yield* until("the other leads", other.leads)
        yield* until("the block is read", chain.isRead)
        expect(one.changes()).toEqual(["leads", "resigned"])
        expect([dead.changes(), other.changes()]).toEqual([[], ["leads"]])
      })
    )
  })

  test("keep a leader that fails now and then", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const one = yield* aNode(chain, "one", { chainSilentMsMax: 60_000 })
        yield* one.start
        yield* until("one leads", one.leads)
        one.state.isDead = true
        yield* until("it has failed", Effect.sync(() => one.telemetry.counted("actor_restarts") > 1))
        one.state.isDead = false
        chain.mine()
        yield* until("the block is read", chain.isRead)
        expect(one.changes()).toEqual(["leads"])
      })
    )
  })
})
