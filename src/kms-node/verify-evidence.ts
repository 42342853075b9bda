/**
 * The judge of evidence: offline, and against a committee record that the judge trusts, never the one in the file. What is proved
 * is that the holder of the node's identity key signed shares for this request that the node's verification key contradicts. An
 * honest node signs no such thing, so nothing that it ever signed can be turned into evidence against it.
 */
import type { Committee } from "../domain/committee.ts"
import { requestOfEvidence, type WrongShareEvidence } from "../domain/evidence.ts"
import { fromHex, type Hex } from "../domain/hex.ts"
import { type DecryptionRequest, requestIdOf, type RequestId } from "../domain/request.ts"
import { shareAnswerDigest } from "../domain/response.ts"
import { SHARE_BYTES } from "../domain/share.ts"
import type { Bls12381Engine, G1Point } from "../threshold/engine.ts"
import { hashIdentity, identityBytes } from "../threshold/identity.ts"
import { PointRejected } from "../threshold/point-rejected.ts"
import { verifyShare } from "../threshold/share.ts"
import { readCommitteeKeys, type SharedKey, SharedKeyRejected, verificationKeyOf } from "../threshold/shared-key.ts"
import { readTransportKey, verifyEncryptedShare } from "../threshold/transport.ts"
import { NATIVE_SUITE_ID } from "./epoch-keys.ts"
import { recoverIdentity } from "./identity-signature.ts"
import { formFault } from "./request-form.ts"

/** What the judge knows from a source of its own: the chain, or a record that it has kept. */
export interface EvidenceAnchor {
  readonly chainId: bigint
  readonly gateway: Hex
  readonly registry: Hex
  readonly committee: Committee
}

export type EvidenceVerdict =
  | {
      readonly type: "proved"
      readonly requestId: RequestId
      readonly nodeId: number
      readonly identity: Hex
      /** What the node signed: bytes of the wrong number, or for this handle (by position) something that is not its share. */
      readonly wrong: "wrong length" | { readonly handleIndex: number }
    }
  | { readonly type: "not-proved"; readonly reason: NotProved }

export type NotProved =
  /** Not a request that any node would answer. */
  | "request-malformed"
  /** About another chain, gateway, registry or epoch than the judge's, or under a record with other keys or identities. */
  | "anchor-differs"
  /** The judge's own record cannot be used. */
  | "anchor-unusable"
  | "node-unknown"
  /** The node's identity did not sign this. */
  | "signature-not-the-nodes"
  /** The request's transport key is no point, so there is nothing to compare with. */
  | "transport-key-invalid"
  /** The node told the truth. */
  | "shares-right"

const notProved = (reason: NotProved): EvidenceVerdict => ({ type: "not-proved", reason })

/** Only what decides about shares and signatures: an endpoint may move. */
const sameKeys = (left: WrongShareEvidence["committee"], right: Committee): boolean =>
  left.epoch === right.epoch &&
  left.suiteId === right.suiteId &&
  left.threshold === right.threshold &&
  left.decryptionKey === right.decryptionKey &&
  left.nodes.length === right.nodes.length &&
  left.nodes.every(({ id, identity, decryptionKey }) =>
    right.nodes.some((node) => node.id === id && node.identity === identity && node.decryptionKey === decryptionKey)
  )

const isAnchored = (evidence: WrongShareEvidence, anchor: EvidenceAnchor): boolean =>
  BigInt(evidence.chainId) === anchor.chainId &&
  evidence.gateway === anchor.gateway &&
  evidence.registry === anchor.registry &&
  evidence.request.epoch === anchor.committee.epoch &&
  sameKeys(evidence.committee, anchor.committee)

const readOr = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch (error) {
    if (error instanceof PointRejected || error instanceof SharedKeyRejected) return undefined
    throw error
  }
}

/** Position of the first handle whose share is wrong; undefined when all are right. */
const firstWrong = (
  engine: Bls12381Engine,
  of: { readonly key: SharedKey; readonly anchor: EvidenceAnchor; readonly request: DecryptionRequest; readonly nodeId: number },
  shares: ReadonlyArray<Uint8Array>,
  transportKey: G1Point | undefined
): number | undefined => {
  const verificationKey = verificationKeyOf(of.key, of.nodeId)
  const { chainId, registry } = of.anchor
  const index = of.request.handles.findIndex((handle, position) => {
    const identity = identityBytes({ chainId, registry: fromHex(registry), handle: fromHex(handle) })
    const hashed = hashIdentity(engine, of.key.publicKey.bytes, identity)
    const share = shares[position]!
    const isRight = readOr(() =>
      transportKey === undefined
        ? verifyShare(engine, verificationKey, hashed, share)
        : verifyEncryptedShare(engine, verificationKey, { hashed, transportKey }, share)
    )
    return isRight !== true // bytes that are no point are no share
  })
  return index < 0 ? undefined : index
}

export const verifyEvidence = (engine: Bls12381Engine, evidence: WrongShareEvidence, anchor: EvidenceAnchor): EvidenceVerdict => {
  const request = requestOfEvidence(evidence)
  if (formFault(request) !== undefined) return notProved("request-malformed")
  if (!isAnchored(evidence, anchor)) return notProved("anchor-differs")
  const { committee } = anchor
  const node = committee.nodes.find(({ id }) => id === evidence.nodeId)
  if (node === undefined) return notProved("node-unknown")
  const key = committee.suiteId === NATIVE_SUITE_ID ? readOr(() => readCommitteeKeys(engine, committee).decryption) : undefined
  if (key === undefined) return notProved("anchor-unusable")

  // The signature covers the shares as one string of bytes; how the file cuts it into shares is not the node's word, so it is cut
  // anew.
  const signed = Buffer.concat(evidence.shares.map(fromHex))
  const requestId = requestIdOf(request)
  const digest = shareAnswerDigest(request, { requestId, epoch: request.epoch, nodeId: node.id, shares: [signed] })
  if (recoverIdentity(digest, fromHex(evidence.signature)) !== node.identity) return notProved("signature-not-the-nodes")

  const proved = (wrong: Extract<EvidenceVerdict, { readonly type: "proved" }>["wrong"]): EvidenceVerdict => ({
    type: "proved",
    requestId,
    nodeId: node.id,
    identity: node.identity,
    wrong
  })
  const size = SHARE_BYTES[request.kind]
  if (signed.length !== size * request.handles.length) return proved("wrong length")
  const transportKey = request.kind === "user" ? readOr(() => readTransportKey(engine, fromHex(request.transportKey))) : undefined
  if (request.kind === "user" && transportKey === undefined) return notProved("transport-key-invalid")
  const shares = request.handles.map((_, index) => signed.subarray(index * size, (index + 1) * size))
  const handleIndex = firstWrong(engine, { key, anchor, request, nodeId: node.id }, shares, transportKey)
  return handleIndex === undefined ? notProved("shares-right") : proved({ handleIndex })
}
