/** From an attested batch to a final block: queued once, driven by one process at a time, and whatever the chain says was
 * done is done. */
import { Effect, Exit, Scope } from "effect"
import assert from "node:assert/strict"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { type Bell, finalityActor, laneActor, makeBell, submitActor } from "../../actors/6-submitted.actor.ts"
import { leftOver } from "../../chaos/process/left-over.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { type Milestone, workSubject } from "../../src/domain/journey.ts"
import type { RequestEvent } from "../../src/domain/outcome.ts"
import type { AttestedBatch } from "../../src/domain/response.ts"
import { type Attempt, LaneLedger, laneLeaseName } from "../../src/ledger/lane-ledger.port.ts"
import { LeaseKeeper } from "../../src/ledger/lease-keeper.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { ResultLedger } from "../../src/ledger/result-ledger.port.ts"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"
import { Bus } from "../../src/messaging/bus.port.ts"
import { packWork } from "../../src/messaging/pack.ts"
import { aChainId, type LedgerWorld, openLedgerWorld, random32, randomAddress } from "../support/ledger-world.ts"
import { bornRequests, brought, facts, hearOutcomes, inActorWorld, leaveNothingToSweep, told, until, withOver } from "./support/actor-world.ts"
import { SubmissionChain } from "./support/submission-chain.ts"

let world: LedgerWorld
beforeAll(async () => void (world = await openLedgerWorld()), 60_000)
beforeEach(() => leaveNothingToSweep(world))
afterAll(() => world.close(), 60_000)

const aChain = () => new SubmissionChain(aChainId())
const laneOf = (chain: SubmissionChain) => ({ chainId: chain.chainId, address: chain.address })

const bornVerified = Effect.fnUntraced(function* (count: number, deadline?: number) {
  return yield* brought(yield* bornRequests(count, deadline === undefined ? {} : { deadline }), "threshold-verified")
})

const attest = Effect.fnUntraced(function* (chain: SubmissionChain, requests: ReadonlyArray<StoredRequest>, root = random32()) {
  const batch: AttestedBatch = {
    attested: { root, count: requests.length, epoch: 1, expiry: 2_000_000_000 },
    chainId: chain.chainId,
    gateway: randomAddress(),
    attestation: new Uint8Array(128),
    responses: requests.map(({ id }) => ({ requestId: id, result: new Uint8Array(32) }))
  }
  yield* ResultLedger.use((ledger) => ledger.keep(batch))
  chain.knows(batch)
  return batch.attested.root
})

/** Verified requests that stand under one attested root. */
const verified = Effect.fnUntraced(function* (chain: SubmissionChain, count: number, deadline?: number) {
  const requests = yield* bornVerified(count, deadline)
  return { requests, root: yield* attest(chain, requests) }
})

const anAttempt = (root: Hex): Attempt => ({
  ...{ nonce: 0, attemptNo: 0, root, txHash: random32(), rawTx: "0x02", gasLimit: 1n, maxFeePerGas: 1n, maxPriorityFeePerGas: 1n },
  ...{ isCancellation: false, signedAtMs: 0 }
})

const giveOut = Effect.fnUntraced(function* (reached: Milestone, requests: ReadonlyArray<StoredRequest>) {
  const bus = yield* Bus
  for (const { body, messageId } of packWork(requests.map(({ id, version }) => ({ requestId: id, version })))) {
    yield* bus.publish(workSubject(reached), body, messageId)
  }
})

const waiting = (chain: SubmissionChain) => LaneLedger.use((ledger) => ledger.waiting(chain.chainId, 100))
const holders = Effect.map(Leases.use((leases) => leases.holders), (all) => all.map(({ name, owner }) => `${name} ${owner}`))

