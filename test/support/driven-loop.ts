/** A simulated world's virtual clock, driven by the real one: for laws that were written for adapters, and wait in real time. */
import { EventLoop } from "../../chaos/simulator/event-loop.ts"

export interface DrivenLoop {
  readonly loop: EventLoop
  readonly stop: () => void
}

/** Moved once in every turn of Node's own loop, until it is stopped. A turn may come late on a busy machine; then so does what was due. */
export const drivenLoop = (): DrivenLoop => {
  const [startMs, started] = [Date.now(), performance.now()]
  const loop = new EventLoop(startMs)
  let isOn = true
  const turn = (): void => {
    loop.runLate(startMs + performance.now() - started)
    if (isOn) setImmediate(turn)
  }
  setImmediate(turn)
  return { loop, stop: () => void (isOn = false) }
}
