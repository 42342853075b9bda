/** What every ResultLedger promises: a request stands in one batch, a batch is whole, and its payloads go with its requests. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "vitest"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { type AttestedBatch, partNameOf } from "../../src/domain/response.ts"
import { LaneLedger, laneLeaseName } from "../../src/ledger/lane-ledger.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { ResultLedger } from "../../src/ledger/result-ledger.port.ts"
import { partOf } from "../../src/threshold/part-of-batch.ts"
import type { LedgerRig } from "../support/ledger-rig.ts"
import { aChange, anEnd, born, ownPartition, random32, randomAddress } from "../support/ledger-world.ts"
import { aPartition } from "./request-ledger.laws.ts"

const aBatch = (ids: ReadonlyArray<RequestId>): AttestedBatch => ({
  attested: { root: random32(), count: ids.length, epoch: 2, expiry: 1_900_000_000 },
  chainId: 31_337n,
  gateway: randomAddress(),
  attestation: new Uint8Array(randomBytes(128)),
  responses: ids.map((requestId) => ({ requestId, result: new Uint8Array(randomBytes(100)) }))
})

export const resultLedgerLaws = (world: () => LedgerRig): void => {
  const law = (promise: string, program: Effect.Effect<void, unknown, Ledger>) => test(promise, () => world().run(program))

  const given = Effect.fnUntraced(function*(count: number) {
    const partition = aPartition()
    const lease = yield* ownPartition(partition, "coordinator-1")
    const requests = yield* born(count, { partition })
    return { requests, ids: requests.map(({ id }) => id), lease, results: yield* ResultLedger, ledger: yield* RequestLedger }
  })

  law("gives back what was kept, in the order of the leaves", Effect.gen(function*() {
    const { ids, results } = yield* given(4)
    const batch = aBatch(ids.toReversed())
    const { root } = batch.attested
    assert.deepEqual(yield* results.keep(batch), new Map(ids.map((id) => [id, root])))
    assert.deepEqual(yield* results.batch(root), batch)
    assert.deepEqual(yield* results.rootOf([...ids, random32()]), new Map(ids.map((id) => [id, root])))
    assert.equal(yield* results.batch(random32()), undefined)
  }))

  law("is the same when it is kept again", Effect.gen(function*() {
    const { ids, requests, lease, results, ledger } = yield* given(2)
    const batch = aBatch(ids)
    yield* Effect.all([results.keep(batch), results.keep(batch), results.keep(batch)], { concurrency: "unbounded" })
    assert.deepEqual(yield* results.batch(batch.attested.root), batch)
    yield* ledger.save(requests.map((request) => anEnd(request, lease)), "worker-1")
    assert.equal(yield* results.batch(batch.attested.root), undefined)
  }))

  law("leaves a request in the batch where it stands, and takes the others", Effect.gen(function*() {
    const { ids, results } = yield* given(3)
    const [a, b, c] = ids
    assert(a !== undefined && b !== undefined && c !== undefined)
    const [first, second] = [aBatch([a]), aBatch([a, b, c])]
    yield* results.keep(first)
    const roots = new Map([[a, first.attested.root], [b, second.attested.root], [c, second.attested.root]])
    assert.deepEqual(yield* results.keep(second), roots)
    assert.deepEqual(yield* results.batch(second.attested.root), second)
    const third = aBatch([a, b])
    yield* results.keep(third)
    assert.equal(yield* results.batch(third.attested.root), undefined)
  }))

  law("gives each request one root when two steps keep it at once", Effect.gen(function*() {
    const { ids, results } = yield* given(8)
    const batches = Array.from({ length: 5 }, (_, index) => aBatch(index % 2 === 0 ? ids : ids.toReversed()))
    const answers = yield* Effect.all(batches.map((batch) => results.keep(batch)), { concurrency: "unbounded" })
    for (const id of ids) assert.equal(new Set(answers.map((answer) => answer.get(id))).size, 1)
    const standing = new Set((yield* results.rootOf(ids)).values())
    for (const root of standing) assert.notEqual(yield* results.batch(root), undefined)
  }))

  law("gives the part of a batch that was split with its proof, until its own request has ended", Effect.gen(function*() {
    const { ids, requests, lease, results, ledger } = yield* given(3)
    const batch = aBatch(ids)
    const { root } = batch.attested
    yield* results.keep(batch)
    const lane = { chainId: batch.chainId, address: randomAddress() }
    const name = laneLeaseName(lane)
    const lanes = yield* LaneLedger
    const [held] = yield* Leases.use((leases) => leases.claim([name], "sender", 60_000))
    assert(held !== undefined)
    yield* lanes.enqueue(lane.chainId, root, ids)
    yield* lanes.pull(lane, held, 10_000)
    const parts = ids.map((requestId) => ({ name: partNameOf(root, requestId), requestId, isWanted: false }))
    assert.equal(yield* lanes.split(lane, held, root, parts, "reverted"), true)
    for (const [index, part] of parts.entries()) assert.deepEqual(yield* results.batch(part.name), partOf(batch, ids[index]!))
    assert.deepEqual(yield* results.batch(root), batch)
    yield* ledger.save([anEnd(requests[0]!, lease)], "worker-1")
    assert.equal(yield* results.batch(parts[0]!.name), undefined)
    assert.deepEqual(yield* results.batch(parts[1]!.name), partOf(batch, ids[1]!))
  }))

  law("keeps the payloads until the last request of the batch has ended", Effect.gen(function*() {
    const { ids, requests, lease, results, ledger } = yield* given(3)
    const batch = aBatch(ids)
    const { root } = batch.attested
    yield* results.keep(batch)
    yield* ledger.save(requests.slice(0, 2).map((request) => anEnd(request, lease)), "worker-1")
    assert.deepEqual(yield* results.batch(root), batch)
    assert.deepEqual([...(yield* results.rootOf(ids)).keys()], ids.slice(2))
    yield* ledger.save(requests.slice(2).map((request) => anEnd(request, lease)), "worker-1")
    assert.equal(yield* results.batch(root), undefined)
    assert.deepEqual(yield* Effect.promise(() => world().behind.sealedResults(root)), [null, null, null])
  }))

  law("deletes them also when all requests of a batch end at the same moment in different statements", Effect.gen(function*() {
    const { ids, requests, lease, results, ledger } = yield* given(12)
    const batch = aBatch(ids)
    yield* results.keep(batch)
    yield* Effect.forEach(requests, (request) => ledger.save([anEnd(request, lease)], "worker-1"), { concurrency: "unbounded" })
    assert.equal(yield* results.batch(batch.attested.root), undefined)
  }))

  law("does not stand for a request that has ended, until it lives again", Effect.gen(function*() {
    const { ids, requests, lease, results, ledger } = yield* given(1)
    const [request] = requests
    const [id] = ids
    assert(request !== undefined && id !== undefined)
    yield* ledger.save([anEnd(request, lease, { to: "orphaned" })], "worker-1")
    assert.deepEqual(yield* results.keep(aBatch(ids)), new Map())
    const [ended] = yield* ledger.load(ids)
    assert(ended !== undefined)
    yield* ledger.save([aChange(ended, lease, { to: "detected" })], "worker-1")
    const batch = aBatch(ids)
    assert.deepEqual(yield* results.keep(batch), new Map([[id, batch.attested.root]]))
  }))

  test("keeps nothing readable in the database", async () => {
    const batch = await world().run(Effect.gen(function*() {
      const { ids, results } = yield* given(1)
      const kept = aBatch(ids)
      yield* results.keep(kept)
      return kept
    }))
    const [sealed] = await world().behind.sealedResults(batch.attested.root)
    assert(sealed instanceof Uint8Array)
    assert(!Buffer.from(sealed).includes(Buffer.from(batch.responses[0]!.result.subarray(0, 8))))
  })
}
