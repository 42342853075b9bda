/** What the model does, the ledger does: traces of the protocol's model are driven through a real ledger, and after every step both must
 * agree on every request's state, version, asked nodes and wake-up, and on every lane's nonces. */
import assert from "node:assert/strict"
import { Effect } from "effect"
import { test } from "vitest"
import { Entries, traces, type Fields, type TraceStep } from "../../chaos/model/quint.ts"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import type { RequestState } from "../../src/domain/journey.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { AuditLedger } from "../../src/ledger/audit-ledger.port.ts"
import { DetectionLedger } from "../../src/ledger/detection-ledger.port.ts"
import { type LaneId, LaneLedger, laneLeaseName } from "../../src/ledger/lane-ledger.port.ts"
import { type Lease, Leases } from "../../src/ledger/lease.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { ShareLedger } from "../../src/ledger/share-ledger.port.ts"
import type { LedgerRig } from "../support/ledger-rig.ts"
import { aBlock, aChainId, aSeenRequest, random32, randomAddress } from "../support/ledger-world.ts"

/** The model's states, by their numbers. It leaves out what it has nothing to say about (the ciphertexts). */
const STATES: ReadonlyArray<RequestState | undefined> = [
  ...[undefined, "detected", "acl-checked", "shares-collected", "threshold-verified", "submitted", "finalized"]
] as ReadonlyArray<RequestState | undefined>
const NODES = 3
/** Of nobody else's in the laws. */
const FIRST_PARTITION = 20_000

const rowOf = (state: Fields, id: bigint): Fields => ((state["db"] as Fields)["rows"] as Entries).get(id) as Fields
const beliefOf = (state: Fields, worker: string): Fields => (state["workers"] as Entries).get(worker) as Fields
const numberAt = (fields: Fields, name: string): number => Number(fields[name])

/** The real side of one trace. */
class Driver {
  readonly chainId = aChainId()
  readonly lane: LaneId = { chainId: this.chainId, address: randomAddress() }
  readonly ids = new Map<bigint, RequestId>()
  private readonly roots = new Map<bigint, `0x${string}`>()
  private readonly partition: number
  private owner: { readonly name: string; readonly leases: ReadonlyArray<Lease> } | undefined
  private block = aBlock(1)

  constructor(partition: number) {
    this.partition = partition
  }

  follow({ action, picks, state }: TraceStep, before: Fields): Effect.Effect<void, unknown, Ledger> {
    const [id, worker] = [picks["id"] as bigint, picks["w"] as string]
    switch (action) {
      case "detect":
        return Effect.asVoid(this.detect(id))
      case "claim":
        return this.claim(worker, (state["db"] as Fields)["epoch"] as bigint)
      case "record_ask":
        return Effect.asVoid(
          ShareLedger.use((shares) => shares.intend([{ requestId: this.idOf(id), nodes: [numberAt(picks, "node")], budget: NODES }]))
        )
      case "save":
        return this.save(id, worker, before, state)
      case "sign":
        return this.sign(id, worker, before)
      default:
        return Effect.void // the bus, the chain and the nodes: nothing that a ledger knows
    }
  }

  private idOf(id: bigint): RequestId {
    const known = this.ids.get(id)
    assert(known !== undefined, "a request that the model speaks of was detected")
    return known
  }

  private detect(id: bigint) {
    const expected = this.block
    const block = aBlock(expected.number + 1, expected)
    const request = aSeenRequest(block, { chainId: this.chainId, partition: this.partition })
    this.ids.set(id, request.id)
    const first = this.ids.size === 1
    this.block = block
    return DetectionLedger.use((detection) =>
      detection.advance({
        ...{ chainId: this.chainId, expected: first ? null : expected.hash, ancestor: first ? 0 : expected.number },
        ...{ blocks: [block], requests: [request], keepFrom: 0, worker: "listener", lease: null }
      })
    )
  }

  /** A lease that ran out and one that was resigned are the same to whoever comes next. */
  private claim(worker: string, epoch: bigint) {
    return Effect.gen({ self: this }, function* () {
      const leases = yield* Leases
      if (this.owner !== undefined) yield* leases.resign(this.owner.leases, this.owner.name)
      const name = `${worker}-${epoch}`
      const claimed = yield* leases.claim([`partition/${this.partition}`, laneLeaseName(this.lane)], name, 60_000)
      assert.deepEqual(claimed.map((lease) => lease.epoch), [epoch, epoch])
      this.owner = { name, leases: claimed }
    })
  }

