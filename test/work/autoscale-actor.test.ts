/** What nodes say in their heartbeats becomes advice, in virtual time, on the ledger in memory. */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { afterEach, beforeEach, expect, test } from "vitest"
import { autoscaleActor } from "../../actors/autoscale.actor.ts"
import type { Role } from "../../src/domain/cluster.ts"
import { NODE_DEAD_AFTER_MS } from "../../src/domain/limits.ts"
import { Cluster } from "../../src/ledger/cluster.port.ts"
import { heardTelemetry } from "../actors/support/heard-telemetry.ts"
import { born } from "../support/ledger-world.ts"
import { type MemoryLedgerWorld, openMemoryLedgerWorld } from "../support/memory-ledger-world.ts"

let world: MemoryLedgerWorld
beforeEach(async () => void (world = await openMemoryLedgerWorld()))
afterEach(() => world.close())

const SECOND = 1_000

/** Nodes that answer `perSecond` access lists each, for some seconds, saying so once a second. */
const work = Effect.fnUntraced(function* (nodes: Readonly<Record<string, number>>, done: Map<string, number>, seconds: number) {
  for (let second = 0; second < seconds; second++) {
    for (const [worker, perSecond] of Object.entries(nodes)) {
      done.set(worker, (done.get(worker) ?? 0) + perSecond)
      const roles: ReadonlyArray<Role> = worker.startsWith("api") ? ["api"] : ["worker:acl-checked"]
      const life = { worker, name: worker, version: "1", roles, machineVersions: [1] }
      yield* Cluster.use((cluster) =>
        cluster.beat({ ...life, state: "working", uptimeMs: second * SECOND, done: { "acl-checked": done.get(worker)! } })
      )
    }
    yield* TestClock.adjust(SECOND)
  }
})

const inWorld = (program: Effect.Effect<void, unknown, any>): Promise<void> =>
  world.run(program.pipe(Effect.scoped, Effect.provide(heardTelemetry().layer)) as Effect.Effect<void>)

test("workers are measured one by one, whoever is silent is no worker, and more are asked for by what they do", () =>
  inWorld(
    Effect.gen(function* () {
      const advice = yield* autoscaleActor({ isPaused: () => false })
      const done = new Map<string, number>()
      yield* work({ "fast-1": 0, "slow-1": 0, "gone-1": 0, "api-1": 0 }, done, 1)
      yield* born(1_000)
      yield* work({ "fast-1": 3, "slow-1": 1, "api-1": 0 }, done, NODE_DEAD_AFTER_MS / SECOND + 30)
      const seen = (yield* advice)["acl-checked"]!
      expect(seen.workers).toBe(2)
      expect(seen.owed).toBe(1_000)
      expect(seen.settledPerSecond).toBe(4)
      expect(seen.perWorkerPerSecond).toBeGreaterThan(1)
      expect(seen.perWorkerPerSecond).toBeLessThanOrEqual(2)
      expect(seen.desiredWorkers).toBeGreaterThan(2)
      expect((yield* advice)["finalized"]).toEqual({
        ...{ desiredWorkers: 1, workers: 0, backlogSeconds: 0, owed: 0, settledPerSecond: null, perWorkerPerSecond: null }
      })
    })
  ))

test("nothing is asked for while the step is paused", () =>
  inWorld(
    Effect.gen(function* () {
      const advice = yield* autoscaleActor({ isPaused: (target) => target === "step:acl-checked" })
      const done = new Map<string, number>()
      yield* work({ "one-1": 0 }, done, 1)
      yield* born(1_000)
      yield* work({ "one-1": 0 }, done, 60)
      expect((yield* advice)["acl-checked"]).toMatchObject({ desiredWorkers: 1, owed: 1_000 })
    })
  ))
