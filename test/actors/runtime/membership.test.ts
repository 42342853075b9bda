/** A node among nodes: it is heard once a second, knows what is paused before it starts anything, and says goodbye when all else has stopped. */
import { Effect, Exit, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, test } from "vitest"
import { joinCluster } from "../../../actors/runtime/membership.ts"
import { makePauses, Pauses, unlessPaused } from "../../../actors/runtime/pauses.ts"
import type { PauseTarget } from "../../../src/domain/cluster.ts"
import { NODE_BEAT_MS, NODE_BEAT_TIMEOUT_MS } from "../../../src/domain/limits.ts"
import { type Beat, Cluster, type DrainOrder } from "../../../src/ledger/cluster.port.ts"
import { LedgerUnavailable } from "../../../src/ledger/ledger-unavailable.ts"
import type { Telemetry } from "../../../src/telemetry/telemetry.port.ts"
import { type HeardTelemetry, heardTelemetry } from "../support/heard-telemetry.ts"

const LIFE = { worker: "a-0a0b0c", name: "a", version: "1.2.3", roles: ["worker"], machineVersions: [1] } as const
const away = new LedgerUnavailable({ doing: "beat", cause: "cut off" })

/** A ledger that answers what a test wants, and remembers what it was told. */
const scripted = () => {
  const script = {
    said: [] as Array<string>,
    beats: [] as Array<Beat>,
    paused: [] as ReadonlyArray<PauseTarget>,
    drain: null as DrainOrder | null,
    others: [] as ReadonlyArray<ReadonlyArray<"worker" | "sender">>,
    answer: "at once" as "at once" | "never" | "away"
  }
  const unused = () => Effect.die("nobody asks for this here")
  const beat = (one: Beat) =>
    Effect.suspend(() => {
      if (script.answer !== "at once") return script.answer === "away" ? Effect.fail(away) : Effect.never
      script.beats.push(one)
      script.said.push(one.state)
      const pauses = script.paused.map((target) => ({ target, by: "ann", why: "a test", sinceMs: 0 }))
      return Effect.succeed({ pauses, drain: script.drain, others: script.others })
    })
  const layer = Layer.succeed(Cluster, {
    serve: unused,
    beat,
    leave: (_, farewell) => Effect.sync(() => void script.said.push(`gone: ${farewell}`)),
    nodes: unused(),
    pauses: unused(),
    pause: unused,
    resume: unused,
    drain: unused,
    noteMessageAction: unused,
    actions: unused
  })
  return { script, layer }
}

type World = ReturnType<typeof scripted>["script"]

type Program = (script: World, telemetry: HeardTelemetry) => Effect.Effect<void, unknown, Cluster | Telemetry | Scope.Scope>

const inWorld = async (program: Program) => {
  const { script, layer } = scripted()
  const telemetry = heardTelemetry()
  await Effect.runPromise(
    Effect.scoped(program(script, telemetry)).pipe(
      Effect.provide(Layer.mergeAll(layer, telemetry.layer, TestClock.layer()))
    )
  )
  return script
}

const join = (obeyDrain: Effect.Effect<void> = Effect.void) => joinCluster(LIFE, obeyDrain, () => ({ finalized: 7 }))

