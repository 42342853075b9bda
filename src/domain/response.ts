/** What the committee attests and the contract verifies (protocol.md section 6), and the identity-signed share answer (section 5). */
import { addressWord, bytes32Word, keccak, keccakText, uintWord } from "./abi-words.ts"
import { fromHex, type Hex } from "./hex.ts"
import type { RequestId } from "./request.ts"

/** 1 to 32 results under one Merkle root. */
export interface AttestedRoot {
  readonly root: Hex
  readonly count: number
  readonly epoch: number
  /** Unix seconds: the latest deadline among the results. */
  readonly expiry: number
}

/** Results on their way to the chain, with the attestation over all of them. */
export interface AttestedBatch {
  readonly attested: AttestedRoot
  readonly chainId: bigint
  readonly gateway: Hex
  /** As the contract takes it: 128 bytes (BLS, uncompressed G1) or k*65 bytes (quorum). */
  readonly attestation: Uint8Array
  /** In the order of the Merkle leaves. */
  readonly responses: ReadonlyArray<{ readonly requestId: RequestId; readonly result: Uint8Array }>
  /** Only in a part: the siblings on the way from its one response up to the attested root, lowest first. */
  readonly proof?: ReadonlyArray<Uint8Array>
}

interface Eip712Domain {
  readonly chainId: bigint
  readonly gateway: Hex
}

const DOMAIN_TYPE = keccakText("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
const RESPONSE_TYPE = keccakText("Response(bytes32 requestId,bytes32 resultHash)")
const ATTESTATION_TYPE = keccakText("Attestation(bytes32 root,uint32 count,uint32 epoch,uint64 expiry)")
const SHARE_ANSWER_TYPE = keccakText("ShareAnswer(bytes32 requestId,uint32 epoch,uint32 nodeId,bytes32 sharesHash)")
const VERSION = keccakText("1")

const domainSeparator = (name: string, domain: Eip712Domain): Hex =>
  keccak(
    bytes32Word(DOMAIN_TYPE),
    bytes32Word(keccakText(name)),
    bytes32Word(VERSION),
    uintWord(domain.chainId),
    addressWord(domain.gateway)
  )

/** EIP-712: keccak256(0x19 01 || domain separator || hashStruct). */
const typedDigest = (separator: Hex, struct: Hex): Hex => keccak(Uint8Array.of(0x19, 0x01), fromHex(separator), fromHex(struct))

/** A leaf of the Merkle tree: hashStruct of one response. */
export const responseLeaf = (requestId: RequestId, resultHash: Hex): Hex =>
  keccak(bytes32Word(RESPONSE_TYPE), bytes32Word(requestId), bytes32Word(resultHash))

export const resultHashOf = (result: Uint8Array): Hex => keccak(result)

/** What one response of a batch is called where it is carried alone: as good as a root, and never one. */
export const partNameOf = (root: Hex, requestId: RequestId): Hex => keccak(bytes32Word(root), bytes32Word(requestId))

/** The 32 bytes that k nodes attest. */
export const attestationDigest = (domain: Eip712Domain, of: AttestedRoot): Hex =>
  typedDigest(
    domainSeparator("Portcullis", domain),
    keccak(bytes32Word(ATTESTATION_TYPE), bytes32Word(of.root), uintWord(of.count), uintWord(of.epoch), uintWord(of.expiry))
  )

/** The 32 bytes that a node's identity key signs under its shares. */
export const shareAnswerDigest = (
  domain: Eip712Domain,
  answer: {
    readonly requestId: RequestId
    readonly epoch: number
    readonly nodeId: number
    readonly shares: ReadonlyArray<Uint8Array>
  }
): Hex =>
  typedDigest(
    domainSeparator("Portcullis KMS", domain),
    keccak(
      bytes32Word(SHARE_ANSWER_TYPE),
      bytes32Word(answer.requestId),
      uintWord(answer.epoch),
      uintWord(answer.nodeId),
      bytes32Word(keccak(...answer.shares))
    )
  )
