/** What every Cluster promises: who lives is heard, orders reach whom they are for, and nothing an operator does is done without a trace. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { test } from "vitest"
import type { Ledger } from "../../src/adapters/postgres/ledger.layer.ts"
import type { PauseTarget } from "../../src/domain/cluster.ts"
import { type Beat, Cluster, type Pause } from "../../src/ledger/cluster.port.ts"
import type { LedgerRig } from "../support/ledger-rig.ts"
import { random32, randomAddress } from "../support/ledger-world.ts"

const aBeat = (given: Partial<Beat> = {}): Beat => ({
  worker: `node-${random32()}`,
  name: "node",
  version: "0.1.0",
  roles: ["coordinator", "worker:acl-checked"],
  machineVersions: [1, 2],
  state: "working",
  uptimeMs: 5_000,
  done: { "acl-checked": 3 },
  ...given
})
/** Switches are few and worldwide: each law sets one that nobody else has. */
const aLane = (): PauseTarget => `lane:1/${randomAddress()}`

const seen = Effect.fnUntraced(function*(worker: string) {
  return (yield* Cluster.use((cluster) => cluster.nodes)).find((node) => node.worker === worker)
})
const standing = ({ pauses }: { readonly pauses: ReadonlyArray<Pause> }, ...targets: ReadonlyArray<PauseTarget>) =>
  pauses.filter(({ target }) => targets.includes(target)).map(({ target, by, why }) => [target, by, why])

