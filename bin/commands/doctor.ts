/** `portcullis doctor`: looks at everything a gateway (or, where PORTCULLIS_KMS_DIR is set, a KMS node) stands on, through the same adapters, and
 * says for each part whether it is well and what to do. Changes nothing. Ends with 1 when anything fails. */
import { Effect } from "effect"
import { makeRpc } from "../../src/adapters/ethereum/rpc.ts"
import { checkChain, checkContracts, checkLanes, refuseChain } from "../doctor/check-chain.ts"
import { checkCommittee } from "../doctor/check-committee.ts"
import { checkGatewayKey, checkMachine, checkSecretFiles, checkVault } from "../doctor/check-machine.ts"
import { checkDatabase, checkNats, checkStores } from "../doctor/check-services.ts"
import { fail, findingLines, type Finding } from "../doctor/finding.ts"
import { GATEWAY_NEEDS, Problems, readContracts } from "../gateway-from-settings.ts"
import { runCommand, type Answer, type CommandFlags } from "../run-command.ts"
import { urlsIn } from "../rpc-endpoints.ts"
import { isRejected, readSettings, SETTINGS, type SettingName, type Settings } from "../settings.ts"

export const doctor = (flags: CommandFlags): Promise<void> => runCommand(flags, Effect.map(examine(flags), report))

const examine = (flags: CommandFlags): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.suspend(() => {
    const settings = readSettings(process.env, flags.settings, [])
    if (isRejected(settings)) {
      return Effect.succeed([...checkMachine(), ...settings.problems.map((problem) => fail("settings", problem, "Correct it; nothing else was looked at."))])
    }
    const checks = [
      Effect.succeed([...checkMachine(), ...missing(settings), ...checkSecretFiles(settings)]),
      checkGatewayKey(settings),
      checkVault(settings),
      checkDatabase(settings),
      settings.PORTCULLIS_KMS_DIR === undefined ? checkNats(settings) : Effect.succeed([]),
      checkEverythingOnChain(settings),
      checkStores(settings)
    ]
    return Effect.map(Effect.all(checks, { concurrency: "unbounded" }), (found) => found.flat())
  })

const checkEverythingOnChain = (settings: Settings): Effect.Effect<ReadonlyArray<Finding>> => {
  const [url, file] = [settings.PORTCULLIS_RPC_URL, settings.PORTCULLIS_DEPLOYMENT_FILE]
  if (url === undefined || file === undefined) return Effect.succeed([])
  const problems = new Problems()
  const contracts = readContracts(problems, file)
  if (problems.found.length > 0) return Effect.succeed(problems.found.map((problem) => fail("contracts", problem, "Correct the file.")))
  return Effect.scoped(
    Effect.gen(function* () {
      const endpoints = yield* Effect.forEach(urlsIn(url), (one) => makeRpc(one, contracts.chainId))
      // Without the right chain, every other answer would be about something else.
      const refused = yield* Effect.forEach(endpoints, (one) => refuseChain(one, contracts), { concurrency: "unbounded" })
      const rpc = endpoints.find((_, index) => refused[index]!.length === 0)
      if (rpc === undefined) return refused.flatMap(numbered)
      const heads = yield* Effect.forEach(
        endpoints.keys(),
        (index) => (refused[index]!.length > 0 ? Effect.succeed(refused[index]!) : checkChain(endpoints[index]!)),
        { concurrency: "unbounded" }
      )
      const chain = heads.flatMap(numbered)
      const deployed = yield* checkContracts(rpc, contracts)
      const wellDeployed = deployed.every(({ status }) => status === "ok")
      const committee = wellDeployed && settings.PORTCULLIS_KMS_DIR === undefined ? yield* checkCommittee(rpc, contracts, settings) : []
      return [...chain, ...deployed, ...committee, ...(yield* checkLanes(rpc, settings))]
    })
  )
}

/** Which of several endpoints a finding is about: by position, for its URL may hold a key. */
const numbered = (found: ReadonlyArray<Finding>, index: number, all: ReadonlyArray<unknown>): ReadonlyArray<Finding> =>
  all.length === 1 ? found : found.map((finding) => ({ ...finding, detail: `endpoint ${index + 1}: ${finding.detail}` }))

const KMS_NEEDS: ReadonlyArray<SettingName> = ["PORTCULLIS_KMS_KEY_FILE", "PORTCULLIS_KMS_ANSWER_LOG", "PORTCULLIS_RPC_URL", "PORTCULLIS_DEPLOYMENT_FILE"]

const missing = (settings: Settings): ReadonlyArray<Finding> =>
  (settings.PORTCULLIS_KMS_DIR === undefined ? GATEWAY_NEEDS : KMS_NEEDS)
    .filter((name) => settings[name] === undefined)
    .map((name) => fail("settings", `${name} is missing`, SETTINGS[name].help))

const report = (findings: ReadonlyArray<Finding>): Answer => {
  const count = (status: Finding["status"]) => findings.filter((finding) => finding.status === status).length
  const failures = count("FAIL")
  return {
    json: { ok: failures === 0, findings },
    lines: [...findings.flatMap(findingLines), `${count("ok")} ok, ${count("warn")} to look at, ${failures} failed`],
    exitCode: failures === 0 ? 0 : 1
  }
}
