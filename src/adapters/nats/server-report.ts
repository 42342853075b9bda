/** What a doctor wants to know of NATS: that it answers and lets us in, which server it is, and whether JetStream is there. Makes no streams. */
import { Effect } from "effect"
import { attempt } from "./attempt.ts"
import { openLink } from "./connection.ts"
import type { NatsSettings } from "./nats-settings.ts"

export interface NatsReport {
  readonly version: string
  readonly isJetStreamEnabled: boolean
  readonly streams: number
}

/** Fails with `BusUnavailable` when nobody answers within the time that a gateway would wait. */
export const natsReport = (settings: NatsSettings) =>
  Effect.gen(function* () {
    const link = yield* openLink(settings, () => Effect.void)
    const { connection, manager } = yield* link.session
    const version = connection.info?.version ?? "unknown"
    if (connection.info?.jetstream !== true) return { version, isJetStreamEnabled: false, streams: 0 } satisfies NatsReport
    const account = yield* attempt("ask JetStream about this account", () => manager.getAccountInfo())
    return { version, isJetStreamEnabled: true, streams: account.streams } satisfies NatsReport
  }).pipe(Effect.scoped)