describe("a node of a cluster", () => {
  test("is joining until its actors have started, drains before any of them stops, and says goodbye after all of them", async () => {
    const script = await inWorld((script) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        yield* Effect.gen(function* () {
          const { state, work } = yield* join()
          expect(state()).toBe("joining")
          yield* Effect.addFinalizer(() => Effect.sync(() => void script.said.push("an actor stops")))
          yield* work
          expect(state()).toBe("working")
        }).pipe(Scope.provide(scope))
        yield* Scope.close(scope, Exit.void)
      })
    )
    expect(script.said).toEqual(["joining", "working", "draining", "an actor stops", "gone: drained"])
    expect(script.beats[0]).toEqual({ ...LIFE, state: "joining", uptimeMs: 0, done: { finalized: 7 } })
  })

  test("is heard once a second, drains included, and not any more when it has left", async () => {
    const script = await inWorld((script) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        yield* Effect.gen(function* () {
          const { work } = yield* join()
          // Slow to stop: what drains is heard on.
          yield* Effect.addFinalizer(() => TestClock.adjust(NODE_BEAT_MS * 3))
          yield* work
        }).pipe(Scope.provide(scope))
        yield* TestClock.adjust(NODE_BEAT_MS * 4)
        expect(script.beats.map(({ uptimeMs }) => uptimeMs)).toEqual([0, 0, 1_000, 2_000, 3_000, 4_000])
        yield* Scope.close(scope, Exit.void)
        yield* TestClock.adjust(NODE_BEAT_MS * 4)
      })
    )
    expect(script.said.slice(6)).toEqual(["draining", "draining", "draining", "draining", "gone: drained"])
  })

  test("that fails says so", async () => {
    const script = await inWorld(() =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        yield* join().pipe(Scope.provide(scope))
        yield* Scope.close(scope, Exit.fail("the port is taken"))
      })
    )
    expect(script.said.at(-1)).toBe("gone: failed")
  })

  test("obeys an order to drain once, however often it hears it", async () => {
    let obeyed = 0
    await inWorld((script) =>
      Effect.gen(function* () {
        yield* join(Effect.sync(() => void obeyed++))
        yield* TestClock.adjust(NODE_BEAT_MS * 2)
        expect(obeyed).toBe(0)
        script.drain = { by: "ann", why: "a new version" }
        yield* TestClock.adjust(NODE_BEAT_MS * 3)
        expect(obeyed).toBe(1)
      })
    )
  })

  test("keeps what was paused while the ledger is silent or away, and hears of changes as soon as it is back", async () => {
    await inWorld((script, telemetry) =>
      Effect.gen(function* () {
        script.paused = ["step:acl-checked"]
        const { pauses } = yield* join()
        script.paused = []
        for (const answer of ["never", "away"] as const) {
          script.answer = answer
          yield* TestClock.adjust(NODE_BEAT_MS * 2 + NODE_BEAT_TIMEOUT_MS)
          expect(pauses.isPaused("step:acl-checked")).toBe(true)
        }
        expect(telemetry.warnings.map(({ data }) => data["error"])).toContain("LedgerUnavailable")
        script.answer = "at once"
        yield* TestClock.adjust(NODE_BEAT_MS * 2)
        expect(pauses.isPaused("step:acl-checked")).toBe(false)
      })
    )
  })

  test("does not begin before it has been heard", async () => {
    await inWorld((script) =>
      Effect.gen(function* () {
        script.answer = "away"
        let hasJoined = false
        yield* Effect.forkScoped(Effect.andThen(join(), Effect.sync(() => (hasJoined = true))))
        yield* TestClock.adjust(5_000)
        expect(hasJoined).toBe(false)
        script.answer = "at once"
        yield* TestClock.adjust(1_000)
        expect(hasJoined).toBe(true)
      })
    )
  })
})

describe("a pause", () => {
  const set = (...targets: ReadonlyArray<PauseTarget>) => {
    const pauses = makePauses()
    pauses.set(targets)
    return pauses.view
  }
  const LANE = `lane:1/0x${"ab".repeat(20)}` as const

  test("of something wider holds everything below it, and nothing else", () => {
    for (const target of ["step:finalized", "listener:1", "chain:1", LANE, "everything"] as const) {
      expect(set("everything").isPaused(target)).toBe(true)
      expect(set("chain:1").isPaused(target)).toBe(["listener:1", "chain:1", LANE].includes(target))
      expect(set("step:submitted").isPaused(target)).toBe(target === LANE)
      expect(set(LANE).isPaused(target)).toBe(target === LANE)
      expect(set("chain:10", "listener:2", "step:acl-checked").isPaused(target)).toBe(false)
    }
  })

  /** An actor that notes when it starts and stops. */
  const watched = (target: PauseTarget, pauses: ReturnType<typeof makePauses>) => {
    const said: Array<string> = []
    const actor = Effect.acquireRelease(Effect.sync(() => void said.push("starts")), () => Effect.sync(() => void said.push("stops")))
    return { said, run: Effect.provideService(unlessPaused(target, actor), Pauses, pauses.view) }
  }

  test("stops an actor and lets it start again, as often as it takes; other pauses do not touch it", async () => {
    await inWorld(() =>
      Effect.gen(function* () {
        const pauses = makePauses()
        const { said, run } = watched("step:acl-checked", pauses)
        yield* run
        const after = (...targets: ReadonlyArray<PauseTarget>) => Effect.andThen(Effect.sync(() => pauses.set(targets)), TestClock.adjust(1))
        yield* TestClock.adjust(1)
        yield* after("step:finalized")
        expect(said).toEqual(["starts"])
        yield* after("step:acl-checked", "step:finalized")
        expect(said).toEqual(["starts", "stops"])
        yield* after("step:acl-checked", "everything")
        yield* after("everything")
        expect(said).toEqual(["starts", "stops"])
        yield* after()
        yield* after("everything")
        expect(said).toEqual(["starts", "stops", "starts", "stops"])
      })
    )
  })

  test("that stands when an actor would start keeps it from starting", async () => {
    await inWorld(() =>
      Effect.gen(function* () {
        const pauses = makePauses()
        pauses.set(["chain:1"])
        const { said, run } = watched("listener:1", pauses)
        yield* run
        yield* TestClock.adjust(60_000)
        expect(said).toEqual([])
        pauses.set([])
        yield* TestClock.adjust(1)
        expect(said).toEqual(["starts"])
      })
    )
  })
})
