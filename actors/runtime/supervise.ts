/** Keeps an actor alive: whatever ends it, our own bugs included, is said and counted, and it starts again after a pause. What it was doing is
 * not remembered here; it is in the ledger. */
import { Cause, Duration, Effect } from "effect"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"

/** Long enough not to flood a dependency that is down, short enough that nobody waits for it. */
const RESTART_MS = 500

/** Runs `work` again and again in the background, until the scope closes. `work` paces itself; only failures make a pause here. */
export const supervise = <E, R>(actor: string, work: Effect.Effect<unknown, E, R>) =>
  work.pipe(
    // When the scope closes, no handler runs: an interruption that is seen here came from something that the work waited for.
    Effect.catchCause((cause) => Effect.andThen(report(actor, cause), Effect.sleep(Duration.millis(RESTART_MS)))),
    Effect.forever,
    Effect.forkScoped
  )

/** A typed failure is somebody else's outage; a defect is ours and pages. Only kinds are told: messages could quote anything. */
const report = (actor: string, cause: Cause.Cause<unknown>) =>
  Telemetry.use((telemetry) =>
    Effect.sync(() => {
      telemetry.count("actor_restarts", 1, actor)
      const failure = cause.reasons.find(Cause.isFailReason)?.error
      if (failure !== undefined) telemetry.warn("an actor starts again", { actor, error: tagOf(failure) })
      if (Cause.hasInterruptsOnly(cause)) telemetry.warn("an actor starts again", { actor, error: "interrupted" })
      const defect = cause.reasons.find(Cause.isDieReason)?.defect
      if (defect !== undefined) telemetry.error("an actor died and starts again", { actor, defect: placeOf(defect) })
    })
  )

const tagOf = (failure: unknown): string =>
  typeof failure === "object" && failure !== null && "_tag" in failure ? String(failure._tag) : "unknown"

/** The kind of a defect, an assertion's own sentence, and where it was born. */
export const placeOf = (defect: unknown): string => {
  if (!(defect instanceof Error)) return "a value that is not an error was thrown"
  const frame = defect.stack?.split("\n").find((line) => line.includes(".ts:"))?.trim() ?? ""
  const said = defect.name === "AssertionError" ? `: ${defect.message}` : ""
  return `${defect.name}${said} ${frame.replace(/\(?file:\/\/.*\/(?=(?:src|actors|machines|bin)\/)/, "(")}`.slice(0, 900)
}
