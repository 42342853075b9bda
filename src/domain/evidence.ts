/**
 * A portable proof that a node lied: its own signed answer, with the public facts that anybody needs to see that the shares are
 * wrong. Contains no secret: a wrong share opens nothing. `kms-node/verify-evidence.ts` is the judge.
 */
import { Schema } from "effect"
import type { Committee } from "./committee.ts"
import { type Hex, toHex } from "./hex.ts"
import { COMMITTEE_NODES_MAX, HANDLES_PER_REQUEST_MAX } from "./limits.ts"
import type { DecryptionRequest } from "./request.ts"
import type { ShareAnswer } from "./share.ts"

const HexText = Schema.String.pipe(Schema.check(Schema.isPattern(/^0x(?:[0-9a-f]{2})*$/)))
const Uint = Schema.Int.pipe(Schema.check(Schema.isGreaterThanOrEqualTo(0)))
const Decimal = Schema.String.pipe(Schema.check(Schema.isPattern(/^(?:0|[1-9]\d{0,77})$/)))

/** The file. Hex is lower case, integers above 2^53 are decimal text. */
export const WrongShareEvidence = Schema.Struct({
  version: Schema.Literal(1),
  kind: Schema.Literal("wrong-share"),
  chainId: Decimal,
  gateway: HexText,
  registry: HexText,
  committee: Schema.Struct({
    epoch: Uint,
    suiteId: HexText,
    threshold: Uint,
    nodes: Schema.Array(
      Schema.Struct({ id: Uint, identity: HexText, endpoint: Schema.String, decryptionKey: HexText, attestationKey: HexText })
    ).pipe(Schema.check(Schema.isMaxLength(COMMITTEE_NODES_MAX))),
    decryptionKey: HexText,
    attestationKey: HexText,
    scheme: Schema.Literals(["bls", "quorum"]),
    isRetired: Schema.Boolean
  }),
  request: Schema.Struct({
    kind: Schema.Literals(["public", "user"]),
    requester: HexText,
    account: HexText,
    epoch: Uint,
    deadline: Uint,
    callbackGas: Uint,
    salt: HexText,
    handles: Schema.Array(HexText).pipe(Schema.check(Schema.isMaxLength(HANDLES_PER_REQUEST_MAX))),
    transportKey: HexText
  }),
  nodeId: Uint,
  shares: Schema.Array(HexText),
  signature: HexText,
  /** Unix milliseconds, by the clock of who found it. Proves nothing. */
  foundAtMs: Uint
})
export type WrongShareEvidence = typeof WrongShareEvidence.Type

export const wrongShareEvidence = (found: {
  readonly request: DecryptionRequest
  readonly registry: Hex
  readonly committee: Committee
  readonly answer: Pick<ShareAnswer, "nodeId" | "shares" | "signature">
  readonly foundAtMs: number
}): WrongShareEvidence => {
  const { chainId, gateway, ...facts } = found.request
  return {
    version: 1,
    kind: "wrong-share",
    chainId: chainId.toString(),
    gateway,
    registry: found.registry,
    committee: found.committee,
    request: facts,
    nodeId: found.answer.nodeId,
    shares: found.answer.shares.map(toHex),
    signature: toHex(found.answer.signature),
    foundAtMs: found.foundAtMs
  }
}

/** The request that an evidence file is about; its id is what the node has signed. */
export const requestOfEvidence = (evidence: WrongShareEvidence): DecryptionRequest => {
  const { request } = evidence
  return {
    ...request,
    chainId: BigInt(evidence.chainId),
    gateway: evidence.gateway as Hex,
    requester: request.requester as Hex,
    account: request.account as Hex,
    salt: request.salt as Hex,
    handles: request.handles as ReadonlyArray<Hex>,
    transportKey: request.transportKey as Hex
  }
}

/** A file's parsed JSON; undefined for everything that is no evidence of this version. */
export const readEvidence = (json: unknown): WrongShareEvidence | undefined => {
  const read = Schema.decodeUnknownResult(WrongShareEvidence, { onExcessProperty: "error" })(json)
  return read._tag === "Success" ? read.success : undefined
}