describe("the step that submits", () => {
  test("queues a batch once, however its requests are given out, and rings", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const { requests, root } = yield* verified(chain, 3)
        let rings = 0
        const bell: Bell = { ...makeBell(), ring: () => void rings++ }
        yield* submitActor(1, bell)
        yield* giveOut("threshold-verified", requests.slice(0, 2))
        yield* giveOut("threshold-verified", requests)
        yield* until("both were worked on", Effect.sync(() => rings === 2))
        expect((yield* waiting(chain)).map((batch) => batch.root)).toEqual([root])
      }).pipe(Effect.provide(chain.layer))
    )
  })

  test("says nothing while a result is on its way, and says submitted when the chain has it, whoever brought it", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const { requests } = yield* verified(chain, 2)
        const outcomes = yield* hearOutcomes
        yield* submitActor(1, makeBell())
        chain.fulfilledByOthers(requests[0]!.id)
        yield* giveOut("threshold-verified", requests)
        yield* until("one is answered", Effect.sync(() => outcomes.of(requests[0]!.id).length === 1))
        expect(outcomes.of(requests[0]!.id)).toMatchObject([{ type: "submitted" }])
        expect(outcomes.of(requests[1]!.id)).toEqual([])
      }).pipe(Effect.provide(chain.layer))
    )
  })

  test("has a result made again that the database has lost, unless the chain has it", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        // As if their outcomes had reached a promoted standby that never heard of their results.
        const [lost, arrived] = yield* bornVerified(2)
        assert.ok(lost !== undefined && arrived !== undefined)
        const { requests: [kept] } = yield* verified(chain, 1)
        chain.fulfilledByOthers(arrived.id)
        const outcomes = yield* hearOutcomes
        yield* submitActor(1, makeBell())
        yield* giveOut("threshold-verified", [lost, arrived, kept!])
        yield* until("two are answered", Effect.sync(() => [lost, arrived].every(({ id }) => outcomes.of(id).length > 0)))
        expect([lost, arrived, kept!].map(({ id }) => outcomes.of(id).map(({ type }) => type))).toEqual([["result-lost"], ["submitted"], []])
        // What an engineer reads of it in the report of a chaos run.
        const left = yield* Effect.promise(() => leftOver(world.server.address, [lost.id, kept!.id]))
        expect(left.map((line) => /"standing":(null|"0x).*"lane_batch":(null|\[\{"root")/.exec(line)?.slice(1))).toEqual([
          ["null", "null"],
          [`"0x`, `[{"root"`]
        ])
      }).pipe(Effect.provide(chain.layer))
    )
  })

  test("calls a result expired only when the chain's own clock is past the deadline", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const deadline = Math.floor(Date.now() / 1_000) - 10
        const { requests } = yield* verified(chain, 1, deadline)
        const outcomes = yield* hearOutcomes
        const [request] = requests
        let rings = 0
        yield* submitActor(1, { ...makeBell(), ring: () => void rings++ })
        chain.timestamp = deadline
        yield* giveOut("threshold-verified", requests)
        yield* until("it was worked on", Effect.sync(() => rings === 1))
        chain.timestamp = deadline + 1
        yield* giveOut("threshold-verified", requests)
        yield* until("it is answered", Effect.sync(() => outcomes.of(request!.id).length > 0))
        expect(outcomes.of(request!.id)).toMatchObject([{ type: "expired" }])
        expect(rings).toBe(2)
      }).pipe(Effect.provide(chain.layer))
    )
  })
})

describe("the step that submits, about a request that halted and was redriven", () => {
  const halted = (): RequestEvent => ({ type: "halted", reason: "fulfilment-reverts", detail: "" })
  const redriven = (): RequestEvent => ({ type: "redriven", by: "operator", why: "the contract is mended" })

  /** Verified under the root that their batch has, and then halted; `living` others stand in the same batch. */
  const halting = Effect.fnUntraced(function* (chain: SubmissionChain, living = 0) {
    const root = random32()
    const requests = yield* brought(yield* bornRequests(1 + living), "threshold-verified", () => facts["threshold-verified"](root))
    yield* attest(chain, requests, root)
    const [one, ...others] = requests
    return { root, others, request: (yield* told([one!], [halted, redriven]))[0]! }
  })

  const answers = Effect.fnUntraced(function* (request: StoredRequest) {
    const outcomes = yield* hearOutcomes
    yield* submitActor(1, makeBell())
    return Effect.gen(function* () {
      const before = outcomes.of(request.id).length
      yield* giveOut("threshold-verified", [request])
      yield* until("it is answered", Effect.sync(() => outcomes.of(request.id).length > before))
      return outcomes.of(request.id).at(-1)
    })
  })

  test("has it made anew when nothing can carry its old result, and queues nothing for it", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const { request } = yield* halting(chain)
        expect(request.state).toBe("threshold-verified")
        expect(yield* yield* answers(request)).toMatchObject({ type: "result-lost" })
        expect(yield* waiting(chain)).toEqual([])
      }).pipe(Effect.provide(chain.layer))
    )
  })

  test("waits while a batch with it is queued or its nonce is not final, so that no second transaction carries it", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const { request, root } = yield* halting(chain)
        const lanes = yield* LaneLedger
        const [lease] = yield* Leases.use((leases) => leases.claim([laneLeaseName(laneOf(chain))], "sender", 60_000))
        yield* lanes.enqueue(chain.chainId, root, [request.id])
        const ask = yield* answers(request)
        expect(yield* ask).toMatchObject({ type: "postponed", reason: "an-earlier-transaction-may-carry-it" })
        yield* lanes.pull(laneOf(chain), lease!, 1)
        yield* lanes.take(laneOf(chain), lease!, { nonce: 0, root, snapshot: {}, attempt: anAttempt(root) })
        expect(yield* ask).toMatchObject({ type: "postponed" })
        yield* lanes.save(laneOf(chain), lease!, { nonce: 0, version: 1, snapshot: {}, isFinal: true })
        expect(yield* ask).toMatchObject({ type: "result-lost" })
      }).pipe(Effect.provide(chain.layer))
    )
  })

  test("waits while another request of its batch lives, and says submitted when their transaction brought it along", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const { request } = yield* halting(chain, 1)
        const ask = yield* answers(request)
        expect(yield* ask).toMatchObject({ type: "postponed", reason: "an-earlier-transaction-may-carry-it" })
        chain.fulfilledByOthers(request.id)
        expect(yield* ask).toMatchObject({ type: "submitted" })
      }).pipe(Effect.provide(chain.layer))
    )
  })
})

