/**
 * The request ledger against a small model in memory, by random histories: decisions on right and wrong versions, under right and
 * passed epochs, changes of owner, signals, postponements, claims, settling. After every command the two agree.
 */
import { Effect } from "effect"
import fc from "fast-check"
import assert from "node:assert/strict"
import { test } from "vitest"
import type { Hex } from "../../src/domain/hex.ts"
import { isEnd, type RequestState } from "../../src/domain/journey.ts"
import type { SignalEvent } from "../../src/domain/outcome.ts"
import { verifyHistory } from "../../src/ledger/hash-chain.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import type { Change, StoredRequest } from "../../src/ledger/stored-request.ts"
import type { LedgerProcess, LedgerRig } from "../support/ledger-rig.ts"
import { aChange, anEvent, born, ownPartition } from "../support/ledger-world.ts"

interface ModelRequest {
  readonly stored: StoredRequest
  version: number
  state: RequestState
  isOverdue: boolean
  claims: number
  signals: Map<string, SignalEvent>
  owed: Set<number>
  readonly states: Array<RequestState>
}

interface Model {
  readonly partition: number
  owner: string
  epochs: Array<bigint>
  readonly requests: ReadonlyArray<ModelRequest>
}

interface Real {
  readonly run: LedgerProcess["run"]
  /** Outbox rows by request and version, as the ledger answered them. */
  readonly outbox: Map<string, bigint>
}

type Command = fc.AsyncCommand<Model, Real>

const at = <A>(items: ReadonlyArray<A>, index: number): A => items[index % items.length]!
const subject = (event: SignalEvent) => (event.type === "moved" || event.type === "orphaned" ? "position" : event.type)

/** Everything that can be seen of the model's requests, compared. */
const agree = async (model: Model, real: Real): Promise<void> => {
  const ids = model.requests.map(({ stored }) => stored.id)
  const [stored, signals, owed] = await real.run(
    Effect.gen(function*() {
      const ledger = yield* RequestLedger
      return yield* Effect.all([ledger.load(ids), ledger.signals([model.partition], 1_000), ledger.owed([model.partition], 0, 1_000)])
    })
  )
  for (const expected of model.requests) {
    const { id } = expected.stored
    const found = stored.find((one) => one.id === id)
    assert.deepEqual({ version: found?.version, state: found?.state }, { version: expected.version, state: expected.state })
    assert.deepEqual(
      new Map(signals.filter((one) => one.requestId === id).map(({ event }) => [subject(event), event])),
      expected.signals
    )
    assert.deepEqual(new Set(owed.filter((row) => row.requestId === id).map((row) => row.version)), expected.owed)
  }
}

interface Decision {
  readonly which: number
  readonly to: RequestState
  readonly versionOff: number
  readonly epochBack: number
  readonly wakeAfterMs: number
  readonly answers: boolean
}

/** One call with decisions about several requests: each is judged by itself. */
const save = (decisions: ReadonlyArray<Decision>): Command => ({
  check: () => true,
  toString: () => `save(${decisions.map((one) => JSON.stringify(one)).join(", ")})`,
  run: async (model, real) => {
    const chosen = new Map(decisions.map((decision) => [at(model.requests, decision.which), decision]))
    const pending = await real.run(Effect.flatMap(RequestLedger, (ledger) => ledger.signals([model.partition], 1_000)))
    const changes = [...chosen].map(([request, decision]): Change => {
      const isOver = isEnd(decision.to)
      return aChange(request.stored, { epoch: at(model.epochs.toReversed(), decision.epochBack) }, {
        version: request.version + decision.versionOff,
        from: request.state,
        to: decision.to,
        event: anEvent(),
        dispatch: isOver || decision.to === request.state ? null : (decision.to as Change["dispatch"]),
        wakeAfterMs: isOver ? null : decision.wakeAfterMs,
        answeredSignals: decision.answers ? pending.filter((one) => one.requestId === request.stored.id).map((one) => one.id) : []
      })
    })
    const answers = await real.run(Effect.flatMap(RequestLedger, (ledger) => ledger.save(changes, "model")))
    for (const [index, [request, decision]] of [...chosen].entries()) {
      const isCurrent = decision.versionOff === 0 && at(model.epochs.toReversed(), decision.epochBack) === model.epochs.at(-1)
      const answer = answers[index]
      assert.equal(answer?.type, isCurrent ? "saved" : "stale")
      if (answer?.type !== "saved") continue
      request.version += 1
      assert.equal(answer.version, request.version)
      request.states.push(decision.to)
      if (changes[index]?.dispatch === null) {
        assert.equal(answer.outboxId, null)
      } else {
        assert(answer.outboxId !== null)
        request.owed.add(request.version)
        real.outbox.set(`${request.stored.id}/${request.version}`, answer.outboxId)
      }
      request.state = decision.to
      request.claims = 0
      request.isOverdue = !isEnd(decision.to) && decision.wakeAfterMs === 0
      if (decision.answers) request.signals.clear()
    }
    await agree(model, real)
  }
})

const changeOwner = (): Command => ({
  check: () => true,
  toString: () => "changeOwner()",
  run: async (model, real) => {
    const name = `partition/${model.partition}`
    const next = model.owner === "a" ? "b" : "a"
    const epoch = model.epochs.at(-1)!
    const lease = await real.run(
      Effect.gen(function*() {
        const leases = yield* Leases
        assert.deepEqual(yield* leases.claim([name], next, 60_000), [])
        yield* leases.resign([{ name, epoch }], model.owner)
        return (yield* leases.claim([name], next, 60_000))[0]
      })
    )
    assert(lease !== undefined && lease.epoch > epoch)
    model.owner = next
    model.epochs.push(lease.epoch)
  }
})

