/**
 * The partitions this process coordinates: its fair share of them, each under a lease with a fencing epoch. Coordinators know of each other by
 * leases of membership, so that who lives is judged by the database's clock. Losing a partition is harmless: writes under it match no row.
 */
import { Duration, Effect, Random, Schema } from "effect"
import { MACHINE_VERSION } from "../../machines/decide.ts"
import type { Fate } from "../../src/domain/fate.ts"
import { LEASE_RENEW_MS, PARTITIONS } from "../../src/domain/limits.ts"
import { fairShare } from "../../src/ledger/fair-share.ts"
import { type HeldLease, LeaseKeeper } from "../../src/ledger/lease-keeper.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"
import { supervise } from "./supervise.ts"

/** How often coordinators look at each other (half of it to all of it): two looks bound what a join or a leave costs a partition. */
const LOOK_MS = 1_000
/** What is in flight for a partition is finished within this, or left to the next owner: outcomes take milliseconds, a stuck database longer. */
const GIVE_BACK_MS_MAX = 5_000
const LEAVE_MS_MAX = 2_000
/** Memberships of processes that ended; each has a boot nonce in its name and never comes back. */
const FORGET_MEMBERS_AFTER_MS = 24 * 3_600_000

export const partitionLease = (partition: number): string => `partition/${partition}`

const MEMBERS = "member/coordinator/"
/** The machine version stands in the name: builds that cannot read the newest snapshots leave the partitions to those that can. */
export const coordinatorMember = (owner: string, machineVersion = MACHINE_VERSION): string => `${MEMBERS}${machineVersion}/${owner}`

/** Told about a partition that is not (or no longer surely) ours, or about a request that somebody else has moved. Nothing was decided. */
export class PartitionNotOurs extends Schema.TaggedError<PartitionNotOurs>()("PartitionNotOurs", { partition: Schema.Number }) {
  readonly fate: Fate = "retry"
}

export interface OwnedPartitions {
  /** The epoch under which this process may write to a partition; undefined when it is not (or no longer surely) ours. */
  readonly epochOf: (partition: number) => bigint | undefined
  /** Those to hear and to sweep: ours, and not being given back. */
  readonly owned: () => ReadonlyArray<number>
  /** Runs before a partition is given back, and must end what is under way for it. */
  readonly beforeGivingBack: (finish: (partition: number) => Effect.Effect<void>) => void
}

interface Owned {
  readonly held: HeldLease
  isLeaving: boolean
}

/** Joins, and owns a fair share for as long as the scope is open; then resigns. */
export const ownPartitions = Effect.fnUntraced(function* (owner: string, machineVersion = MACHINE_VERSION) {
  const keeper = yield* LeaseKeeper
  const leases = yield* Leases
  const telemetry = yield* Telemetry
  const names = Array.from({ length: PARTITIONS }, (_, partition) => partitionLease(partition))
  const member = coordinatorMember(owner, machineVersion)
  const owned = new Map<number, Owned>()
  const finishers: Array<(partition: number) => Effect.Effect<void>> = []
  let membership: HeldLease | undefined

  const tellSize = (): void => telemetry.gauge("owned_partitions", [...owned.values()].filter(({ held }) => held.isTrusted()).length)

  const join = Effect.gen(function* () {
    if (membership?.isTrusted()) return
    const [held] = yield* keeper.hold([member], owner)
    membership = held
  })

  const look = Effect.map(leases.holders, (holders) => {
    const members = holders.filter(({ name }) => name.startsWith(MEMBERS)).map((lease) => ({ ...lease, version: versionOf(lease.name) }))
    const newest = Math.max(...members.map(({ version }) => version))
    const ownerOf = new Map(holders.map((lease) => [lease.name, lease.owner]))
    return {
      members: members.filter(({ version }) => version === newest).map((lease) => lease.owner),
      owners: names.map((name) => ownerOf.get(name))
    }
  })

  const claim = Effect.fnUntraced(function* (partitions: ReadonlyArray<number>) {
    if (partitions.length === 0) return
    for (const held of yield* keeper.hold(partitions.map(partitionLease), owner)) {
      owned.set(names.indexOf(held.lease.name), { held, isLeaving: false })
    }
  })

  /** Finishes what is in flight for this partition and for no other, then lets the others have it. It is forgotten last: whoever looks while the
   * ledger is being told must not take it for one whose claim was answered into the void, and claim it again. */
  const giveBack = Effect.fnUntraced(function* (partition: number, leaving: Owned) {
    yield* Effect.forEach(finishers, (finish) => finish(partition), { concurrency: "unbounded", discard: true }).pipe(
      Effect.timeout(Duration.millis(GIVE_BACK_MS_MAX)),
      Effect.ignore
    )
    yield* Effect.ignore(keeper.giveBack([partitionLease(partition)], owner)) // where the ledger cannot be told, it expires
    if (owned.get(partition) === leaving) owned.delete(partition)
    tellSize()
  })

  const balance = Effect.gen(function* () {
    yield* join
    const view = yield* look
    for (const [partition, { held }] of owned) if (view.owners[partition] !== owner && !held.isTrusted()) owned.delete(partition)
    const leaving = [...owned].flatMap(([partition, { isLeaving }]) => (isLeaving ? [partition] : []))
    const moves = fairShare(view, owner, leaving)
    // Ours by the ledger, but its answer to our claim or to a renewal was lost: claimed again, under the same epoch.
    const isUnsure = (partition: number): boolean => {
      const one = owned.get(partition)
      return one === undefined || (!one.held.isTrusted() && !one.isLeaving)
    }
    const unsure = view.owners.flatMap((who, partition) => (who === owner && isUnsure(partition) ? [partition] : []))
    yield* claim([...moves.claim, ...unsure])
    tellSize()
    for (const partition of moves.giveBack) {
      const one = owned.get(partition)
      if (one === undefined || one.isLeaving) continue
      one.isLeaving = true
      yield* Effect.forkScoped(giveBack(partition, one))
    }
  }).pipe(
    Effect.timeout(Duration.millis(LEASE_RENEW_MS)),
    Effect.catch((error) => Effect.sync(() => telemetry.warn("partitions not balanced", { error: error._tag })))
  )

  yield* Effect.addFinalizer(() => {
    const all = [member, ...[...owned.keys()].map(partitionLease)]
    return keeper.giveBack(all, owner).pipe(Effect.timeout(Duration.millis(LEAVE_MS_MAX)), Effect.ignore)
  })
  yield* Effect.forkScoped(Effect.ignore(leases.forget(MEMBERS, FORGET_MEMBERS_AFTER_MS)))
  yield* balance
  const pause = Effect.flatMap(Random.nextBetween(LOOK_MS / 2, LOOK_MS), (ms) => Effect.sleep(Duration.millis(ms)))
  yield* supervise("partitions", Effect.andThen(pause, balance))

  return {
    epochOf: (partition) => {
      const one = owned.get(partition)
      return one?.held.isTrusted() ? one.held.lease.epoch : undefined
    },
    owned: () => [...owned].filter(([, { held, isLeaving }]) => !isLeaving && held.isTrusted()).map(([partition]) => partition),
    beforeGivingBack: (finish) => void finishers.push(finish)
  } satisfies OwnedPartitions
})

/** Of a membership's name; one that nobody understands counts as the oldest. */
const versionOf = (name: string): number => {
  const version = Number.parseInt(name.slice(MEMBERS.length), 10)
  return Number.isNaN(version) ? 0 : version
}