describe("a lane's driver", () => {
  test("tells every request of a mined batch, not only those that queued it", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const { requests } = yield* verified(chain, 3)
        const outcomes = yield* hearOutcomes
        const bell = makeBell()
        yield* submitActor(1, bell)
        yield* laneActor(laneOf(chain), { owner: "sender", bell })
        yield* giveOut("threshold-verified", requests.slice(0, 1))
        yield* until("it is broadcast", Effect.sync(() => chain.broadcasts.length > 0))
        chain.mine()
        yield* until("all are told", Effect.sync(() => requests.every(({ id }) => outcomes.of(id).length === 1)))
        const submitted = requests.flatMap(({ id }) => outcomes.of(id))
        for (const outcome of submitted) expect(outcome).toMatchObject({ type: "submitted", txHash: chain.broadcasts[0]!.hash })
      }).pipe(Effect.provide(chain.layer))
    )
  })

  test("tells a request that stands in two mined batches the transaction that fulfilled it, not the one that skipped it (seed 5107)", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const [twice, once, other] = yield* bornVerified(3)
        assert.ok(twice !== undefined && once !== undefined && other !== undefined)
        const outcomes = yield* hearOutcomes
        // What a node that was killed after the attestation leaves behind: a second batch with a request of the first in it.
        const batches = [[twice, once], [twice, other]]
        const roots = yield* Effect.forEach(batches, (batch) => attest(chain, batch))
        for (const [index, root] of roots.entries()) {
          yield* LaneLedger.use((lanes) => lanes.enqueue(chain.chainId, root, batches[index]!.map(({ id }) => id)))
        }
        yield* laneActor(laneOf(chain), { owner: "sender", bell: makeBell() })
        yield* until("both are broadcast", Effect.sync(() => chain.broadcasts.length === 2))
        chain.mine()
        yield* until("all are told", Effect.sync(() => [twice, once, other].every(({ id }) => outcomes.of(id).length > 0)))
        const [first, second] = roots.map((root) => chain.broadcasts.find((broadcast) => broadcast.root === root)!)
        assert.ok(first !== undefined && second !== undefined && first.nonce < second.nonce)
        const told = ({ id }: StoredRequest) => [...new Set(outcomes.of(id).map((said) => ("txHash" in said ? said.txHash : said.type)))]
        expect([once, other, twice].map(told)).toEqual([[first.hash], [second.hash], [first.hash]])
      }).pipe(Effect.provide(chain.layer))
    )
  })

  test("leaves the lane to whoever holds its lease, and takes over when that one has gone", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const { requests } = yield* verified(chain, 1)
        const leases = yield* Leases
        const held = yield* leases.claim([`lane/${chain.chainId}/${chain.address}`], "somebody else", 60_000)
        let claims = 0
        const bell = makeBell()
        yield* submitActor(1, bell)
        yield* laneActor(laneOf(chain), { owner: "sender", bell }).pipe(
          withOver(LeaseKeeper, (real) => ({ hold: (...all) => Effect.tap(real.hold(...all), () => Effect.sync(() => claims++)) }))
        )
        yield* giveOut("threshold-verified", requests)
        yield* until("it has asked for the lane", Effect.sync(() => claims > 0))
        yield* until("the batch waits", Effect.map(waiting(chain), ({ length }) => length === 1))
        expect(chain.broadcasts).toEqual([])
        yield* leases.resign(held, "somebody else")
        yield* until("it is broadcast", Effect.sync(() => chain.broadcasts.length === 1))
      }).pipe(Effect.provide(chain.layer))
    )
  })

  test("gives the lane back when it stops, and does not take it again on the way out", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const said: Array<string> = []
        const bell = makeBell()
        const scope = yield* Scope.make()
        const noting = withOver(LeaseKeeper, (real) => ({
          hold: (...all) => Effect.tap(real.hold(...all), () => Effect.sync(() => said.push("claimed"))),
          // Somebody rings while the lane is being given back: a round that still ran would claim again.
          giveBack: (...all) =>
            Effect.andThen(
              real.giveBack(...all),
              Effect.sync(() => {
                said.push("resigned")
                bell.ring()
              })
            ).pipe(Effect.andThen(Effect.sleep("100 millis")))
        }))
        yield* Scope.provide(noting(laneActor(laneOf(chain), { owner: "sender", bell })), scope)
        yield* until("it has the lane", Effect.sync(() => said.includes("claimed")))
        yield* Scope.close(scope, Exit.void)
        expect(said.at(-1)).toBe("resigned")
        expect((yield* holders).filter((held) => held.includes(chain.address))).toEqual([])
      }).pipe(Effect.provide(chain.layer))
    )
  })
})

