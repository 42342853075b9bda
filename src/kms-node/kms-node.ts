/**
 * One KMS node, without a transport: who asks, what it costs them, what it answers. Whatever carries the messages
 * (`adapters/kms-node`) turns bytes into these calls and refusals into statuses.
 */
import assert from "node:assert/strict"
import { Clock, Effect } from "effect"
import type { Hex } from "../domain/hex.ts"
import type { DecryptionRequest } from "../domain/request.ts"
import type { Bls12381Engine } from "../threshold/engine.ts"
import { answerShare } from "./answer-share.ts"
import { attestResults, type BroughtBatch } from "./attest-results.ts"
import { CALLER_LIMITS, type CallerLimitOptions, callerLimits } from "./caller-limits.ts"
import { epochKeys } from "./epoch-keys.ts"
import { type NodeFault, spoilAttestation, spoilShare } from "./fault.ts"
import { refuse } from "./refusal.ts"
import { ShareVault } from "./share-vault.port.ts"

export interface KmsNodeSettings {
  readonly engine: Bls12381Engine
  /** Of the software, as `describe` shows it. */
  readonly version: string
  readonly limits?: CallerLimitOptions
  /** A production node has no faults on order. */
  readonly isProduction: boolean
  readonly fault?: NodeFault
}

export interface Description {
  readonly nodeId: number
  readonly identity: Hex
  readonly epochs: ReadonlyArray<number>
  readonly version: string
  readonly clockMs: number
}

export const makeKmsNode = (settings: KmsNodeSettings) => {
  const { engine, fault } = settings
  assert(!(settings.isProduction && fault !== undefined), "a production node cannot be told to misbehave")
  const admit = callerLimits(settings.limits ?? CALLER_LIMITS)
  const keysOf = epochKeys(engine)
  const [answer, attest] = [answerShare(engine, keysOf), attestResults(engine, keysOf)]

  /** Runs the work while the caller's account carries it. */
  const accounted = <A, E, R>(caller: string, handles: number, work: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const admission = admit(caller, handles, yield* Clock.currentTimeMillis)
      if (!("release" in admission)) {
        return yield* refuse("too-many-requests", "more than this caller's share of the node's time", admission.retryAfterMs)
      }
      return yield* Effect.ensuring(work, Effect.sync(admission.release))
    })

  return {
    share: (request: DecryptionRequest, caller: string) =>
      accounted(
        caller,
        request.handles.length,
        Effect.gen(function* () {
          const honest = yield* answer(request, caller)
          return fault === undefined ? honest : yield* spoilShare(fault, engine, yield* ShareVault, request, honest)
        })
      ),
    attest: (batch: BroughtBatch, caller: string) =>
      accounted(
        caller,
        batch.results.reduce((handles, { request }) => handles + request.handles.length, 0),
        Effect.gen(function* () {
          const honest = yield* attest(batch, caller)
          return fault === undefined ? honest : yield* spoilAttestation(fault, engine, honest)
        })
      ),
    describe: Effect.gen(function* () {
      const vault = yield* ShareVault
      const clockMs = yield* Clock.currentTimeMillis
      return {
        nodeId: vault.nodeId,
        identity: vault.identity,
        epochs: vault.epochs,
        version: settings.version,
        clockMs
      } satisfies Description
    })
  }
}

export type KmsNode = ReturnType<typeof makeKmsNode>
