/** The pure half of the coordinator: a stored snapshot and an event in, what becomes of the request out. Snapshots are plain
 * JSON, only the state and the context: everything else XState derives. A version this build does not know is never guessed at
 * (reliability.md P16). */
import assert from "node:assert/strict"
import { ENDS, isEnd, JOURNEY, type Milestone, type RequestState } from "../src/domain/journey.ts"
import { WORK_TIMEOUT_MS } from "../src/domain/limits.ts"
import type { RequestEvent } from "../src/domain/outcome.ts"
import type { Anchor } from "../src/domain/request.ts"
import { decryptionRequestMachine, type DecryptionRequestContext } from "./decryption-request.machine.ts"
import { begin, effectOf, walk } from "./walk.ts"

/** Raised whenever a stored snapshot or an event would be misread by a build of the version before; then a migration and a corpus file are added.
 * 2: halted requests can be redriven (docs/adr/0024). */
export const MACHINE_VERSION = 2

/** From version n to n + 1. */
export type Migration = (snapshot: unknown) => unknown

/** Keyed by the version they start from. */
const MIGRATIONS: Readonly<Record<number, Migration>> = {
  // Nothing that is kept has another form; an older build would not know what `redriven` and `result-lost` mean.
  1: (snapshot) => snapshot
}

export interface StoredDecision {
  readonly snapshot: unknown
  readonly machineVersion: number
}

export type Decision =
  | {
      readonly type: "decided"
      readonly from: RequestState
      readonly to: RequestState
      /** Of version `MACHINE_VERSION`, plain JSON. */
      readonly snapshot: unknown
      /** The state whose work is given out once this is saved; null when none is. */
      readonly dispatch: Milestone | null
      /** When the sweeper must look again; null when the request has ended. */
      readonly wakeAfterMs: number | null
      /** Where the request stands now, when the event moved it. */
      readonly anchor?: Anchor
    }
  | { readonly type: "ignored" }

interface RequestSnapshot {
  readonly value: RequestState
  readonly context: DecryptionRequestContext
}

/** The snapshot of a request that was just detected at `anchor`; whoever stores it also gives out the work of `detected`. */
export const birth = (anchor: Anchor): { readonly snapshot: unknown } => {
  return { snapshot: begin(decryptionRequestMachine, { anchor }).kept }
}

/** True when this build can read snapshots of `version`; others are left to builds that can. */
export const knowsMachineVersion = (version: number): boolean => canMigrate(version, MACHINE_VERSION, MIGRATIONS)

export const decide = (stored: StoredDecision, event: RequestEvent): Decision => {
  const before = readSnapshot(migrate(stored))
  const { kept, effects } = walk(decryptionRequestMachine, before, event)
  const [from, to] = [before.value, kept.value]
  const dispatch = effectOf<{ readonly reached: Milestone }>(effects, "dispatch")?.reached ?? null
  if (to === from && dispatch === null) return { type: "ignored" }
  return {
    type: "decided",
    from,
    to,
    snapshot: kept,
    dispatch,
    wakeAfterMs: isEnd(to) ? null : WORK_TIMEOUT_MS,
    ...(event.type === "moved" ? { anchor: event.anchor } : {})
  }
}

/** What a stored request knows: the block of its access check, its nodes, its submission, why it ended. */
export const contextOf = (stored: StoredDecision): DecryptionRequestContext => readSnapshot(migrate(stored)).context

/** Brings a snapshot to `target`, one version at a time. */
export const migrate = (stored: StoredDecision, target = MACHINE_VERSION, migrations = MIGRATIONS): unknown => {
  const { machineVersion } = stored
  assert(canMigrate(machineVersion, target, migrations), `machine version ${machineVersion} is not known to this build`)
  let snapshot = stored.snapshot
  for (let version = machineVersion; version < target; version++) snapshot = migrations[version]?.(snapshot)
  return snapshot
}

const canMigrate = (version: number, target: number, migrations: Readonly<Record<number, Migration>>): boolean => {
  if (!Number.isInteger(version) || version > target) return false
  for (let step = version; step < target; step++) if (migrations[step] === undefined) return false
  return true
}

const STATES: ReadonlySet<unknown> = new Set<RequestState>([...JOURNEY, ...ENDS])

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === "object" && value !== null

/** We wrote it, so another shape is our mistake; still nothing is decided on it. */
const readSnapshot = (snapshot: unknown): RequestSnapshot => {
  assert(isRecord(snapshot) && STATES.has(snapshot["value"]), "a snapshot names a known state")
  const context = snapshot["context"]
  assert(isRecord(context) && isRecord(context["anchor"]), "a snapshot has an anchor")
  assert(isRecord(context["known"]), "a snapshot says what is known")
  const { blockNumber, blockHash, logIndex } = context["anchor"]
  assert(
    Number.isInteger(blockNumber) && Number.isInteger(logIndex) && typeof blockHash === "string",
    "an anchor names a block and a log"
  )
  return snapshot as unknown as RequestSnapshot
}

/** All versions of snapshots that this build can read. Below what it is made of: it is worked out when the file is loaded. */
export const KNOWN_MACHINE_VERSIONS: ReadonlyArray<number> = Array.from({ length: MACHINE_VERSION }, (_, index) => index + 1).filter(
  knowsMachineVersion
)
