/** Both clocks are held to the same law; and what only the simulator's has: a wall clock that can be wrong, and processes that stand still. */
import { Clock, Effect } from "effect"
import { expect, test } from "vitest"
import { Chance } from "../../chaos/simulator/chance.ts"
import { EventLoop, Process } from "../../chaos/simulator/event-loop.ts"
import { clockLaws } from "./clock.laws.ts"

const START_MS = 1_767_225_600_000

const simulated = () => {
  const loop = new EventLoop(START_MS)
  const process = new Process("g1", loop, new Chance("clock laws"))
  return { loop, process }
}

clockLaws("the clock of the machine", () => ({ run: (effect) => Effect.runPromise(effect), close: () => undefined }))
clockLaws("the simulator's clock", () => {
  const { loop, process } = simulated()
  return {
    run: async (effect) => {
      let done: { readonly value: Effect.Success<typeof effect> } | undefined
      process.fork(Effect.map(effect, (value) => void (done = { value })))
      loop.run(START_MS + 60_000, () => done !== undefined)
      return done!.value
    },
    close: () => process.kill()
  }
})

const HOUR_MS = 3_600_000

test("a simulated wall clock that jumps takes no sleeper with it, and the monotonic one does not jump", () => {
  const { loop, process } = simulated()
  let slept: readonly [wallMs: number, steadyMs: number] | undefined
  process.fork(
    Effect.gen(function* () {
      const [wall, steady] = [yield* Clock.currentTimeMillis, yield* Clock.monotonicTimeNanos]
      yield* Effect.sleep(1_000)
      slept = [(yield* Clock.currentTimeMillis) - wall, Number((yield* Clock.monotonicTimeNanos) - steady) / 1e6]
    })
  )
  loop.after(process, 500, () => void (process.skewMs += HOUR_MS))
  loop.run(START_MS + 5_000, () => slept !== undefined)
  expect(slept).toEqual([HOUR_MS + 1_000, 1_000])
})

test("a simulated process that stands still runs what came due when it goes on, in its order, and a killed one never", () => {
  const { loop, process } = simulated()
  const other = new Process("g2", loop, new Chance("another"))
  const run: Array<string> = []
  for (const ms of [30, 10, 20]) loop.after(process, ms, () => run.push(`g1 ${ms}`))
  loop.after(other, 15, () => run.push("g2 15"))
  process.freeze()
  loop.run(START_MS + 40, () => false)
  expect(run).toEqual(["g2 15"])
  process.thaw()
  loop.run(START_MS + 50, () => false)
  expect(run).toEqual(["g2 15", "g1 10", "g1 20", "g1 30"])
  loop.after(process, 10, () => run.push("never"))
  process.kill()
  loop.run(START_MS + 100, () => false)
  expect(run).not.toContain("never")
})
