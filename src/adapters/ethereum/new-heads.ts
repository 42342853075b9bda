/**
 * Hears of new blocks over a WebSocket, so that the listener need not wait for its next look. It is only a bell: nothing that it
 * says is believed, and when it is deaf, lost or lying, blocks are read at the next look as if it did not exist.
 */
import { Clock, Deferred, Effect, Random } from "effect"
import { backoffMs, type BackoffPolicy } from "../../resilience/backoff.ts"
import { monotonicMs, monotonicMsOf } from "../../resilience/monotonic.ts"

/** So long nothing may be heard before the other side is asked whether it still lives, and so long it may take to answer. */
const QUIET_MS = 15_000
const ANSWER_MS_MAX = 5_000
/** Endpoints that are restarted must not be met by everybody at once. */
const RECONNECT: BackoffPolicy = { firstMs: 1_000, longestMs: 30_000 }
/** No chain has blocks this fast; whoever announces them faster makes us look no more often than this. */
const APART_MS_MIN = 20
/** A header is about 2 KiB. */
const MESSAGE_CHARS_MAX = 256 * 1024

const SUBSCRIBE = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_subscribe", params: ["newHeads"] })
const ARE_YOU_THERE = JSON.stringify({ jsonrpc: "2.0", id: 2, method: "eth_blockNumber", params: [] })

export interface NewHeadsOptions {
  readonly quietMs?: number
  readonly answerMsMax?: number
  readonly reconnect?: BackoffPolicy
  /** Whether heads are being announced at the moment. */
  readonly onChange?: (isSubscribed: boolean) => void
}

/** Rings at most once for any number of blocks that came since it was listened to last. For one listener. */
interface Bell {
  readonly ring: () => void
  readonly next: Effect.Effect<void>
}

const makeBell = (): Bell => {
  let hasRung = false
  let waiting: Deferred.Deferred<void> | undefined
  return {
    ring: () => {
      hasRung = true
      if (waiting !== undefined) Deferred.doneUnsafe(waiting, Effect.void)
    },
    next: Effect.suspend(() => {
      if (hasRung) return Effect.sync(() => void (hasRung = false))
      const mine = Deferred.makeUnsafe<void>()
      waiting = mine
      return Effect.andThen(Deferred.await(mine), Effect.sync(() => void (hasRung = false)))
    })
  }
}

/** Connected as long as its scope lives, again and again. Answers what ends at the next announcement. */
export const makeNewHeads = Effect.fnUntraced(function* (url: string, options: NewHeadsOptions = {}) {
  const bell = makeBell()
  let tries = 0
  const live = session(url, options, () => {
    tries = 0
    bell.ring()
  })
  const again = Effect.gen(function* () {
    yield* live
    options.onChange?.(false)
    tries += 1
    yield* Effect.sleep(backoffMs(options.reconnect ?? RECONNECT, tries, yield* Random.next))
  })
  yield* Effect.forkScoped(Effect.forever(again))
  let rungAtMs = Number.NEGATIVE_INFINITY
  return Effect.gen(function* () {
    yield* bell.next
    const nowMs = yield* monotonicMs
    const tooSoonMs = rungAtMs + APART_MS_MIN - nowMs
    if (tooSoonMs > 0) yield* Effect.sleep(tooSoonMs)
    rungAtMs = nowMs + Math.max(0, tooSoonMs)
  })
})

/** One connection; ends when it is lost, refused, or has gone deaf. */
const session = (url: string, { quietMs = QUIET_MS, answerMsMax = ANSWER_MS_MAX, onChange }: NewHeadsOptions, ring: () => void) =>
  Effect.scoped(
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const lost = yield* Deferred.make<void>()
      let heardAtMs = monotonicMsOf(clock)
      const give = () => void Deferred.doneUnsafe(lost, Effect.void)
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => new WebSocket(url)),
        (open) => Effect.sync(() => open.close())
      )
      socket.addEventListener("open", () => socket.send(SUBSCRIBE))
      socket.addEventListener("close", give)
      socket.addEventListener("error", give)
      socket.addEventListener("message", ({ data }: MessageEvent) => {
        heardAtMs = monotonicMsOf(clock)
        const meaning = meaningOf(data)
        if (meaning === "subscribed") onChange?.(true)
        if (meaning === "head") ring()
        if (meaning === "refused") give()
      })
      const keptAlive = Effect.gen(function* () {
        for (;;) {
          yield* Effect.sleep(quietMs)
          const askedAtMs = monotonicMsOf(clock)
          if (askedAtMs - heardAtMs < quietMs) continue
          if (socket.readyState === WebSocket.OPEN) socket.send(ARE_YOU_THERE)
          yield* Effect.sleep(answerMsMax)
          if (heardAtMs < askedAtMs) return
        }
      })
      yield* Effect.raceFirst(Deferred.await(lost), keptAlive)
    })
  )

const meaningOf = (data: unknown): "head" | "subscribed" | "refused" | "other" => {
  if (typeof data !== "string" || data.length > MESSAGE_CHARS_MAX) return "refused"
  try {
    const { id, method, error } = JSON.parse(data) as { readonly id?: unknown; readonly method?: unknown; readonly error?: unknown }
    if (method === "eth_subscription") return "head"
    return id === 1 ? (error === undefined ? "subscribed" : "refused") : "other"
  } catch {
    return "refused"
  }
}
