/** A cluster serves one chain (docs/adr/0026): its workers ask that chain and no other, whatever request they are given. A node of another chain would
 * tell lies here in good faith, and so it does not start. */
import { Duration, Effect, Schedule, Schema } from "effect"
import type { Fate } from "../../src/domain/fate.ts"
import { Cluster } from "../../src/ledger/cluster.port.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"

const ASK_AGAIN_MS = 500

export class ServesAnotherChain extends Schema.TaggedError<ServesAnotherChain>()("ServesAnotherChain", {
  served: Schema.String,
  wanted: Schema.String
}) {
  readonly fate: Fate = "halt"
  override get message(): string {
    return `this database belongs to a cluster of chain ${this.served}, and PORTCULLIS_DEPLOYMENT_FILE is of chain ${this.wanted}: give each chain a database and a NATS account of its own`
  }
}

/** Ends once it is known that this database is of this chain, or of none until now. */
export const serveChain = Effect.fnUntraced(function* (chainId: bigint) {
  const telemetry = yield* Telemetry
  const served = yield* Cluster.use((cluster) => cluster.serve(chainId)).pipe(
    Effect.tapError(({ _tag: error }) => Effect.sync(() => telemetry.warn("the cluster cannot be joined yet", { error }))),
    Effect.retry({ schedule: Schedule.spaced(Duration.millis(ASK_AGAIN_MS)) })
  )
  if (served !== chainId) return yield* new ServesAnotherChain({ served: String(served), wanted: String(chainId) })
})
