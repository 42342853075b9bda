/** `portcullis dev`: the whole journey on one machine, for a person to watch or (--requests --exit --json) for a program to judge. */
import { Deferred, Effect, type Scope } from "effect"
import type { AttestationScheme } from "../../src/domain/committee.ts"
import { isEnd, type RequestState } from "../../src/domain/journey.ts"
import { devClient, type DevClient, type Raised } from "../dev-client.ts"
import { devGateway } from "../dev-gateway.ts"
import { writeDevSettings } from "../dev-settings.ts"
import { startWorld } from "../dev-world.ts"
import { gatewayLayer, startGateway } from "../gateway.ts"
import { runUntilStopped } from "../run-until-stopped.ts"
import { factLine } from "../terminal-view.ts"

export interface DevFlags {
  readonly requests?: number
  readonly exit?: true
  readonly json?: true
  readonly scheme: AttestationScheme
}

const [NODES, THRESHOLD, LANES] = [3, 2, 2]
const BLOCK_TIME_SECONDS = 0.5
/** One public and one user request this often, for somebody to watch. */
const PAUSE_MS = 3_000
/** Nothing in this world takes longer, unless something is broken. */
const PATIENCE_MS = 240_000

export const dev = (flags: DevFlags): Promise<void> => runUntilStopped((obeyDrain) => live(flags, obeyDrain))

const live = Effect.fnUntraced(function* (flags: DevFlags, obeyDrain: Effect.Effect<void>) {
  const startedMs = performance.now()
  const say = (line: string) => {
    if (flags.json !== true) process.stdout.write(`${line}\n`)
  }
  const ends = new Ends()
  const world = yield* startWorld({
    nodes: NODES,
    threshold: THRESHOLD,
    lanes: LANES,
    scheme: flags.scheme,
    anvil: { blockTimeSeconds: BLOCK_TIME_SECONDS },
    onReady: (part) => say(`${((performance.now() - startedMs) / 1_000).toFixed(2).padStart(7)} s  ready: ${part}`)
  })
  const options = devGateway(world, {
    obeyDrain,
    http: { host: "127.0.0.1", port: 0 },
    log: { level: flags.json === true ? "silent" : "warn", to: "stderr" },
    onFact: (fact) => {
      say(factLine(fact, performance.now() - startedMs))
      if (isEnd(fact.to)) ends.reached(fact.requestId, fact.to, fact.sinceDetectedMs)
    }
  })
  return yield* Effect.gen(function* () {
    const http = yield* startGateway(options)
    if (http !== undefined) say(`${" ".repeat(9)}  ready: gateway; see ${http.url}/health and ${http.url}/metrics; Ctrl-C stops everything`)
    const settings = yield* Effect.promise(() => writeDevSettings(world))
    say(`${" ".repeat(9)}  ready: settings; in another terminal: node bin/portcullis.js doctor --settings ${settings}`)
    const client = yield* Effect.promise(() => devClient(world))
    return yield* flags.requests === undefined ? keepAsking(client) : judge(client, flags, ends)
  }).pipe(Effect.scoped, Effect.provide(gatewayLayer(options)))
})

const keepAsking = (client: DevClient): Effect.Effect<number> =>
  Effect.promise(() => Promise.all([client.raise("public"), client.raise("user")])).pipe(
    Effect.andThen(Effect.sleep(PAUSE_MS)),
    Effect.forever
  )

/** Raises everything at once, waits for every end, checks every plaintext. The exit code says whether all ended as it must. */
const judge = (client: DevClient, flags: DevFlags, ends: Ends): Effect.Effect<number, never, Scope.Scope> =>
  Effect.gen(function* () {
    const wanted = Array.from({ length: flags.requests ?? 0 }, () => ["public", "user"] as const).flat()
    const raised = yield* Effect.promise(() => Promise.all([...wanted, "forbidden" as const, "tampered" as const].map(client.raise)))
    const ended = yield* Effect.forEach(raised, ({ requestId }) => ends.of(requestId), { concurrency: "unbounded" }).pipe(
      Effect.timeoutOption(PATIENCE_MS)
    )
    const right = yield* Effect.promise(() =>
      Promise.all(raised.map(async (one) => ends.stateOf(one.requestId) !== "finalized" || (await one.isPlaintextRight())))
    )
    const verdict = {
      requests: ends.counts(),
      latencyMs: ends.latencies(),
      plaintextsCorrect: right.every(Boolean),
      open: raised.filter(({ requestId }) => ends.stateOf(requestId) === undefined).length,
      unexpected: raised.filter(({ requestId, mustEnd }) => ends.stateOf(requestId) !== mustEnd).map(describe(ends))
    }
    process.stdout.write(flags.json === true ? `${JSON.stringify(verdict)}\n` : `${summary(verdict.requests, verdict.latencyMs)}\n`)
    const isGood = ended._tag === "Some" && verdict.plaintextsCorrect && verdict.unexpected.length === 0
    if (flags.exit !== true) return yield* Effect.never
    return isGood ? 0 : 1
  })

const describe =
  (ends: Ends) =>
  ({ requestId, what, mustEnd }: Raised) => ({ requestId, what, mustEnd, ended: ends.stateOf(requestId) ?? null })

const summary = (counts: Readonly<Record<string, number>>, latency: { readonly p50: number; readonly p99: number }): string =>
  `all ended: ${Object.entries(counts).filter(([, count]) => count > 0).map(([state, count]) => `${count} ${state}`).join(", ")}; ` +
  `finalized in ${latency.p50} ms (p50), ${latency.p99} ms (p99)`

/** Which requests have ended, how, and how long that took. */
class Ends {
  readonly #ended = new Map<string, { readonly state: RequestState; readonly tookMs: number }>()
  readonly #waiting = new Map<string, Deferred.Deferred<void>>()

  reached(requestId: string, state: RequestState, tookMs: number): void {
    this.#ended.set(requestId, { state, tookMs })
    Deferred.doneUnsafe(this.#deferred(requestId), Effect.void)
  }

  of(requestId: string): Effect.Effect<void> {
    return Effect.suspend(() => (this.#ended.has(requestId) ? Effect.void : Deferred.await(this.#deferred(requestId))))
  }

  stateOf(requestId: string): RequestState | undefined {
    return this.#ended.get(requestId)?.state
  }

  counts(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = { finalized: 0, refused: 0, expired: 0, orphaned: 0, cancelled: 0, halted: 0 }
    for (const { state } of this.#ended.values()) counts[state] = (counts[state] ?? 0) + 1
    return counts
  }

  /** Detected to finalized, of those that were; milliseconds. */
  latencies(): { readonly p50: number; readonly p99: number } {
    const took = [...this.#ended.values()].filter(({ state }) => state === "finalized").map(({ tookMs }) => tookMs).toSorted((a, b) => a - b)
    const at = (share: number): number => took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? 0
    return { p50: at(0.5), p99: at(0.99) }
  }

  #deferred(requestId: string): Deferred.Deferred<void> {
    const known = this.#waiting.get(requestId) ?? Deferred.makeUnsafe<void>()
    this.#waiting.set(requestId, known)
    return known
  }
}
