/** Decide, save, dispatch: in this order, whatever is lost, doubled or late, and whoever else believes to own the same
 * partition. */
import { Deferred, Effect, Fiber } from "effect"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { coordinator, hearOutcomes as consumeOutcomes, type Coordinator, type Told } from "../../actors/coordinator.actor.ts"
import { ownPartitions } from "../../actors/runtime/partitions.ts"
import { sweeper } from "../../actors/sweeper.actor.ts"
import { MACHINE_VERSION } from "../../machines/decide.ts"
import { outcomeSubject } from "../../src/domain/journey.ts"
import type { OutcomeItem, StepOutcome } from "../../src/domain/outcome.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { LedgerUnavailable } from "../../src/ledger/ledger-unavailable.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"
import { Bus, BusUnavailable } from "../../src/messaging/bus.port.ts"
import { packOutcomes } from "../../src/messaging/pack.ts"
import { ParkedMessages } from "../../src/messaging/parked-messages.port.ts"
import { type LedgerWorld, openLedgerWorld, random32 } from "../support/ledger-world.ts"
import { bornRequests, brought, facts, hearWork, inActorWorld, leaveNothingToSweep } from "./support/actor-world.ts"
import { reload, until, withOver } from "./support/actor-world.ts"

let world: LedgerWorld
beforeAll(async () => void (world = await openLedgerWorld()), 60_000)
beforeEach(() => leaveNothingToSweep(world))
afterAll(() => world.close())

const bytea = (id: RequestId): Buffer => Buffer.from(id.slice(2), "hex")
const ask = (text: string, values: ReadonlyArray<unknown> = []) => Effect.promise(() => world.query(text, values))
const owedAbout = (id: RequestId) =>
  Effect.map(ask("SELECT reached FROM outbox WHERE request_id = $1 ORDER BY outbox_id", [bytea(id)]), (rows) =>
    rows.map((row) => row["reached"])
  )
const settleAll = ask("DELETE FROM outbox")

const owning = (worker: string) => Effect.flatMap(ownPartitions(worker), (partitions) => coordinator(worker, partitions))

const stateOf = (id: RequestId) => Effect.map(reload([{ id }]), ([request]) => request!.state)
const historyOf = (id: RequestId) => RequestLedger.use((ledger) => ledger.history(id))

const about = ({ id, version }: StoredRequest, event: Told["event"]): Told => ({ requestId: id, version, event })

const sayOn = Effect.fnUntraced(function* (partition: number, items: ReadonlyArray<OutcomeItem>) {
  const bus = yield* Bus
  for (const { body, messageId } of packOutcomes(items)) yield* bus.publish(outcomeSubject(partition), body, messageId)
})

const item = ({ id, version }: StoredRequest, outcome: Told["event"]): OutcomeItem => ({
  requestId: id,
  version,
  reached: "detected",
  outcome: outcome as StepOutcome
})

const away = new LedgerUnavailable({ doing: "save decisions", cause: "cut off" })

