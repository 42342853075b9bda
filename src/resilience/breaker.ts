/**
 * A circuit breaker as data: whether a call may be sent, judged by what became of the calls before it. Pure: the time and chance
 * are told. It counts attempts on the wire, not calls of ours with all their repetitions, and one attempt never decides alone:
 * neither does one failure open it nor one good answer close it (opossum #276 and cockatiel #73 are what happens otherwise).
 */

export interface BreakerPolicy {
  /** How far back it looks. Milliseconds. */
  readonly windowMs: number
  /** Attempts within the window before their ratio means anything. */
  readonly volumeMin: number
  /** Failed parts of all attempts from which on it opens. */
  readonly failureRatioMax: number
  /** An answer that took longer is a slow one. */
  readonly slowMs: number
  /** Slow parts of all attempts from which on it opens. */
  readonly slowRatioMax: number
  /** First rest; doubled with every further opening until it has been well for two windows; half of it is left to chance. */
  readonly restMs: number
  readonly restMsMax: number
  /** Most attempts that may be sent to find out whether it is well again. */
  readonly probes: number
  /** That many of them must be good. */
  readonly probesGoodMin: number
  /** A probe that has told nothing by then is lost and counts as bad: half-open is never for ever. */
  readonly probeMsMax: number
}

/** `abandoned`: whoever asked lost interest before anything could be said about the other side. */
export type Verdict = "good" | "slow" | "bad" | "abandoned"

/** What came of the attempts that were sent in one tenth of the window. */
interface Slice {
  readonly startMs: number
  readonly volume: number
  readonly bad: number
  readonly slow: number
}

export type Breaker =
  | {
      readonly state: "closed"
      readonly round: number
      readonly trips: number
      readonly sinceMs: number
      readonly slices: ReadonlyArray<Slice>
    }
  | { readonly state: "open"; readonly round: number; readonly trips: number; readonly untilMs: number }
  | {
      readonly state: "half-open"
      readonly round: number
      readonly trips: number
      readonly sent: number
      readonly lastSentMs: number
      readonly good: number
      readonly bad: number
    }

/** Leave to send one attempt. Reports about attempts of an earlier round say nothing about this one. */
export interface Ticket {
  readonly round: number
  readonly isVital: boolean
}

export type Admission =
  | { readonly breaker: Breaker; readonly ticket: Ticket }
  | { readonly breaker: Breaker; readonly ticket: undefined; readonly retryAfterMs: number }

const SLICES = 10
/** How soon to come back while the probes that decide are under way. */
const PROBES_UNDER_WAY_MS = 100

export const closedBreaker = (nowMs: number): Breaker => ({ state: "closed", round: 0, trips: 0, sinceMs: nowMs, slices: [] })

/** A vital call is sent whatever is believed: a lease that is not renewed is lost, and its answer is news like any other. */
export const admit = (policy: BreakerPolicy, breaker: Breaker, nowMs: number, chance: number, isVital = false): Admission => {
  if (isVital) return { breaker, ticket: { round: breaker.round, isVital } }
  switch (breaker.state) {
    case "closed":
      return { breaker, ticket: { round: breaker.round, isVital } }
    case "open": {
      const restMs = restLeftMs(breaker, nowMs)
      if (restMs > 0) return { breaker, ticket: undefined, retryAfterMs: restMs }
      const { round, trips } = breaker
      const probing: Breaker = { state: "half-open", round: round + 1, trips, sent: 1, lastSentMs: nowMs, good: 0, bad: 0 }
      return { breaker: probing, ticket: { round: round + 1, isVital } }
    }
    case "half-open": {
      if (breaker.sent < policy.probes) {
        return { breaker: { ...breaker, sent: breaker.sent + 1, lastSentMs: nowMs }, ticket: { round: breaker.round, isVital } }
      }
      if (nowMs - breaker.lastSentMs < policy.probeMsMax) return { breaker, ticket: undefined, retryAfterMs: PROBES_UNDER_WAY_MS }
      const again = opened(policy, breaker, breaker.trips + 1, nowMs, chance)
      return { breaker: again, ticket: undefined, retryAfterMs: restLeftMs(again, nowMs) }
    }
  }
}

