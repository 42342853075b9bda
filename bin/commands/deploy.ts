/** `portcullis deploy`: brings the contracts to a chain, registers a committee as its first epoch, and writes the deployment file that gateways,
 * nodes and clients read. What it sends is signed by one account, which pays and becomes the registry's owner. */
import { rm, writeFile } from "node:fs/promises"
import { Effect, Schema, type Scope } from "effect"
import { deployPortcullis, type NewCommittee } from "../../src/adapters/ethereum/deploy.ts"
import { rpcAt, settingsOf } from "../client-access.ts"
import { readJson, readWallet, writeNew } from "../key-file.ts"
import { preferredUrl } from "../rpc-endpoints.ts"
import { attempt, failed, runCommand, usage, type Answer, type CommandFlags } from "../run-command.ts"

export interface DeployFlags extends CommandFlags {
  readonly committee: string
  readonly keyFile?: string
  readonly out: string
  readonly rpc?: string
}

const Hexadecimal = Schema.TemplateLiteral(["0x", Schema.String])

/** As `portcullis keys deal` writes it; `origin` says who has seen the key. */
const CommitteeFile = Schema.Struct({
  origin: Schema.String,
  committee: Schema.Struct({
    suiteId: Hexadecimal,
    threshold: Schema.Int,
    decryptionKey: Hexadecimal,
    attestationKey: Hexadecimal,
    scheme: Schema.Literals(["bls", "quorum"]),
    nodes: Schema.NonEmptyArray(
      Schema.Struct({
        id: Schema.Int,
        identity: Hexadecimal,
        endpoint: Schema.String,
        decryptionKey: Hexadecimal,
        attestationKey: Hexadecimal
      })
    )
  })
})

export const deploy = (flags: DeployFlags): Promise<void> => runCommand(flags, answer(flags))

const answer = Effect.fnUntraced(function* (flags: DeployFlags): Effect.fn.Return<Answer, unknown, Scope.Scope> {
  const settings = yield* settingsOf(flags)
  const url = flags.rpc ?? preferredUrl(settings)
  const keyFile = flags.keyFile ?? settings.PORTCULLIS_ACCOUNT_KEY_FILE
  if (url === undefined) return yield* usage("which chain? give --rpc <url>, or PORTCULLIS_RPC_URL")
  if (keyFile === undefined) return yield* usage("a transaction needs an account: give --key-file, or PORTCULLIS_ACCOUNT_KEY_FILE")
  const read = Schema.decodeUnknownResult(CommitteeFile)(yield* attempt(() => readJson("--committee", flags.committee)))
  if (read._tag === "Failure") return yield* usage("--committee must name a committee record as `portcullis keys deal` writes it")
  const { origin, committee } = read.success
  if (settings.PORTCULLIS_PRODUCTION === "yes" && origin === "development-dealer") {
    return yield* failed("this committee was dealt for development: one process has seen its whole key", "Register a committee whose operators generated their shares.")
  }
  const wallet = yield* attempt(() => readWallet(flags.keyFile === undefined ? "PORTCULLIS_ACCOUNT_KEY_FILE" : "--key-file", keyFile))
  const rpc = yield* rpcAt(url)
  // Taken before anything is paid for: a deployment that could not be written down would have to be found again by hand.
  yield* attempt(() => writeNew("--out", flags.out, ""))
  const deployed = yield* attempt(() => deployPortcullis(wallet.connect(rpc.provider), committee as NewCommittee)).pipe(
    Effect.tapError(() => Effect.promise(() => rm(flags.out, { force: true })))
  )
  const { blsVerifier: _, quorumVerifier: __, ...addresses } = deployed.addresses
  const deployment = { chainId: rpc.chainId.toString(), startBlock: deployed.blockNumber, addresses }
  yield* attempt(() => writeFile(flags.out, `${JSON.stringify(deployment, undefined, 2)}\n`, { mode: 0o600 })).pipe(
    // It has been paid for: what could not be kept is at least said.
    Effect.mapError(() => failed("the contracts are deployed, and the file could not be written", `Write this to it: ${JSON.stringify(deployment)}`))
  )
  return {
    json: { ...deployment, epoch: deployed.epoch, owner: wallet.address, deploymentFile: flags.out },
    lines: [
      `chain      ${rpc.chainId}, block ${deployed.blockNumber}`,
      ...Object.entries(deployed.addresses).map(([name, address]) => `contract   ${address}  ${name}`),
      `committee  epoch ${deployed.epoch}: ${committee.threshold} of ${committee.nodes.length}, ${committee.scheme}`,
      `owner      ${wallet.address}: may register and retire committees`,
      `written    ${flags.out}`,
      `next       PORTCULLIS_DEPLOYMENT_FILE=${flags.out}`
    ]
  } satisfies Answer
})