describe("a coordinator", () => {
  test("gives out the next work only after the decision is committed", () =>
    inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        yield* settleAll
        const stateWhenPublished: Array<unknown> = []
        const noteState = Effect.map(ask("SELECT state FROM request WHERE request_id = $1", [bytea(request!.id)]), ([row]) =>
          stateWhenPublished.push(row?.["state"])
        )
        const decides = yield* owning("a").pipe(
          withOver(Bus, (real) => ({
            publish: (...message) => Effect.andThen(noteState, real.publish(...message))
          }))
        )
        const work = yield* hearWork("acl-checked")
        yield* decides.tell([about(request!, facts["acl-checked"]())])
        yield* until("the next work is given out", Effect.sync(() => work.items().length === 1))
        expect(stateWhenPublished).toEqual(["acl-checked"])
        expect(work.items()).toEqual([{ requestId: request!.id, version: 2 }])
        yield* until("nothing is owed any more", Effect.map(owedAbout(request!.id), ({ length }) => length === 0))
        expect(telemetry.facts).toMatchObject([{ requestId: request!.id, from: "detected", to: "acl-checked", version: 2 }])
      })
    ))

  test("gives nothing out while a save has not committed", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        const mayCommit = yield* Deferred.make<void>()
        const isAsked = yield* Deferred.make<void>()
        const published: Array<string> = []
        const decides = yield* owning("a").pipe(
          withOver(Bus, (real) => ({ publish: (subject, ...rest) => (published.push(subject), real.publish(subject, ...rest)) })),
          withOver(RequestLedger, (real) => ({
            save: (...all) =>
              Effect.andThen(Deferred.succeed(isAsked, undefined), Effect.andThen(Deferred.await(mayCommit), real.save(...all)))
          }))
        )
        const told = yield* Effect.forkChild(decides.tell([about(request!, facts["acl-checked"]())]))
        yield* Deferred.await(isAsked)
        expect(published).toEqual([])
        yield* Deferred.succeed(mayCommit, undefined)
        yield* Fiber.join(told)
        yield* until("it is published", Effect.sync(() => published.length === 1))
      })
    ))

  test("owes nothing for what it gives out at once", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        yield* settleAll
        const work = yield* hearWork("acl-checked")
        const decides = yield* owning("a").pipe(withOver(RequestLedger, () => ({ settle: () => Effect.die("nothing to settle") })))
        yield* decides.tell([about(request!, facts["acl-checked"]())])
        expect(yield* owedAbout(request!.id)).toEqual([])
        yield* until("it is given out", Effect.sync(() => work.items().length === 1))
      })
    ))

  test("owes in the ledger what it could not give out, and the sweeper pays; what the bus lost first, the wake-up remembers", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [first, second] = yield* bornRequests(2)
        yield* settleAll
        const dead = new BusUnavailable({ doing: "publish", cause: "the process died here" })
        let isDead = true
        let deaths = 0
        const decides = yield* owning("a").pipe(
          withOver(Bus, (real) => ({
            publish: (...message) => (isDead ? Effect.andThen(Effect.sync(() => void deaths++), Effect.fail(dead)) : real.publish(...message))
          }))
        )
        yield* decides.tell([about(first!, facts["acl-checked"]())])
        yield* until("it has noticed", Effect.sync(() => deaths > 0))
        yield* decides.tell([about(second!, facts["acl-checked"]())])
        expect(yield* owedAbout(first!.id)).toEqual([])
        expect(yield* owedAbout(second!.id)).toEqual(["acl-checked"])
        yield* ask("UPDATE outbox SET written_at = now() - interval '3 seconds'")
        yield* ask("UPDATE wake SET due = now()")
        const work = yield* hearWork("acl-checked")
        isDead = false
        yield* sweeper(decides)
        yield* until("the sweeper pays", Effect.sync(() => new Set(work.items().map(({ requestId }) => requestId)).size === 2))
        yield* until("nothing is owed any more", Effect.map(owedAbout(second!.id), ({ length }) => length === 0))
      })
    ))

  test("changes nothing on an outcome that is told twice, at once or later", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        const decides = yield* owning("a")
        const twice = about(request!, facts["acl-checked"]())
        yield* decides.tell([twice, twice])
        yield* decides.tell([twice])
        expect(yield* historyOf(request!.id)).toHaveLength(2)
      })
    ))

  test("drops outcomes of versions that are past, and of versions that never were", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* brought(yield* bornRequests(1), "acl-checked")
        const decides = yield* owning("a")
        const fetched = facts["ciphertext-fetched"]()
        yield* decides.tell([
          { requestId: request!.id, version: request!.version - 1, event: fetched },
          { requestId: request!.id, version: request!.version + 1, event: fetched },
          { requestId: random32(), version: 1, event: fetched }
        ])
        expect(yield* stateOf(request!.id)).toBe("acl-checked")
        yield* decides.tell([about(request!, fetched)])
        expect(yield* stateOf(request!.id)).toBe("ciphertext-fetched")
      })
    ))

  test("takes several outcomes for one request in one batch one after the other", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        const decides = yield* owning("a")
        yield* decides.tell([
          { requestId: request!.id, version: 1, event: facts["acl-checked"]() },
          { requestId: request!.id, version: 2, event: facts["ciphertext-fetched"]() },
          { requestId: request!.id, version: 3, event: facts["shares-collected"]() }
        ])
        const history = yield* historyOf(request!.id)
        expect(history.map(({ to }) => to)).toEqual(["detected", "acl-checked", "ciphertext-fetched", "shares-collected"])
      })
    ))

  test("moves many requests at once, each exactly one step", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const requests = yield* bornRequests(250)
        const decides = yield* owning("a")
        yield* decides.tell(requests.map((request) => about(request, facts["acl-checked"]())))
        const now = yield* reload(requests)
        expect(now.every(({ state, version }) => state === "acl-checked" && version === 2)).toBe(true)
      })
    ))

  test("acknowledges an outcome only after the commit; when the ledger fails it hears it again and recovers", () =>
    inActorWorld(world, (telemetry) => {
      let failures = 1
      return Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        const decides = yield* owning("a").pipe(
          withOver(RequestLedger, (real) => ({
            save: (...all) => Effect.suspend(() => (failures-- > 0 ? Effect.fail(away) : real.save(...all)))
          }))
        )
        yield* consumeOutcomes(decides, 0)
        yield* sayOn(0, [item(request!, facts["acl-checked"]())])
        yield* until("it is decided", Effect.map(stateOf(request!.id), (state) => state === "acl-checked"))
        expect(telemetry.counted("actor_restarts")).toBe(1)
      })
    }))

  test("decides on what it remembered although there is no more room for it while others are read", () =>
    inActorWorld(world, () => {
      let makeRoom = () => {}
      return Effect.gen(function* () {
        const [known, unknown] = yield* bornRequests(2)
        const decides = yield* owning("a").pipe(
          withOver(RequestLedger, (real) => ({
            load: (ids) => Effect.tap(real.load(ids), () => Effect.sync(makeRoom))
          }))
        )
        yield* decides.tell([about(known!, facts["acl-checked"]())])
        makeRoom = () => decides.recent.forget([known!.id])
        yield* decides.tell([{ requestId: known!.id, version: 2, event: facts["ciphertext-fetched"]() }, about(unknown!, facts["acl-checked"]())])
        expect(yield* Effect.forEach([known!, unknown!], ({ id }) => stateOf(id))).toEqual(["ciphertext-fetched", "acl-checked"])
      })
    }))

  test("forgets what it remembered when it cannot know whether a save was written", () =>
    inActorWorld(world, () => {
      let isCut = false
      return Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        const decides = yield* owning("a").pipe(
          withOver(RequestLedger, (real) => ({
            save: (...all) => Effect.flatMap(real.save(...all), (saved) => (isCut ? Effect.fail(away) : Effect.succeed(saved)))
          }))
        )
        yield* decides.tell([about(request!, facts["acl-checked"]())])
        isCut = true
        const fetched: Told = { requestId: request!.id, version: 2, event: facts["ciphertext-fetched"]() }
        expect(yield* Effect.isFailure(decides.tell([fetched]))).toBe(true)
        isCut = false
        yield* decides.tell([fetched])
        yield* decides.tell([{ requestId: request!.id, version: 3, event: facts["shares-collected"]() }])
        const history = yield* historyOf(request!.id)
        expect(history.map(({ to }) => to)).toEqual(["detected", "acl-checked", "ciphertext-fetched", "shares-collected"])
      })
    }))

  test("parks what it cannot read, and hears on", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        yield* consumeOutcomes(yield* owning("a"), 0)
        const bus = yield* Bus
        yield* bus.publish(outcomeSubject(0), Buffer.from("\0"), "1")
        yield* sayOn(0, [item(request!, facts["acl-checked"]())])
        yield* until("it is decided", Effect.map(stateOf(request!.id), (state) => state === "acl-checked"))
        expect(yield* ParkedMessages.use((parked) => parked.count)).toBe(1)
      })
    ))

  test("saves nothing about partitions that it does not own", () =>
    inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const [foreign, own] = [...(yield* bornRequests(1, { partition: 3 })), ...(yield* bornRequests(1, { partition: 0 }))]
        const leases = yield* Leases
        const held = yield* leases.claim(["partition/3"], "somebody else", 60_000)
        const decides = yield* owning("a")
        expect(decides.partitions.owned()).not.toContain(3)
        const refused = yield* Effect.flip(decides.tell([about(foreign!, facts["acl-checked"]()), about(own!, facts["acl-checked"]())]))
        expect(refused).toMatchObject({ _tag: "PartitionNotOurs", partition: 3 })
        expect(yield* stateOf(foreign!.id)).toBe("detected")
        expect(yield* stateOf(own!.id)).toBe("acl-checked")
        expect(telemetry.errors).toEqual([])
        yield* leases.resign(held, "somebody else")
      })
    ))

  test("puts back an outcome that it hears after it has lost the partition, so that the new owner decides it", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1, { partition: 3 })
        const owner = yield* owning("owner")
        const loser = yield* coordinator("loser", { ...owner.partitions, epochOf: () => undefined })
        let heard = 0
        const tell: Coordinator["tell"] = (told) => Effect.andThen(Effect.sync(() => heard++), loser.tell(told))
        const hearing = consumeOutcomes({ ...loser, tell }, 3)
        const heardTwice = until("it was heard, put back and heard again", Effect.sync(() => heard >= 2))
        yield* Effect.scoped(Effect.andThen(hearing, Effect.andThen(sayOn(3, [item(request!, facts["acl-checked"]())]), heardTwice)))
        expect(yield* stateOf(request!.id)).toBe("detected")
        yield* consumeOutcomes(owner, 3)
        yield* until("its owner has decided it", Effect.map(stateOf(request!.id), (state) => state === "acl-checked"))
        expect(yield* ParkedMessages.use((parked) => parked.count)).toBe(0)
      })
    ))

  test("takes an outcome about a request of a newer build from the bus and leaves the request to that build", () =>
    inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const [newer] = yield* bornRequests(1, { machineVersion: MACHINE_VERSION + 1 })
        yield* consumeOutcomes(yield* owning("older"), 0)
        yield* sayOn(0, [item(newer!, facts["acl-checked"]())])
        yield* until("it is counted", Effect.sync(() => telemetry.counted("unreadable_snapshots") === 1))
        expect(yield* reload([newer!])).toMatchObject([{ state: "detected", version: 1, machineVersion: MACHINE_VERSION + 1 }])
      })
    ))

  test("writes nothing when the lease is lost between the decision and the save", () =>
    inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const [request] = yield* bornRequests(1)
        const usurp = ask("UPDATE lease SET owner = 'somebody else', epoch = epoch + 1 WHERE name = 'partition/0'")
        const decides = yield* owning("a").pipe(
          withOver(RequestLedger, (real) => ({ save: (...all) => Effect.andThen(usurp, real.save(...all)) }))
        )
        yield* settleAll
        yield* Effect.flip(decides.tell([about(request!, facts["acl-checked"]())]))
        expect(yield* stateOf(request!.id)).toBe("detected")
        expect(yield* owedAbout(request!.id)).toEqual([])
        expect(telemetry.counted("stale_decisions")).toBe(1)
        expect(telemetry.facts).toEqual([])
        yield* ask("UPDATE lease SET owner = NULL WHERE name = 'partition/0'")
      })
    ))

  test("is held up by no request that cannot be decided, and pages about a broken one", () =>
    inActorWorld(world, (telemetry) =>
      Effect.gen(function* () {
        const [newer] = yield* bornRequests(1, { machineVersion: MACHINE_VERSION + 1 })
        const [broken] = yield* bornRequests(1, { snapshot: { value: "on the moon" } })
        const [sound] = yield* bornRequests(1)
        const decides = yield* owning("a")
        yield* decides.tell([newer!, broken!, sound!].map((request) => about(request, facts["acl-checked"]())))
        expect((yield* reload([newer!, broken!, sound!])).map(({ state }) => state)).toEqual(["detected", "detected", "acl-checked"])
        expect(telemetry.errors.map(({ data }) => data["requestId"])).toEqual([broken!.id])
        expect(telemetry.counted("unreadable_snapshots")).toBe(1)
      })
    ))

  const end = Effect.fnUntraced(function* (decides: Coordinator, request: StoredRequest) {
    const { blockNumber, blockHash } = request.anchor
    yield* decides.tell([{ requestId: request.id, event: { type: "orphaned", block: { blockNumber, blockHash } } }])
    expect(yield* stateOf(request.id)).toBe("orphaned")
    return (yield* reload([request]))[0]!
  })

  test("lets an ended request rest, whatever is told about it", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const decides = yield* owning("a")
        const ended = yield* end(decides, (yield* bornRequests(1))[0]!)
        for (const event of [facts["acl-checked"](), facts.submitted(), { type: "redriven", by: "operator", why: "" } as const]) {
          yield* decides.tell([about(ended, event)])
        }
        expect(yield* stateOf(ended.id)).toBe("orphaned")
      })
    ))

  test("brings an orphaned request back when the chain does, with its work", () =>
    inActorWorld(world, () =>
      Effect.gen(function* () {
        const decides = yield* owning("a")
        const ended = yield* end(decides, (yield* bornRequests(1))[0]!)
        const work = yield* hearWork("detected")
        const anchor = { blockNumber: 2, blockHash: random32(), logIndex: 5 }
        yield* decides.tell([{ requestId: ended.id, event: { type: "moved", anchor } }])
        const [back] = yield* reload([ended])
        expect(back).toMatchObject({ state: "detected", anchor })
        yield* until("its work is given out", Effect.sync(() => work.items().some(({ version }) => version === back!.version)))
      })
    ))
})
