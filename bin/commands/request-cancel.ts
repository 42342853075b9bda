/** `portcullis request cancel`: tells a request, through the ledger, that an operator does not want it answered. Who and why is kept for ever. */
import { userInfo } from "node:os"
import { Effect } from "effect"
import { isEnd } from "../../src/domain/journey.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { requestIdFrom, withLedger } from "../ledger-access.ts"
import { failed, runCommand, type Answer, type CommandFlags } from "../run-command.ts"

export interface CancelFlags extends CommandFlags {
  readonly why: string
}

export const requestCancel = (id: string, flags: CancelFlags): Promise<void> =>
  runCommand(flags, Effect.flatMap(requestIdFrom(id), (requestId) => withLedger(flags, cancelAnswer(requestId, flags.why))))

const cancelAnswer = Effect.fnUntraced(function* (id: RequestId, why: string) {
  const ledger = yield* RequestLedger
  const [stored] = yield* ledger.load([id])
  if (stored === undefined) return yield* failed("the ledger has no such request", "Not detected yet, raised on another chain, or another database: portcullis doctor")
  const { state } = stored
  if (isEnd(state)) return yield* failed(`the request has ended: ${state}`, `portcullis request show ${id}`)
  // The machine ignores the signal from here on: the result is attested and may be on its way to the chain already.
  if (state === "threshold-verified" || state === "submitted") {
    return yield* failed(`the request is ${state}: it can no longer be cancelled`, `portcullis request watch ${id}`)
  }
  const by = userInfo().username
  yield* ledger.signal(id, { type: "cancelled", by, why })
  return {
    json: { requestId: id, signalled: "cancelled", by, why, stateBefore: state },
    lines: [`cancelling ${id}`, `by         ${by}: ${why}`, `next       portcullis request watch ${id} (the coordinator decides within a second or two)`]
  } satisfies Answer
})
