/**
 * Does something in one process at a time: whoever holds the lease leads, the others watch and take over when it is given back or runs out. It
 * saves work and nothing else (reliability.md P9): two who believe themselves leaders must be harmless, and the epoch fences what the elder writes.
 */
import { Duration, Effect, Exit, Random } from "effect"
import { type HeldLease, LeaseKeeper } from "../../src/ledger/lease-keeper.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { supervise } from "./supervise.ts"

/** How often those who watch look whether the lease is free (half of it to all of it). */
const WATCH_MS = 1_000
/** How often a leader looks whether it still leads. What it writes in between is fenced. */
const TRUST_LOOK_MS = 250
/** Who has resigned leaves the lease to others for this long, and takes it again if nobody can do better. */
const RESIGNED_MS = 5_000
const LEAVE_MS_MAX = 2_000

export type EndOfTerm = "lost" | "resigned" | "stopped"
export type Transition = { readonly to: "leader"; readonly epoch: bigint } | { readonly to: "standby"; readonly because: EndOfTerm }

export interface Candidate<R> {
  readonly name: string
  readonly owner: string
  /** Fails when this process could not do the work: then it does not stand for it. Asked only while nobody else leads. */
  readonly canLead: Effect.Effect<unknown, unknown, R>
  /** Works for a whole term; interrupted when the lease is lost. */
  readonly lead: (leadership: HeldLease) => Effect.Effect<Exclude<EndOfTerm, "stopped">, never, R>
  /** Hears of every change, one after the other: the next one waits for it. */
  readonly onTransition: (transition: Transition) => void
}

export const elected = Effect.fnUntraced(function* <R>({ name, owner, canLead, lead, onTransition }: Candidate<R>) {
  const keeper = yield* LeaseKeeper
  const leases = yield* Leases

  const lost = Effect.fnUntraced(function* ({ isTrusted }: HeldLease) {
    while (isTrusted()) yield* Effect.sleep(Duration.millis(TRUST_LOOK_MS))
    return "lost" as const
  })

  const term = (leadership: HeldLease) =>
    Effect.suspend(() => {
      onTransition({ to: "leader", epoch: leadership.lease.epoch })
      return Effect.raceFirst(lead(leadership), lost(leadership))
    }).pipe(
      Effect.onExit((exit) => Effect.sync(() => onTransition({ to: "standby", because: Exit.isSuccess(exit) ? exit.value : "stopped" })))
    )

  const stand = Effect.gen(function* () {
    const isLed = (yield* leases.holders).some((lease) => lease.name === name && lease.owner !== owner)
    const [leadership] = !isLed && (yield* Effect.isSuccess(canLead)) ? yield* keeper.hold([name], owner) : []
    if (leadership === undefined) {
      return yield* Effect.flatMap(Random.nextBetween(WATCH_MS / 2, WATCH_MS), (ms) => Effect.sleep(Duration.millis(ms)))
    }
    const because = yield* term(leadership)
    yield* Effect.ignore(keeper.giveBack([name], owner)) // where the ledger cannot be told, it expires
    if (because === "resigned") yield* Effect.sleep(Duration.millis(RESIGNED_MS))
  })

  yield* Effect.addFinalizer(() => keeper.giveBack([name], owner).pipe(Effect.timeout(Duration.millis(LEAVE_MS_MAX)), Effect.ignore))
  yield* supervise("election", stand)
})
