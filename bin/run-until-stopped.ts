/** Runs a program with a scope until it ends or somebody stops it: the first Ctrl-C or SIGTERM, or an order that the program has heard, drains it
 * within a bound; a second signal ends it at once. */
import { Cause, Effect, Exit, Fiber, type Scope } from "effect"

/** Longer than any call may take; shorter than what supervisors wait before they kill (Kubernetes: 30 s). */
export const DRAIN_MS_MAX = 25_000

/** Ends with the program's exit code, and with 0 when it was stopped; by then every finalizer has run. `drain` is what a signal does. */
export const runUntilStopped = async <E>(program: (drain: Effect.Effect<void>) => Effect.Effect<number, E, Scope.Scope>): Promise<void> => {
  let isStopping = false
  const drain = () => {
    if (isStopping) return
    isStopping = true
    Effect.runFork(Fiber.interrupt(fiber))
    setTimeout(() => {
      process.stderr.write("portcullis: draining took too long; what was under way is in the ledger and is given out again\n")
      process.exit(1)
    }, DRAIN_MS_MAX).unref()
  }
  const stop = () => {
    if (isStopping) process.exit(130)
    drain()
  }
  const fiber = Effect.runFork(Effect.scoped(program(Effect.sync(drain))))
  process.on("SIGINT", stop)
  process.on("SIGTERM", stop)
  const exit = await Effect.runPromise(Fiber.await(fiber))
  if (Exit.isSuccess(exit)) process.exit(exit.value)
  if (Cause.hasInterruptsOnly(exit.cause) && isStopping) process.exit(0)
  process.stderr.write(`portcullis: ${describe(exit.cause)}\n`)
  process.exit(1)
}

/** One sentence where the failure has one; a stack only for our own bugs. */
const describe = (cause: Cause.Cause<unknown>): string => {
  const failure = cause.reasons.find(Cause.isFailReason)?.error
  if (failure instanceof Error) return failure.message === "" ? failure.name : failure.message
  return Cause.pretty(cause)
}
