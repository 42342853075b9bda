/** `portcullis verify`: holds a live cluster to the checks C1..C7, chain against ledger against the KMS nodes' own logs, once or again and
 * again. Changes nothing. Ends with 1 on any violation. */
import { Effect, Layer, type Scope } from "effect"
import { auditLedgerLayer } from "../../src/adapters/postgres/audit-ledger.layer.ts"
import { detectionLedgerLayer } from "../../src/adapters/postgres/detection-ledger.layer.ts"
import type { NodeId } from "../../src/domain/committee.ts"
import { rpcAt, settingsOf } from "../client-access.ts"
import { finalityPolicy, Problems, readContracts } from "../gateway-from-settings.ts"
import { databaseUrl, ledgerAt } from "../ledger-access.ts"
import { preferredUrl } from "../rpc-endpoints.ts"
import { type Answer, type CommandFlags, printLine, runCommand, usage } from "../run-command.ts"
import { check, type Checked, type CheckName, CHECKS } from "../verify/check.ts"
import { readRecords } from "../verify/read-records.ts"

export interface VerifyFlags extends CommandFlags {
  readonly blocks: number
  readonly newest: number
  readonly kmsLog: ReadonlyArray<{ readonly node: NodeId; readonly path: string }>
  /** Seconds from one look to the next; undefined: look once. */
  readonly every?: number
}

export const verify = (flags: VerifyFlags): Promise<void> => runCommand(flags, answer(flags))

const answer = Effect.fnUntraced(function* (flags: VerifyFlags): Effect.fn.Return<Answer, unknown, Scope.Scope> {
  const settings = yield* settingsOf(flags, ["PORTCULLIS_DATABASE_URL_FILE", "PORTCULLIS_RPC_URL", "PORTCULLIS_DEPLOYMENT_FILE"])
  const problems = new Problems()
  const contracts = readContracts(problems, settings.PORTCULLIS_DEPLOYMENT_FILE ?? "")
  if (problems.found.length > 0) return yield* usage(...problems.found)
  const rpc = yield* rpcAt(preferredUrl(settings) ?? "")
  if (contracts.chainId !== rpc.chainId) {
    return yield* usage(`the endpoint speaks for chain ${rpc.chainId}, the deployment file is about chain ${contracts.chainId}`)
  }
  const look = readRecords({
    rpc,
    contracts,
    finality: finalityPolicy(settings.PORTCULLIS_RESULT_FINALITY ?? "finalized"),
    blocks: flags.blocks,
    newest: flags.newest,
    nodeLogs: flags.kmsLog
  }).pipe(Effect.map(check))
  const ledger = Layer.provideMerge(Layer.mergeAll(auditLedgerLayer, detectionLedgerLayer), ledgerAt(yield* databaseUrl(settings)))
  const looks = flags.every === undefined ? look : lookAgain(look, flags.every, flags.json === true)
  return yield* Effect.map(looks, report).pipe(Effect.provide(ledger))
})

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
  const checks = Object.fromEntries(NAMES.map((name) => [name, { result: word(name), ...verdicts[name] }]))
  return {
    json: { ok: violations.length === 0, checks },
    lines: [
      ...NAMES.map((name) => {
        const { looked, unchecked } = verdicts[name]
        return `${name}  ${word(name).padEnd(18)}  ${CHECKS[name].says} (${looked} looked at${unchecked === undefined ? "" : `; ${unchecked}`})`
      }),
      ...violations.map(({ check: name, subject, what }) => `    ${name}  ${subject}  ${what}`),
      violations.length === 0 ? `no violation; ${verdicts.C3.looked} requests looked at` : `${violations.length} violations: see docs/runbooks/violation.md`
    ],
    exitCode: violations.length === 0 ? 0 : 1
  }
}
