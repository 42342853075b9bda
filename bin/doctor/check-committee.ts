/** The committee that clients encrypt for now, and each of its nodes, asked the way a gateway asks them. */
import { Effect } from "effect"
import { Interface } from "ethers"
import type { Contracts } from "../../src/adapters/ethereum/addresses.ts"
import { committeesLayer } from "../../src/adapters/ethereum/committees.layer.ts"
import { abi as registryAbi } from "../../src/adapters/ethereum/generated/CommitteeRegistry.ts"
import { abi as verifierAbi } from "../../src/adapters/ethereum/generated/BlsVerifier.ts"
import type { Rpc } from "../../src/adapters/ethereum/rpc.ts"
import { shareNodesLayer } from "../../src/adapters/kms-node/share-nodes.layer.ts"
import type { Committee, CommitteeNode } from "../../src/domain/committee.ts"
import { lower, type Hex } from "../../src/domain/hex.ts"
import { Committees } from "../../src/journey/4-shares-collected/committee.port.ts"
import { ShareNodes } from "../../src/journey/4-shares-collected/share-node.port.ts"
import { kmsSecurity, Problems } from "../gateway-from-settings.ts"
import { sentenceOf } from "../run-command.ts"
import type { Settings } from "../settings.ts"
import { VERSION } from "../version.ts"
import { checked, fail, ok, skewFinding, warn, type Finding } from "./finding.ts"

/** A node refuses by its own view of the chain and not by its clock, so only gross errors matter. */
const NODE_SKEW = { warnMs: 2_000, failMs: 60_000 }

/** EIP-2537, BLS12_G1ADD. Two points at infinity add up to one; a chain without the precompile answers with nothing. */
const G1_ADD: Hex = "0x000000000000000000000000000000000000000b"
const TWO_INFINITIES = `0x${"00".repeat(256)}`
const INFINITY = `0x${"00".repeat(128)}`

const registryInterface = new Interface(registryAbi)
const verifierInterface = new Interface(verifierAbi)

export const checkCommittee = (rpc: Rpc, contracts: Contracts, settings: Settings): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const found = yield* Effect.result(Committees.use(({ current }) => current).pipe(Effect.provide(committeesLayer(rpc, contracts))))
    if (found._tag === "Failure") {
      return [fail("committee", sentenceOf(found.failure), "Register a committee that speaks this suite, or correct the deployment file.")]
    }
    const committee = found.success
    const [record, nodes] = yield* Effect.all([checkRecord(rpc, contracts, committee), checkNodes(committee, settings)], { concurrency: 2 })
    return [...record, ...nodes]
  })

const checkRecord = (rpc: Rpc, contracts: Contracts, committee: Committee) =>
  checked(
    "committee",
    "See that PORTCULLIS_RPC_URL answers from this machine.",
    Effect.gen(function* () {
      const { epoch, threshold, nodes, scheme } = committee
      const said = `epoch ${epoch}, ${threshold} of ${nodes.length}, ${scheme}`
      const own = committee.isRetired
        ? fail("committee", `${said}, retired`, "Register the next epoch: nobody can ask anything of this one.")
        : ok("committee", said)
      const registry = contracts.committeeRegistry
      const verifierOf = registryInterface.encodeFunctionData("verifierOf", [epoch])
      const verifier = addressIn(registryInterface, "verifierOf", yield* rpc.call(registry, verifierOf, "latest"))
      const trusted = addressIn(verifierInterface, "committees", yield* rpc.call(verifier, verifierInterface.encodeFunctionData("committees"), "latest"))
      const wiring =
        trusted === registry
          ? ok("committee", `verifier ${verifier} reads this registry`)
          : fail("committee", `verifier ${verifier} reads another registry`, "Register the committee with the verifier of this deployment.")
      return scheme === "bls" ? [own, wiring, yield* precompileFinding(rpc)] : [own, wiring]
    })
  )

const addressIn = (contract: Interface, view: string, answer: string): Hex => lower(String(contract.decodeFunctionResult(view, answer)[0]))

const precompileFinding = (rpc: Rpc) =>
  Effect.map(rpc.call(G1_ADD, TWO_INFINITIES, "latest"), (answer) =>
    answer === INFINITY
      ? ok("committee", "the chain has the EIP-2537 precompiles")
      : fail("committee", "the chain has no EIP-2537 precompiles: BLS attestations cannot be verified", "Register a committee of the quorum scheme on this chain.")
  )

const checkNodes = (committee: Committee, settings: Settings): Effect.Effect<ReadonlyArray<Finding>> => {
  const problems = new Problems()
  const security = kmsSecurity(problems, settings)
  if (problems.found.length > 0) return Effect.succeed(problems.found.map((problem) => fail("kms", problem, "Correct the setting.")))
  return Effect.gen(function* () {
    const answers = yield* Effect.forEach(committee.nodes, (node) => checkNode(node, committee), { concurrency: "unbounded" })
    const well = answers.filter(({ status }) => status !== "FAIL").length
    return well >= committee.threshold
      ? answers
      : [...answers, fail("kms", `${well} of ${committee.nodes.length} nodes can be used, ${committee.threshold} are needed`, "Nothing can be decrypted until more nodes answer.")]
  }).pipe(Effect.provide(shareNodesLayer({ security })))
}

const checkNode = Effect.fnUntraced(function* (node: CommitteeNode, { epoch }: Committee) {
  const part = `kms ${node.id}`
  const nodes = yield* ShareNodes
  const askedMs = Date.now()
  const answer = yield* Effect.result(nodes.describe(node))
  const answeredMs = Date.now()
  if (answer._tag === "Failure") {
    const advice =
      answer.failure._tag === "AnswerInvalid"
        ? "Another node or program serves there: correct the endpoint, or ask the node's operator."
        : "See that the node runs, that this machine reaches it, and that both trust one authority (PORTCULLIS_KMS_TLS_DIR)."
    return fail(part, `${node.endpoint}: ${answer.failure.reason}`, advice)
  }
  const { epochs, version, clockMs } = answer.success
  const said = `${node.endpoint}, ${version}, epochs ${epochs.join(", ") || "none"}`
  if (!epochs.includes(epoch)) return fail(part, said, `It has no share of epoch ${epoch}: its operator must install it.`)
  const skewMs = clockMs < askedMs ? clockMs - askedMs : clockMs > answeredMs ? clockMs - answeredMs : 0
  const finding = skewFinding(part, said, skewMs, NODE_SKEW)
  return finding.status === "ok" && version !== VERSION
    ? warn(part, `${finding.detail}; we are ${VERSION}`, "Bring node and gateway to the same version.")
    : finding
})