/** How long it will certainly refuse; 0 when only trying can tell. */
export const restLeftMs = (breaker: Breaker, nowMs: number): number =>
  breaker.state === "open" ? Math.max(0, Math.ceil(breaker.untilMs - nowMs)) : 0

/** `chance`: uniform in [0, 1). */
export const report = (
  policy: BreakerPolicy,
  breaker: Breaker,
  ticket: Ticket,
  verdict: Verdict,
  nowMs: number,
  chance: number
): Breaker => {
  if (ticket.round !== breaker.round) return breaker
  switch (breaker.state) {
    case "closed": {
      if (verdict === "abandoned") return breaker
      const next = { ...breaker, slices: counted(policy, breaker.slices, verdict, nowMs) }
      if (verdict === "good" || !isTooMuch(policy, next, nowMs)) return next
      const wasWell = nowMs - breaker.sinceMs > 2 * policy.windowMs
      return opened(policy, breaker, wasWell ? 1 : breaker.trips + 1, nowMs, chance)
    }
    // Only vital calls are sent here; a good answer to one ends the rest at once.
    case "open": {
      if (verdict !== "good") return breaker
      const { round, trips } = breaker
      const probing = { state: "half-open", round: round + 1, trips, sent: 0, lastSentMs: nowMs, good: 1, bad: 0 } as const
      return judged(policy, probing, nowMs, chance)
    }
    case "half-open": {
      if (verdict === "abandoned") return ticket.isVital ? breaker : { ...breaker, sent: Math.max(0, breaker.sent - 1) }
      const good = Number(verdict === "good")
      return judged(policy, { ...breaker, good: breaker.good + good, bad: breaker.bad + 1 - good }, nowMs, chance)
    }
  }
}

export interface Tally {
  readonly volume: number
  readonly bad: number
  readonly slow: number
}

/** What came of the attempts within the window. */
export const tally = (policy: BreakerPolicy, breaker: Breaker, nowMs: number): Tally => {
  const recent = breaker.state === "closed" ? breaker.slices.filter(({ startMs }) => startMs > nowMs - policy.windowMs) : []
  return recent.reduce(
    (sum, { volume, bad, slow }) => ({ volume: sum.volume + volume, bad: sum.bad + bad, slow: sum.slow + slow }),
    { volume: 0, bad: 0, slow: 0 }
  )
}

const isTooMuch = (policy: BreakerPolicy, breaker: Breaker, nowMs: number): boolean => {
  const { volume, bad, slow } = tally(policy, breaker, nowMs)
  return volume >= policy.volumeMin && (bad >= policy.failureRatioMax * volume || slow >= policy.slowRatioMax * volume)
}

const counted = (
  policy: BreakerPolicy,
  slices: ReadonlyArray<Slice>,
  verdict: Exclude<Verdict, "abandoned">,
  nowMs: number
): ReadonlyArray<Slice> => {
  const sliceMs = policy.windowMs / SLICES
  const startMs = Math.floor(nowMs / sliceMs) * sliceMs
  const last = slices.at(-1)
  const isSame = last !== undefined && last.startMs >= startMs
  const { volume, bad, slow } = isSame ? last : { volume: 0, bad: 0, slow: 0 }
  const current = {
    startMs: isSame ? last.startMs : startMs,
    volume: volume + 1,
    bad: bad + Number(verdict === "bad"),
    slow: slow + Number(verdict === "slow")
  }
  return [...slices.slice(isSame ? -SLICES : 1 - SLICES, isSame ? -1 : undefined), current]
}

const opened = (policy: BreakerPolicy, { round }: Breaker, trips: number, nowMs: number, chance: number) => {
  const longestMs = Math.min(policy.restMsMax, policy.restMs * 2 ** Math.min(trips - 1, 30))
  return { state: "open", round: round + 1, trips, untilMs: nowMs + longestMs * (0.5 + chance / 2) } as const
}

type Probing = Extract<Breaker, { readonly state: "half-open" }>

const judged = (policy: BreakerPolicy, breaker: Probing, nowMs: number, chance: number): Breaker => {
  const { round, trips, good, bad } = breaker
  if (good >= policy.probesGoodMin) return { state: "closed", round: round + 1, trips, sinceMs: nowMs, slices: [] }
  return bad > policy.probes - policy.probesGoodMin ? opened(policy, breaker, trips + 1, nowMs, chance) : breaker
}
