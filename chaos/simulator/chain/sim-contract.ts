/** What the contracts do, without an EVM: the rules of DecryptionGateway.sol on plain objects. Whoever changes the contract changes this. */
import { fromHex, toHex, type Hex } from "../../../src/domain/hex.ts"
import type { Denial } from "../../../src/journey/2-acl-checked/access-list.port.ts"
import type { DecryptionRequest, RequestId } from "../../../src/domain/request.ts"
import { attestationDigest, responseLeaf, resultHashOf } from "../../../src/domain/response.ts"
import { merkleRoot, verifyMerkleProof } from "../../../src/threshold/merkle.ts"
import type { ChainState, Fulfilment, RequestOnChain } from "./sim-block.ts"

export interface ContractRules {
  readonly chainId: bigint
  readonly gateway: Hex
  readonly isAttestationRight: (digest: Hex, attestation: Hex) => boolean
}

/** What a transfer costs, a batch without its results, and each result: about what contracts/ needs (docs/benchmarks.md). */
const GAS = { transfer: 21_000n, batch: 120_000n, result: 30_000n } as const

export const gasOf = (call: Fulfilment | undefined): bigint =>
  call === undefined ? GAS.transfer : GAS.batch + GAS.result * BigInt(call.responses.length)

/** Why a fulfilment would revert; undefined when it would not. */
export const revertOf = (rules: ContractRules, state: ChainState, timestamp: number, call: Fulfilment): string | undefined => {
  if (call.proof === undefined && (call.responses.length === 0 || call.responses.length !== call.count)) return "ResponseCountMismatch"
  if (timestamp > call.expiry) return "AttestationExpired"
  if (!isRooted(call)) return "RootMismatch"
  if (fulfillable(state, timestamp, call).length === 0) return undefined
  return rules.isAttestationRight(attestationDigest(rules, call), call.attestation) ? undefined : "InvalidAttestation"
}

const isRooted = ({ root, responses, proof }: Fulfilment): boolean => {
  const leaves = responses.map(({ requestId, result }) => fromHex(responseLeaf(requestId, resultHashOf(fromHex(result)))))
  const [only] = leaves
  if (proof === undefined) return toHex(merkleRoot(leaves)) === root
  return only !== undefined && leaves.length === 1 && verifyMerkleProof(fromHex(root), only, proof.map(fromHex))
}

/** The entries that take effect; all others are skipped. */
export const fulfillable = (state: ChainState, timestamp: number, call: Fulfilment): ReadonlyArray<Fulfilment["responses"][number]> => {
  const done = new Set<RequestId>()
  return call.responses.filter(({ requestId }) => {
    const request = state.requests.get(requestId)
    const isOpen = request !== undefined && request.fulfilled === undefined && !done.has(requestId)
    done.add(requestId)
    return isOpen && request.facts.epoch === call.epoch && timestamp <= request.facts.deadline
  })
}

export const statusOf = (request: RequestOnChain | undefined): "unknown" | "requested" | "fulfilled" =>
  request === undefined ? "unknown" : request.fulfilled === undefined ? "requested" : "fulfilled"

/** What stands in a state besides `public <handle>` and `<account> <handle>`. */
export const delegated = (account: Hex, to: Hex): string => `${account} lets ${to} act`
export const retired = (epoch: number): string => `epoch ${epoch} is retired`

/** What the access list has against a request, at a state; in the order of DecryptionRequests.sol. */
export const denialOf = ({ permissions }: ChainState, request: DecryptionRequest): Denial | undefined => {
  const { kind, requester, account } = request
  if (permissions.has(retired(request.epoch))) return "epoch-retired"
  if (kind === "user" && account !== requester && !permissions.has(delegated(account, requester))) return "not-delegated"
  const isAllowed = (handle: Hex): boolean =>
    request.kind === "public" ? permissions.has(`public ${handle}`) : permissions.has(`${request.account} ${handle}`)
  if (request.handles.every(isAllowed)) return undefined
  return request.kind === "public" ? "not-public" : "not-allowed"
}
