/** A committee as the chain has it, in the words of the domain. */
import { Contract, type Result } from "ethers"
import { abi as verifierAbi } from "../adapters/ethereum/generated/IVerifier.ts"
import { keccakText } from "../domain/abi-words.ts"
import type { Committee } from "../domain/committee.ts"
import { fromHex, lower } from "../domain/hex.ts"
import { nobleEngine } from "../threshold/noble-engine.ts"
import { PointRejected } from "../threshold/point-rejected.ts"
import { readPublicKey, type PublicKey } from "../threshold/shared-key.ts"
import { CommitteeUnusable, ContractRefused } from "./client-errors.ts"
import { ask, type Deployment } from "./deployment.ts"

const SUITE = "portcullis/native/bls12-381/v1"
const SUITE_ID = keccakText(SUITE)

/** Rejects with `CommitteeUnusable` or `ChainUnreachable`. */
export const readCommittee = async (deployment: Deployment, epoch: number): Promise<Committee> => {
  const unusable = (reason: string) => new CommitteeUnusable({ epoch, reason })
  const [record, isRetired] = await ask(deployment.committees, "committee", epoch).catch((error: unknown) => {
    throw error instanceof ContractRefused ? unusable("the registry does not know it") : error
  })
  if (lower(String(record.suite)) !== SUITE_ID) throw unusable(`it does not speak ${SUITE}`)
  const [scheme] = await ask(new Contract(String(record.verifier), verifierAbi, deployment.provider), "scheme")
  if (scheme !== "bls" && scheme !== "quorum") throw unusable("its verifier speaks an unknown scheme")
  return {
    epoch,
    suiteId: SUITE_ID,
    threshold: Number(record.threshold),
    nodes: [...(record.nodes as Iterable<Result>)].map((node, index) => ({
      id: index + 1,
      identity: lower(String(node.identity)),
      endpoint: String(node.endpoint),
      decryptionKey: lower(String(node.decryptionVerificationKey)),
      attestationKey: lower(String(node.attestationVerificationKey))
    })),
    decryptionKey: lower(String(record.decryptionKey)),
    attestationKey: lower(String(record.attestationKeyCompressed)),
    scheme,
    isRetired: Boolean(isRetired)
  }
}

/** pk, every check made: what values are encrypted under. Throws `CommitteeUnusable`. */
export const decryptionKeyOf = (committee: Committee): PublicKey => {
  try {
    return readPublicKey(nobleEngine, fromHex(committee.decryptionKey))
  } catch (error) {
    if (error instanceof PointRejected)
      throw new CommitteeUnusable({ epoch: committee.epoch, reason: "its decryption key is no point of G2" })
    throw error
  }
}