export const clusterLaws = (world: () => LedgerRig): void => {
  const law = (promise: string, program: Effect.Effect<void, unknown, Ledger>) => test(promise, () => world().run(program))

  law("shows a node as it said last, from its first beat", Effect.gen(function*() {
    const cluster = yield* Cluster
    const beat = aBeat({ state: "joining" })
    assert.equal(yield* seen(beat.worker), undefined)
    yield* cluster.beat(beat)
    const { startedAtMs, silentMs, heardAtMs, ...node } = (yield* seen(beat.worker))!
    const { uptimeMs, ...life } = beat
    assert.deepEqual(node, { ...life, farewell: null })
    assert(silentMs >= 0 && silentMs < 60_000)
    const done = { "acl-checked": 4, finalized: 1 }
    yield* cluster.beat({ ...beat, state: "working", uptimeMs: uptimeMs + 50, done })
    const later = (yield* seen(beat.worker))!
    assert.deepEqual([later.state, later.startedAtMs, later.done], ["working", startedAtMs, done])
    assert(later.heardAtMs >= heardAtMs)
  }))

  law("belongs to one chain: the first that anybody named, whoever else asks at once", Effect.gen(function*() {
    const cluster = yield* Cluster
    const said = yield* Effect.forEach([11n, 12n, 13n, 14n], cluster.serve, { concurrency: "unbounded" })
    assert.equal(new Set(said).size, 1)
    assert.equal(yield* cluster.serve(said[0]! + 100n), said[0])
  }))

  law("keeps a life that has left gone, however late a beat of it comes", Effect.gen(function*() {
    const cluster = yield* Cluster
    const beat = aBeat()
    yield* cluster.beat(beat)
    yield* cluster.leave(beat.worker, "drained")
    yield* cluster.beat(beat)
    yield* cluster.leave(beat.worker, "failed")
    const node = (yield* seen(beat.worker))!
    assert.deepEqual([node.state, node.farewell], ["gone", "drained"])
  }))

  law("tells a node the roles of the others that take work: not its own, not of those that drain or have left", Effect.gen(function*() {
    const cluster = yield* Cluster
    const roles = ["sender", "worker:finalized"] as const
    const beats = (["joining", "working", "draining", "working"] as const).map((state) => aBeat({ state, roles }))
    for (const beat of beats) yield* cluster.beat(beat)
    yield* cluster.leave(beats[3]!.worker, "drained")
    const countFor = (beat: Beat) =>
      Effect.map(cluster.beat(beat), ({ others }) => others.filter((one) => one.join() === roles.join()).length)
    assert.equal(yield* countFor(aBeat()), 2)
    assert.equal(yield* countFor(beats[1]!), 1)
    assert.equal(yield* countFor(beats[2]!), 2)
  }))

  law("tells every node what is paused, by whom and why, until it is resumed", Effect.gen(function*() {
    const cluster = yield* Cluster
    const [first, second] = [aLane(), aLane()]
    assert.equal(yield* cluster.pause(first, "ann", "the fees are mad"), true)
    const before = yield* world().nowMs
    yield* world().eventually("the clock moves on", Effect.map(world().nowMs, (nowMs) => nowMs > before + 1))
    assert.equal(yield* cluster.pause(second, "bob", "the key is lost"), true)
    const both = [[first, "ann", "the fees are mad"], [second, "bob", "the key is lost"]]
    assert.deepEqual(standing(yield* cluster.beat(aBeat()), first, second), both)
    assert.deepEqual(standing({ pauses: yield* cluster.pauses }, first, second), both)
    assert.equal(yield* cluster.resume(first, "bob", "they are not"), true)
    assert.deepEqual(standing(yield* cluster.beat(aBeat()), first, second), both.slice(1))
    yield* cluster.resume(second, "bob", "found")
    assert.deepEqual(standing({ pauses: yield* cluster.pauses }, first, second), [])
  }))

  law("keeps what operators did to parked messages", Effect.gen(function*() {
    const cluster = yield* Cluster
    const target = `12-${random32().slice(2, 10)} decryption.outcome.3`
    yield* cluster.noteMessageAction("redrive message", target, "ann", "upgraded")
    yield* cluster.noteMessageAction("drop message", target, "bob", "from a stranger")
    const history = (yield* cluster.actions(10)).filter((action) => action.target === target)
    assert.deepEqual(history.map(({ action, by, why }) => [action, by, why]), [
      ["drop message", "bob", "from a stranger"],
      ["redrive message", "ann", "upgraded"]
    ])
  }))

  law("leaves a pause to whoever set it first, and resumes nothing that is not paused", Effect.gen(function*() {
    const cluster = yield* Cluster
    const target = aLane()
    assert.equal(yield* cluster.resume(target, "ann", "for nothing"), false)
    const tries = yield* Effect.all(Array.from({ length: 8 }, (_, index) => cluster.pause(target, `operator ${index}`, "me first")), {
      concurrency: "unbounded"
    })
    assert.equal(tries.filter(Boolean).length, 1)
    assert.deepEqual(standing({ pauses: yield* cluster.pauses }, target), [[target, `operator ${tries.indexOf(true)}`, "me first"]])
    assert.equal(yield* cluster.resume(target, "ann", "enough"), true)
    const history = (yield* cluster.actions(50)).filter((action) => action.target === target)
    assert.deepEqual(history.map(({ action, by, why }) => [action, by, why]), [
      ["resume", "ann", "enough"],
      ["pause", `operator ${tries.indexOf(true)}`, "me first"]
    ])
  }))

  law("orders one life to drain, and not the next one of the same name", Effect.gen(function*() {
    const cluster = yield* Cluster
    const [old, next] = [aBeat({ name: "a" }), aBeat({ name: "a" })]
    assert.equal((yield* cluster.beat(old)).drain, null)
    assert.equal(yield* cluster.drain(old.worker, "ann", "a new version"), true)
    assert.equal(yield* cluster.drain(old.worker, "bob", "me too"), false)
    assert.deepEqual((yield* cluster.beat(old)).drain, { by: "ann", why: "a new version" })
    assert.deepEqual((yield* cluster.beat({ ...old, state: "draining" })).drain, { by: "ann", why: "a new version" })
    assert.equal((yield* cluster.beat(next)).drain, null)
    const [latest] = yield* cluster.actions(1)
    assert.deepEqual([latest?.action, latest?.target, latest?.by], ["drain", old.worker, "ann"])
  }))
}