  /** Whoever believes to own the request writes what it has worked out, on the version that it has seen. */
  private save(id: bigint, worker: string, before: Fields, after: Fields) {
    const [belief, row] = [beliefOf(before, worker), rowOf(before, id)]
    const isRefused = after["refusals"] !== before["refusals"]
    const [from, to] = [STATES[numberAt(row, "state")], STATES[numberAt(row, "state") + 1] ?? "finalized"]
    assert(from !== undefined)
    const isEnd = to === "finalized"
    const change = {
      ...{ requestId: this.idOf(id), partition: this.partition, leaseEpoch: belief["epoch"] as bigint, from, to },
      version: Number((belief["seen"] as Entries).get(id)),
      event: { type: "acl-checked" as const, block: { blockNumber: 1, blockHash: random32() } },
      ...{ machineVersion: 1, snapshot: { value: to }, dispatch: null, wakeAfterMs: isEnd ? null : 10_000, answeredSignals: [] }
    }
    return Effect.map(
      RequestLedger.use((ledger) => ledger.save([change], worker)),
      ([saved]) => assert.equal(saved?.type, isRefused ? "stale" : "saved", "the ledger refuses exactly what the model refuses")
    )
  }

  private sign(id: bigint, worker: string, before: Fields) {
    return Effect.gen({ self: this }, function* () {
      const lanes = yield* LaneLedger
      const root = random32()
      this.roots.set(id, root)
      const lease = { name: laneLeaseName(this.lane), epoch: beliefOf(before, worker)["epoch"] as bigint }
      yield* lanes.enqueue(this.chainId, root, [this.idOf(id)])
      yield* lanes.pull(this.lane, lease, 10)
      const nonce = numberAt(before["db"] as Fields, "next")
      const attempt = {
        ...{ nonce, attemptNo: 0, root, txHash: random32(), rawTx: "0x02" as const, gasLimit: 100_000n },
        ...{ maxFeePerGas: 1n, maxPriorityFeePerGas: 1n, isCancellation: false, signedAtMs: 1_795_000_000_000 }
      }
      assert.equal(yield* lanes.take(this.lane, lease, { nonce, root, snapshot: {}, attempt }), true)
    })
  }

  agrees(state: Fields) {
    return Effect.gen({ self: this }, function* () {
      const audited = new Map((yield* (yield* AuditLedger).requests([...this.ids.values()])).map((one) => [one.stored.id, one]))
      for (const [id, requestId] of this.ids) {
        const [row, real] = [rowOf(state, id), audited.get(requestId)]
        assert.deepEqual(
          {
            state: real?.stored.state,
            version: real?.stored.version,
            history: real?.history.length,
            asked: [...(real?.asked?.nodes ?? [])].toSorted(),
            waits: real?.overdueMs !== null
          },
          {
            state: STATES[numberAt(row, "state")],
            version: numberAt(row, "version"),
            history: numberAt(row, "version"),
            asked: [...(row["asked"] as ReadonlySet<bigint>)].map(Number).toSorted(),
            waits: row["waits"]
          }
        )
      }
      const next = numberAt(state["db"] as Fields, "next")
      const { nextNonce, slots } = yield* (yield* LaneLedger).open(this.lane)
      assert.equal(nextNonce ?? 0, next)
      const carried = ((state["db"] as Fields)["nonces"] as Entries).entries.map(([nonce, id]) => [Number(nonce), this.roots.get(id as bigint)])
      assert.deepEqual(slots.map(({ nonce, root }) => [nonce, root]), carried.toSorted(([a], [b]) => Number(a) - Number(b)))
    })
  }
}

export const modelTracesLaws = (world: () => LedgerRig, samples: number): void => {
  test(`follows ${samples} traces of the protocol's model, step by step`, async () => {
    const all = await traces({ main: "portcullis", samples, seed: "0x6c6564" })
    assert.equal(all.length, samples)
    const followed = new Set<string>()
    for (const [index, trace] of all.entries()) {
      const driver = new Driver(FIRST_PARTITION + index)
      // A promoted standby is a matter of the whole database: chaos looks at that.
      const steady = trace.slice(0, trace.findIndex(({ action }) => action === "fail_over") + 1 || undefined)
      for (const [at, step] of steady.entries()) {
        if (at === 0 || step.action === "fail_over") continue
        await world().run(
          driver.follow(step, steady[at - 1]!.state).pipe(
            Effect.andThen(driver.agrees(step.state)),
            Effect.mapError((error) => new TypeError(`trace ${index}, step ${at}, ${step.action}: ${String(error)}`))
          )
        )
        followed.add(step.action)
      }
    }
    for (const action of ["detect", "claim", "record_ask", "save", "sign"]) assert(followed.has(action), `no trace came to ${action}`)
  })
}
