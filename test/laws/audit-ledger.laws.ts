/** What every AuditLedger promises: everything about a request as it was in one moment, and nothing but what is there. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { test } from "vitest"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { AuditLedger } from "../../src/ledger/audit-ledger.port.ts"
import { verifyHistory } from "../../src/ledger/hash-chain.ts"
import { type Attempt, LaneLedger } from "../../src/ledger/lane-ledger.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { ShareLedger } from "../../src/ledger/share-ledger.port.ts"
import type { LedgerRig } from "../support/ledger-rig.ts"
import { aChainId, aChange, anEnd, born, ownPartition, random32, randomAddress } from "../support/ledger-world.ts"

export const auditLedgerLaws = (world: () => LedgerRig): void => {
  const law = (promise: string, program: Effect.Effect<void, unknown, Ledger>) => test(promise, () => world().run(program))

  law("shows a request with its history, its wake-up and the nodes that may have been asked", Effect.gen(function*() {
    const audit = yield* AuditLedger
    const ledger = yield* RequestLedger
    const [request, other] = yield* born(2, { partition: 5 })
    assert(request !== undefined && other !== undefined)
    const lease = yield* ownPartition(5, "auditor-law")
    yield* ledger.save([aChange(request, lease)], "worker-1")
    yield* (yield* ShareLedger).intend([{ requestId: request.id, nodes: [1, 3], budget: 3 }])
    const audited = yield* audit.requests([request.id, other.id, random32()])
    assert.deepEqual(new Set(audited.map(({ stored }) => stored.id)), new Set([request.id, other.id]))
    const seen = audited.find(({ stored }) => stored.id === request.id)
    const unasked = audited.find(({ stored }) => stored.id === other.id)
    assert(seen !== undefined && unasked !== undefined)
    assert.deepEqual(seen.history, yield* ledger.history(request.id))
    assert.deepEqual(verifyHistory(request.id, seen.history, seen.stored.chainTail), { type: "intact" })
    assert.deepEqual([seen.stored], yield* ledger.load([request.id]))
    assert.deepEqual({ ...seen.asked, nodes: [...(seen.asked?.nodes ?? [])].toSorted() }, { nodes: [1, 3], budget: 3 })
    assert.equal(unasked.asked, null)
    assert(seen.overdueMs !== null && seen.overdueMs < 0 && seen.overdueMs > -11_000)
  }))

  law("shows that nobody waits for a request that has ended", Effect.gen(function*() {
    const [request] = yield* born(1, { partition: 5 })
    assert(request !== undefined)
    const lease = yield* ownPartition(5, "auditor-law")
    yield* (yield* RequestLedger).save([anEnd(request, lease)], "worker-1")
    const [ended] = yield* (yield* AuditLedger).requests([request.id])
    assert.equal(ended?.overdueMs, null)
    assert.equal(ended?.stored.state, "refused")
  }))

  law("finds what is open and what is new, each id once", Effect.gen(function*() {
    const requests = yield* born(3, { partition: 5 })
    const ids = yield* (yield* AuditLedger).recentIds(1_000)
    assert.equal(new Set(ids).size, ids.length)
    for (const { id } of requests) assert(ids.includes(id))
    assert((yield* (yield* AuditLedger).recentIds(1)).length <= 2)
  }))

  law("shows all requests page by page, in the order of their ids, each once and as it is, though others are born meanwhile", Effect.gen(function*() {
    const audit = yield* AuditLedger
    const there = (yield* born(5, { partition: 5 })).map(({ id }) => id)
    const seen: Array<RequestId> = []
    const read = Effect.fnUntraced(function*(after: RequestId | null) {
      const page = yield* audit.page(after, 20)
      assert(page.length <= 20)
      seen.push(...page.map(({ stored }) => stored.id))
      return page.length > 0
    })
    yield* read(null)
    const late = (yield* born(3, { partition: 5 })).map(({ id }) => id)
    while (yield* read(seen.at(-1)!));
    assert.deepEqual(seen, seen.toSorted())
    assert.equal(new Set(seen).size, seen.length)
    for (const id of there) assert(seen.includes(id))
    const [{ overdueMs, ...found } = assert.fail()] = yield* audit.page(there[1]!, 1)
    const { id } = found.stored
    assert(id > there[1]! && ![...seen, ...late].some((other) => other > there[1]! && other < id))
    const [{ overdueMs: later, ...alone } = assert.fail()] = yield* audit.requests([id])
    assert.deepEqual(found, alone)
    assert.equal(overdueMs === null, later === null)
    assert.deepEqual(yield* audit.page(`0x${"ff".repeat(32)}`, 10), [])
  }))

  law("shows every lane with its newest nonces in order, each with its attempts", Effect.gen(function*() {
    const lanes = yield* LaneLedger
    const lane = { chainId: aChainId(), address: randomAddress() }
    const [lease] = yield* (yield* Leases).claim([`lane/${lane.chainId}/${lane.address}`], "sender-1", 60_000)
    assert(lease !== undefined)
    const roots = [random32(), random32(), random32()]
    const attemptOf = (index: number): Attempt => ({
      nonce: 7 + index,
      attemptNo: 0,
      root: roots[index]!,
      txHash: random32(),
      rawTx: "0x02",
      gasLimit: 1n,
      maxFeePerGas: 1n,
      maxPriorityFeePerGas: 1n,
      isCancellation: false,
      signedAtMs: 1_795_000_000_000
    })
    const attempts = roots.map((_, index) => attemptOf(index))
    for (const [index, attempt] of attempts.entries()) {
      const root = roots[index]!
      yield* lanes.enqueue(lane.chainId, root, [random32()])
      yield* lanes.pull(lane, lease, 1)
      assert.equal(yield* lanes.take(lane, lease, { nonce: 7 + index, root, snapshot: {}, attempt }), true)
    }
    const again = { ...attemptOf(2), attemptNo: 1 }
    yield* lanes.save(lane, lease, { nonce: 9, version: 1, snapshot: {}, isFinal: true, attempt: again })
    const found = (yield* (yield* AuditLedger).lanes(2)).find((one) => one.lane.address === lane.address)
    assert.deepEqual(found, {
      lane,
      nextNonce: 10,
      slots: [
        { nonce: 8, root: roots[1], attempts: [{ attemptNo: 0, root: roots[1], txHash: attempts[1]?.txHash }] },
        { nonce: 9, root: roots[2], attempts: [attempts[2], again].map((one) => ({ attemptNo: one?.attemptNo, root: roots[2], txHash: one?.txHash })) }
      ]
    })
  }))
}
