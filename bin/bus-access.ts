/** Parked messages as commands reach them: on the cluster's NATS, with the ledger beside it, where it is written down who did what. */
import { Effect } from "effect"
import { natsParkedMessages } from "../src/adapters/nats/parked-messages.layer.ts"
import type { ParkedMessages } from "../src/messaging/parked-messages.port.ts"
import { settingsOf } from "./client-access.ts"
import { busOf, Problems } from "./gateway-from-settings.ts"
import { type CommandFailed, type CommandFlags, failed, usage, type UsageRejected } from "./run-command.ts"

/** What the bus of a single process has parked nobody outside of it can see. */
export const withParked = <A, E, R>(
  flags: CommandFlags,
  use: Effect.Effect<A, E, R | ParkedMessages>
): Effect.Effect<A, E | UsageRejected | CommandFailed, Exclude<R, ParkedMessages>> =>
  Effect.gen(function* () {
    const settings = yield* settingsOf(flags)
    const problems = new Problems()
    const bus = busOf(settings, problems)
    if (problems.found.length > 0) return yield* usage(...problems.found)
    if (bus === "embedded") {
      const advice = "They end with its process, and the ledger gives their work out again. Its log and gateway_messages_parked_total tell of them."
      return yield* failed("PORTCULLIS_BUS names no NATS: what the embedded bus has parked stands in the memory of its gateway", advice)
    }
    return yield* Effect.provide(use, natsParkedMessages(bus))
  })
