/** A simulated world's virtual clock, driven by the real one: for laws that were written for adapters, and wait in real time. */
import { EventLoop } from "../../chaos/simulator/event-loop.ts"

export interface DrivenLoop {
  readonly loop: EventLoop
  readonly stop: () => void
}

const MICROS_PER_MS = 1_000

/** Moved once in every turn of Node's own loop, until it is stopped. */
export const drivenLoop = (): DrivenLoop => {
  const [startMs, started] = [Date.now(), performance.now()]
  const loop = new EventLoop(startMs)
  let isOn = true
  const turn = (): void => {
    // To the microsecond: a call that takes 20 of them must not wait for the next millisecond.
    loop.run(startMs + Math.floor((performance.now() - started) * MICROS_PER_MS) / MICROS_PER_MS, () => false)
    if (isOn) setImmediate(turn)
  }
  setImmediate(turn)
  return { loop, stop: () => void (isOn = false) }
}
