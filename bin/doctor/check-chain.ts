/** The chain as this machine sees it: the right one, alive, able to say what is final, with our contracts wired to each other. */
import { Effect } from "effect"
import { formatEther, Interface } from "ethers"
import type { Contracts } from "../../src/adapters/ethereum/addresses.ts"
import { abi as gatewayAbi } from "../../src/adapters/ethereum/generated/DecryptionGateway.ts"
import type { Rpc } from "../../src/adapters/ethereum/rpc.ts"
import { lower, type Hex } from "../../src/domain/hex.ts"
import { Problems, readLanes } from "../gateway-from-settings.ts"
import type { Settings } from "../settings.ts"
import { checked, fail, ok, warn, type Finding } from "./finding.ts"

/** Five slots of Ethereum; then the age of a missed finality. */
const HEAD_AGE_SECONDS = { warn: 60, fail: 900 }
/** A block from the future says that our clock is behind. */
const HEAD_AHEAD_SECONDS_MAX = 15
/** About fifty results at 20 gwei. */
const LANE_WEI_MIN = 200_000n * 20_000_000_000n * 50n

const OUT_OF_REACH = "See that PORTCULLIS_RPC_URL answers from this machine."

/** Why nothing can be asked of this endpoint; empty when it speaks for the right chain. */
export const refuseChain = (rpc: Rpc, contracts: Contracts) =>
  checked(
    "chain",
    OUT_OF_REACH,
    Effect.map(rpc.send("eth_chainId", []), (answer) => {
      const chainId = BigInt(String(answer))
      const said = `the endpoint speaks for chain ${chainId}, the deployment file is about chain ${contracts.chainId}`
      return chainId === contracts.chainId ? [] : [fail("chain", said, "Use the endpoint and the deployment file of one chain.")]
    })
  )

export const checkChain = (rpc: Rpc) =>
  checked(
    "chain",
    OUT_OF_REACH,
    Effect.gen(function* () {
      const latest = yield* rpc.block("latest")
      if (latest === undefined) return [fail("chain", "the endpoint has no block", "Let it synchronise, or use another.")]
      return [headFinding(rpc.chainId, latest.number, Date.now() / 1_000 - latest.timestamp), yield* finalizedFinding(rpc, latest.number)]
    })
  )

const headFinding = (chainId: bigint, number: number, ageSeconds: number): Finding => {
  const said = `chain ${chainId}, block ${number}, ${Math.round(Math.abs(ageSeconds))} s ${ageSeconds < 0 ? "ahead of our clock" : "old"}`
  if (ageSeconds < -HEAD_AHEAD_SECONDS_MAX) return warn("chain", said, "This machine's clock is behind, or the chain's is not real: run NTP.")
  if (ageSeconds >= HEAD_AGE_SECONDS.fail) return fail("chain", said, "The endpoint lags or the chain stands still: compare with another endpoint.")
  return ageSeconds >= HEAD_AGE_SECONDS.warn ? warn("chain", said, "Look again in a minute; if it grows, use another endpoint.") : ok("chain", said)
}

const finalizedFinding = (rpc: Rpc, latest: number): Effect.Effect<Finding> =>
  rpc.block("finalized").pipe(
    Effect.map((block) =>
      block === undefined
        ? warn("chain", "it has no finalized block yet", "Wait for it, or set PORTCULLIS_ACL_FINALITY and PORTCULLIS_RESULT_FINALITY to confirmations:<n>.")
        : ok("chain", `finalized block ${block.number}, ${latest - block.number} behind the head`)
    ),
    Effect.catch(() =>
      Effect.succeed(fail("chain", "the endpoint does not know the tag `finalized`", "Use an endpoint that does, or confirmations:<n> as the finality."))
    )
  )

const gatewayInterface = new Interface(gatewayAbi)

const WIRING = [
  ["accessList", "accessList"],
  ["ciphertexts", "ciphertextRegistry"],
  ["committees", "committeeRegistry"]
] as const

export const checkContracts = (rpc: Rpc, contracts: Contracts) =>
  checked(
    "contracts",
    "The deployment file must be that of this chain.",
    Effect.gen(function* () {
      const names = ["decryptionGateway", "accessList", "ciphertextRegistry", "committeeRegistry"] as const
      const codes = yield* Effect.forEach(names, (name) => rpc.send("eth_getCode", [contracts[name], "latest"]), { concurrency: "unbounded" })
      const missing = names.filter((_, index) => codes[index] === "0x")
      if (missing.length > 0) {
        return missing.map((name) => fail("contracts", `no code at ${contracts[name]} (${name})`, "The deployment file must be that of this chain."))
      }
      const wired = yield* Effect.forEach(WIRING, ([view]) => addressIn(rpc, contracts.decryptionGateway, view), { concurrency: "unbounded" })
      const wrong = WIRING.filter(([, name], index) => wired[index] !== contracts[name])
      return wrong.length === 0
        ? [ok("contracts", `gateway ${contracts.decryptionGateway} with its access list and registries`)]
        : wrong.map(([, name]) => fail("contracts", `the gateway uses another ${name} than the deployment file`, "Take all addresses from one deployment."))
    })
  )

const addressIn = (rpc: Rpc, at: Hex, view: string) =>
  Effect.map(rpc.call(at, gatewayInterface.encodeFunctionData(view), "latest"), (answer) =>
    lower(String(gatewayInterface.decodeFunctionResult(view, answer)[0]))
  )

/** The accounts that pay for results. */
export const checkLanes = (rpc: Rpc, settings: Settings): Effect.Effect<ReadonlyArray<Finding>> => {
  if (settings.PORTCULLIS_LANE_KEYS_FILE === undefined) return Effect.succeed([])
  const problems = new Problems()
  const lanes = readLanes(problems, settings.PORTCULLIS_LANE_KEYS_FILE)
  if (problems.found.length > 0) return Effect.succeed(problems.found.map((problem) => fail("lanes", problem, "Correct the file.")))
  const one = ({ address }: { readonly address: string }): Effect.Effect<ReadonlyArray<Finding>> =>
    checked(
      "lanes",
      OUT_OF_REACH,
      Effect.map(rpc.send("eth_getBalance", [address, "latest"]), (answer) => {
        const balance = BigInt(String(answer))
        const said = `${address} has ${formatEther(balance)}`
        if (balance === 0n) return [fail("lanes", said, "Fund this account: nothing can be submitted from it.")]
        return [balance < LANE_WEI_MIN ? warn("lanes", said, "Fund this account soon.") : ok("lanes", said)]
      })
    )
  return Effect.map(Effect.forEach(lanes, one, { concurrency: 8 }), (found) => found.flat())
}
