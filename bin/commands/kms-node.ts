/** `portcullis kms-node`: one committee member, configured by settings. */
import { Effect } from "effect"
import { kmsNodeFromSettings, runKmsNode } from "../kms-node.ts"
import { orReject } from "../reject.ts"
import { runUntilStopped } from "../run-until-stopped.ts"

export const kmsNode = async (flags: { readonly settings?: string; readonly fault?: string; readonly json?: true }): Promise<void> => {
  const node = orReject(kmsNodeFromSettings(process.env, flags.settings, flags.fault), flags)
  await runUntilStopped(() =>
    Effect.gen(function* () {
      const { host, port, nodeId, identity, epochs } = yield* runKmsNode(node)
      process.stdout.write(`${JSON.stringify({ level: "info", msg: "serving", node: nodeId, identity, epochs, host, port })}\n`)
      return yield* Effect.never
    })
  )
}
