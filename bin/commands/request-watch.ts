/** `portcullis request watch`: a request's facts as they are established, from the ledger; without a database, what the chain says. Ends with
 * the request: 0 when it was finalized (or fulfilled, as far as the chain knows), 1 for every other end. */
import { Effect, type Scope } from "effect"
import { findRequest } from "../../src/client/request-facts.ts"
import { isEnd } from "../../src/domain/journey.ts"
import type { TransitionView } from "../../src/domain/outcome.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { openClient, settingsOf, type ChainFlags } from "../client-access.ts"
import { databaseUrl, ledgerAt, requestIdFrom, type ReadLedger } from "../ledger-access.ts"
import { attempt, failed, printLine, runCommand, usage, type Answer } from "../run-command.ts"
import { factLine } from "../terminal-view.ts"
import { becameAnswer } from "./request-raise.ts"

export interface WatchFlags extends ChainFlags {
  readonly timeout: number
}

const LOOK_EVERY_MS = 250

export const requestWatch = (id: string, flags: WatchFlags): Promise<void> => runCommand(flags, watchAnswer(id, flags))

const watchAnswer = Effect.fnUntraced(function* (text: string, flags: WatchFlags): Effect.fn.Return<Answer, unknown, Scope.Scope> {
  const id = yield* requestIdFrom(text)
  const settings = yield* settingsOf(flags)
  if (settings.PORTCULLIS_DATABASE_URL_FILE !== undefined) {
    return yield* watchLedger(id, flags).pipe(Effect.provide(ledgerAt(yield* databaseUrl(settings))))
  }
  if (flags.rpc === undefined && settings.PORTCULLIS_RPC_URL === undefined) {
    return yield* usage("what is to be watched? give PORTCULLIS_DATABASE_URL_FILE for the ledger, or --rpc and --gateway for the chain")
  }
  return yield* watchChain(id, flags)
})

const watchLedger = (id: RequestId, flags: WatchFlags): Effect.Effect<Answer, unknown, ReadLedger> =>
  Effect.gen(function* () {
    const ledger = yield* RequestLedger
    let known = 0
    let kind: "public" | "user" | undefined
    for (;;) {
      const history = yield* ledger.history(id)
      kind ??= history.length > 0 ? (yield* ledger.load([id]))[0]?.facts.kind : undefined
      for (const row of history.slice(known)) {
        printLine(flags.json === true ? JSON.stringify({ requestId: id, ...row }) : rowLine(id, kind ?? "public", row, history))
      }
      known = history.length
      const last = history.at(-1)
      if (last !== undefined && isEnd(last.to)) return { lines: [], json: undefined, exitCode: last.to === "finalized" ? 0 : 1 } satisfies Answer
      yield* Effect.sleep(LOOK_EVERY_MS)
    }
  }).pipe(
    Effect.timeoutOrElse({
      duration: flags.timeout * 1_000,
      orElse: () => Effect.fail(failed(`the request has not ended within ${flags.timeout} s`, `portcullis request show ${id}`))
    })
  )

const rowLine = (id: RequestId, kind: "public" | "user", row: TransitionView, history: ReadonlyArray<TransitionView>): string => {
  const sinceDetectedMs = row.atMs - (history[0]?.atMs ?? row.atMs)
  const event = row.event.type === "detected" ? { type: row.event.type, blockNumber: row.event.anchor.blockNumber } : row.event
  return factLine({ requestId: id, kind, from: row.from, to: row.to, event, version: row.seq, sinceDetectedMs }, sinceDetectedMs)
}

const watchChain = Effect.fnUntraced(function* (id: RequestId, flags: WatchFlags) {
  const { client, deployment, startBlock } = yield* openClient(flags)
  if (flags.json !== true) printLine(`request    ${id}; no database is configured, so this is what the chain says`)
  const { facts } = yield* attempt(() => findRequest(deployment, id, startBlock))
  const became = yield* attempt(() => client.waitForResult(id, { timeoutMs: flags.timeout * 1_000, pollMs: LOOK_EVERY_MS, fromBlock: startBlock }))
  const { lines, json, exitCode = 0 } = becameAnswer(became, facts.kind, id)
  return { lines, json: { requestId: id, kind: facts.kind, ...(json as object) }, exitCode } satisfies Answer
})