describe("a bell", () => {
  test("is heard by everybody who listened before it rang, once", async () => {
    const bell = makeBell()
    bell.ring()
    const [one, other] = [bell.listen(), bell.listen()]
    bell.ring()
    await Effect.runPromise(Effect.all([one, other]))
    const heard = await Effect.runPromise(bell.listen().pipe(Effect.timeoutOption("20 millis")))
    expect(heard._tag).toBe("None")
  })
})

describe("the step that watches for finality", () => {
  /** A request whose result stands in the newest block. */
  const submitted = Effect.fnUntraced(function* (chain: SubmissionChain) {
    const [request] = yield* Effect.flatMap(bornRequests(1), (all) => brought(all, "threshold-verified"))
    chain.fulfilledByOthers(request!.id)
    return request!
  })

  const watched = (chain: SubmissionChain, event: (request: StoredRequest) => Extract<RequestEvent, { type: "submitted" }>) =>
    Effect.gen(function* () {
      const request = yield* submitted(chain)
      const [onChain] = yield* broughtBy([request], event)
      const outcomes = yield* hearOutcomes
      yield* finalityActor(1)
      yield* giveOut("submitted", [onChain!])
      yield* until("it is answered", Effect.sync(() => outcomes.of(request.id).length > 0))
      return outcomes.of(request.id)[0]!
    }).pipe(Effect.scoped, Effect.provide(chain.layer))

  const broughtBy = (requests: ReadonlyArray<StoredRequest>, event: (request: StoredRequest) => RequestEvent) =>
    Effect.forEach(requests, (request) => Effect.map(brought([request], "submitted", () => event(request)), ([one]) => one))

  const inNewestBlock = (chain: SubmissionChain) => (request: StoredRequest) => {
    const found = chain.whereFulfilled(request.id)
    assert(found !== undefined)
    return { type: "submitted", txHash: found.txHash, block: found.block } as const
  }

  test("postpones while the block is not final, and finalises when it is", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        expect(yield* watched(chain, inNewestBlock(chain))).toMatchObject({ type: "postponed", reason: "waiting-for-finality" })
        const isFinal = (request: StoredRequest) => {
          chain.finalise()
          return inNewestBlock(chain)(request)
        }
        expect(yield* watched(chain, isFinal)).toMatchObject({ type: "finalized" })
      })
    )
  })

  test("leaves what a newer build has written to that build, and answers for the others in the message", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const [newer, ours] = yield* broughtBy([yield* submitted(chain), yield* submitted(chain)], inNewestBlock(chain))
        yield* Effect.promise(() => world.query("UPDATE request SET machine_version = 99 WHERE request_id = decode($1, 'hex')", [newer!.id.slice(2)]))
        const outcomes = yield* hearOutcomes
        yield* finalityActor(1)
        yield* giveOut("submitted", [newer!, ours!])
        yield* until("the other one is answered", Effect.sync(() => outcomes.of(ours!.id).length > 0))
        expect(outcomes.of(newer!.id)).toEqual([])
      }).pipe(Effect.scoped, Effect.provide(chain.layer))
    )
  })

  test("follows a result to the block in which it stands now", () => {
    const chain = aChain()
    return inActorWorld(world, () =>
      Effect.gen(function* () {
        const elsewhere = { blockNumber: 0, blockHash: random32() }
        const outcome = yield* watched(chain, () => ({ type: "submitted", txHash: random32(), block: elsewhere }))
        expect(outcome).toMatchObject({ type: "submitted" })
        expect(outcome).not.toMatchObject({ block: elsewhere })
      })
    )
  })
})
