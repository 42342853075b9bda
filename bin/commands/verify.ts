/** `portcullis verify`: holds a live cluster to the checks C1..C7, chain against ledger against the KMS nodes' own logs, once or again and
 * again. Changes nothing. Ends with 1 on any violation. */
import { Effect, Layer, type Scope } from "effect"
import { auditLedgerLayer } from "../../src/adapters/postgres/audit-ledger.layer.ts"
import { detectionLedgerLayer } from "../../src/adapters/postgres/detection-ledger.layer.ts"
import { readCommittee } from "../../src/adapters/ethereum/committees.layer.ts"
import type { NodeId } from "../../src/domain/committee.ts"
import type { RequestId } from "../../src/domain/request.ts"
import { rpcAt, settingsOf } from "../client-access.ts"
import { finalityPolicy, Problems, readContracts } from "../gateway-from-settings.ts"
import { databaseUrl, ledgerAt } from "../ledger-access.ts"
import { preferredUrl } from "../rpc-endpoints.ts"
import { type Answer, type CommandFlags, failed, printLine, runCommand, sentenceOf, usage } from "../run-command.ts"
import { check, type Checked, type CheckName, CHECKS } from "../verify/check.ts"
import { readRecords } from "../verify/read-records.ts"
import type { Records } from "../verify/records.ts"
import { type Walked, walkLedger } from "../verify/walk-ledger.ts"

export interface VerifyFlags extends CommandFlags {
  readonly blocks: number
  readonly newest: number
  readonly kmsLog: ReadonlyArray<{ readonly node: NodeId; readonly path: string }>
  /** Seconds from one look to the next; undefined: look once. */
  readonly every?: number
  /** Then the whole ledger, or what comes after one request of it, so many at once. */
  readonly all?: true
  readonly after?: RequestId
  readonly page: number
}

export const verify = (flags: VerifyFlags): Promise<void> => runCommand(flags, answer(flags))

const answer = Effect.fnUntraced(function* (flags: VerifyFlags): Effect.fn.Return<Answer, unknown, Scope.Scope> {
  if (flags.after !== undefined && flags.all !== true) return yield* usage("--after goes with --all: it says after which request the walk goes on")
  if (flags.every !== undefined && flags.all === true) return yield* usage("--all walks once: leave out --every, or --all")
  const settings = yield* settingsOf(flags, ["PORTCULLIS_DATABASE_URL_FILE", "PORTCULLIS_RPC_URL", "PORTCULLIS_DEPLOYMENT_FILE"])
  const problems = new Problems()
  const contracts = readContracts(problems, settings.PORTCULLIS_DEPLOYMENT_FILE ?? "")
  if (problems.found.length > 0) return yield* usage(...problems.found)
  const rpc = yield* rpcAt(preferredUrl(settings) ?? "")
  if (contracts.chainId !== rpc.chainId) {
    return yield* usage(`the endpoint speaks for chain ${rpc.chainId}, the deployment file is about chain ${contracts.chainId}`)
  }
  const read = readRecords({
    rpc,
    contracts,
    finality: finalityPolicy(settings.PORTCULLIS_RESULT_FINALITY ?? "finalized"),
    blocks: flags.blocks,
    newest: flags.newest,
    nodeLogs: flags.kmsLog
  })
  const look = Effect.map(read, check)
  const ledger = Layer.provideMerge(Layer.mergeAll(auditLedgerLayer, detectionLedgerLayer), ledgerAt(yield* databaseUrl(settings)))
  if (flags.all === true) {
    const thresholdOf = (epoch: number) => Effect.map(readCommittee(rpc, contracts, epoch), ({ threshold }) => threshold)
    return yield* read.pipe(Effect.flatMap((records) => walkAll(flags, records, thresholdOf)), Effect.map(reportAll), Effect.provide(ledger))
  }
  const looks = flags.every === undefined ? look : lookAgain(look, flags.every, flags.json === true)
  return yield* Effect.map(looks, report).pipe(Effect.provide(ledger))
})

/** What is found is said at once: an hour of looking is not lost with a connection. */
const walkAll = Effect.fnUntraced(function* <E>(flags: VerifyFlags, before: Records, thresholdOf: (epoch: number) => Effect.Effect<number, E>) {
  const say = (json: unknown, line: string): void => void process.stderr.write(`${flags.json === true ? JSON.stringify(json) : line}\n`)
  const looked = check(before)
  let last = flags.after ?? null
  const walk = walkLedger(looked, {
    ...{ after: last, pageRequests: flags.page, before, thresholdOf },
    onFound: (found) => say({ found }, `    ${found.check}  ${found.subject}  ${found.what}`),
    onProgress: (progress) => {
      last = progress.last
      const soFar = `${progress.percent} %: ${progress.requests} requests, ${progress.violations} violations`
      say({ progress }, progress.percent === 100 ? soFar : `${soFar}; to go on from here: --after ${last}`)
    }
  })
  return yield* walk.pipe(
    Effect.mapError((error) => failed(sentenceOf(error), last === null ? "begin again" : `to go on from where it was: --after ${last}`))
  )
})

const reportAll = (walked: Walked): Answer => {
  const { json, lines, exitCode = 0 } = report(walked)
  return { json: { ...(json as object), walked: walked.progress }, lines, exitCode }
}

/** Until the first violation: whoever watches must not miss it. */
const lookAgain = <E, R>(look: Effect.Effect<Checked, E, R>, seconds: number, isJson: boolean) =>
  Effect.gen(function* () {
    for (;;) {
      const checked = yield* look
      if (checked.violations.length > 0) return checked
      const { json, lines } = report(checked)
      printLine(isJson ? JSON.stringify(json) : `${new Date().toISOString()}  ${lines.at(-1)}`)
      yield* Effect.sleep(`${seconds} seconds`)
    }
  })

const NAMES = Object.keys(CHECKS) as ReadonlyArray<CheckName>

export const report = ({ verdicts, violations }: Checked): Answer => {
  const word = (name: CheckName): string => {
    const { looked, violations: found, unchecked } = verdicts[name]
    if (found.length > 0) return "VIOLATED"
    return looked > 0 ? "holds" : unchecked === undefined ? "nothing to look at" : "not checked"
  }
  const more = NAMES.reduce((sum, name) => sum + (verdicts[name].more ?? 0), 0)
  const count = violations.length + more
  const checks = Object.fromEntries(NAMES.map((name) => [name, { result: word(name), ...verdicts[name] }]))
  return {
    json: { ok: violations.length === 0, checks },
    lines: [
      ...NAMES.map((name) => {
        const { looked, unchecked } = verdicts[name]
        return `${name}  ${word(name).padEnd(18)}  ${CHECKS[name].says} (${looked} looked at${unchecked === undefined ? "" : `; ${unchecked}`})`
      }),
      ...violations.map(({ check: name, subject, what }) => `    ${name}  ${subject}  ${what}`),
      ...(more === 0 ? [] : [`    and ${more} more`]),
      count === 0 ? `no violation; ${verdicts.C3.looked} requests looked at` : `${count} violations: see docs/runbooks/violation.md`
    ],
    exitCode: violations.length === 0 ? 0 : 1
  }
}
