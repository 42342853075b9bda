/** `portcullis gateway`: a node of a cluster, configured by settings. */
import { Effect } from "effect"
import { gatewayFromSettings } from "../gateway-from-settings.ts"
import { gatewayLayer, startGateway } from "../gateway.ts"
import { orReject } from "../reject.ts"
import { runUntilStopped } from "../run-until-stopped.ts"

export const gateway = async (flags: { readonly roles?: string; readonly settings?: string; readonly json?: true }): Promise<void> => {
  const options = orReject(gatewayFromSettings(process.env, flags.settings, flags.roles), flags)
  await runUntilStopped((obeyDrain) =>
    Effect.gen(function* () {
      yield* startGateway({ ...options, obeyDrain })
      process.stdout.write(`${JSON.stringify({ level: "info", msg: "serving", worker: options.worker, roles: [...options.roles] })}\n`)
      return yield* Effect.never
    }).pipe(Effect.scoped, Effect.provide(gatewayLayer(options)))
  )
}