const signal = (which: number, event: SignalEvent): Command => ({
  check: () => true,
  toString: () => `signal(${which}, ${event.type})`,
  run: async (model, real) => {
    const request = at(model.requests, which)
    await real.run(Effect.flatMap(RequestLedger, (ledger) => ledger.signal(request.stored.id, event)))
    request.signals.set(subject(event), event)
    await agree(model, real)
  }
})

const postpone = (which: number, versionOff: number, isNow: boolean): Command => ({
  check: () => true,
  toString: () => `postpone(${which}, ${versionOff}, ${isNow})`,
  run: async (model, real) => {
    const request = at(model.requests, which)
    const item = { requestId: request.stored.id, version: request.version + versionOff, afterMs: isNow ? 0 : 600_000, reason: "model" }
    await real.run(Effect.flatMap(RequestLedger, (ledger) => ledger.postpone([item])))
    if (versionOff === 0 && !isEnd(request.state)) {
      request.isOverdue = isNow
      request.claims = 0
    }
    await agree(model, real)
  }
})

const claim = (limit: number): Command => ({
  check: () => true,
  toString: () => `claim(${limit})`,
  run: async (model, real) => {
    const claimed = await real.run(Effect.flatMap(RequestLedger, (ledger) => ledger.claimOverdue([model.partition], limit, 600_000, [1])))
    const overdue = model.requests.filter((request) => request.isOverdue)
    assert.equal(claimed.length, Math.min(limit, overdue.length))
    for (const row of claimed) {
      const request = overdue.find(({ stored }) => stored.id === row.requestId)
      assert(request !== undefined)
      request.claims += 1
      request.isOverdue = false
      assert.deepEqual(
        { version: row.version, state: row.state, claims: row.claims },
        { version: request.version, state: request.state, claims: request.claims }
      )
    }
    await agree(model, real)
  }
})

const settle = (which: number): Command => ({
  check: (model) => at(model.requests, which).owed.size > 0,
  toString: () => `settle(${which})`,
  run: async (model, real) => {
    const request = at(model.requests, which)
    const [version] = request.owed
    const id = real.outbox.get(`${request.stored.id}/${version}`)
    assert(id !== undefined && version !== undefined)
    await real.run(Effect.flatMap(RequestLedger, (ledger) => ledger.settle([id])))
    request.owed.delete(version)
    await agree(model, real)
  }
})

const which = fc.nat({ max: 3 })
const block: Hex = `0x${"ab".repeat(32)}`
const states: fc.Arbitrary<RequestState> = fc.constantFrom("detected", "acl-checked", "submitted", "finalized", "orphaned")
const decision: fc.Arbitrary<Decision> = fc.record({
  which,
  to: states,
  versionOff: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(-1, 1) }),
  epochBack: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: 2 }) }),
  wakeAfterMs: fc.constantFrom(0, 600_000),
  answers: fc.boolean()
})
const signals: fc.Arbitrary<SignalEvent> = fc.oneof(
  fc.constant<SignalEvent>({ type: "redriven", by: "operator", why: "model" }),
  fc.constant<SignalEvent>({ type: "cancelled", by: "operator", why: "model" }),
  fc.nat({ max: 9 }).map((blockNumber): SignalEvent => ({ type: "orphaned", block: { blockNumber, blockHash: block } })),
  fc.nat({ max: 9 }).map((blockNumber): SignalEvent => ({ type: "moved", anchor: { blockNumber, blockHash: block, logIndex: 0 } }))
)

const histories = fc.commands(
  [
    fc.array(decision, { minLength: 1, maxLength: 4 }).map(save),
    fc.array(decision, { minLength: 1, maxLength: 4 }).map(save),
    fc.constant(changeOwner()),
    fc.tuple(which, signals).map(([request, event]) => signal(request, event)),
    fc.tuple(which, fc.constantFrom(0, 0, -1, 1), fc.boolean()).map((args) => postpone(...args)),
    fc.integer({ min: 1, max: 5 }).map(claim),
    which.map(settle)
  ],
  { maxCommands: 40 }
)

let partition = 100

export const requestLedgerModelLaws = (world: () => LedgerRig): void => {
  test("every history of the ledger is a history of its model, and its hash chains are whole", async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (commands) => {
        partition += 1
        const models: Array<Model> = []
        const real: Real = { run: world().run, outbox: new Map() }
        const setup = async () => {
          const [requests, lease, owed] = await world().run(
            Effect.gen(function*() {
              const requests = yield* born(4, { partition })
              const lease = yield* ownPartition(partition, "a")
              const owed = yield* Effect.flatMap(RequestLedger, (ledger) => ledger.owed([partition], 0, 10))
              return [requests, lease, owed] as const
            })
          )
          for (const row of owed) real.outbox.set(`${row.requestId}/${row.version}`, row.id)
          const model: Model = {
            partition,
            owner: "a",
            epochs: [lease.epoch],
            requests: requests.map((stored) => ({
              stored,
              version: 1,
              state: "detected",
              isOverdue: false,
              claims: 0,
              signals: new Map(),
              owed: new Set([1]),
              states: ["detected"]
            }))
          }
          models.push(model)
          return { model, real }
        }
        await fc.asyncModelRun(setup, commands)
        for (const { stored, states: expected } of models[0]?.requests ?? []) {
          const [history, now] = await world().run(
            Effect.flatMap(RequestLedger, (ledger) => Effect.all([ledger.history(stored.id), ledger.load([stored.id])]))
          )
          assert.deepEqual(history.map((row) => row.to), expected)
          assert.deepEqual(verifyHistory(stored.id, history, now[0]!.chainTail), { type: "intact" })
        }
      }),
      { numRuns: 60, endOnFailure: false }
    )
  })
}
