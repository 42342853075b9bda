/** One KMS node: looks at the chain for itself, gives out shares and parts of attestations, writes down what it gave out, and misbehaves when
 * it is told to. Its answer log is its own: the leak bound is checked against this one, not against what the gateway remembers. */
import type { NodeId } from "../../../src/domain/committee.ts"
import type { Handle } from "../../../src/domain/handle.ts"
import { type Hex, toHex } from "../../../src/domain/hex.ts"
import { requestIdOf, type DecryptionRequest, type RequestId } from "../../../src/domain/request.ts"
import { attestationDigest, responseLeaf, resultHashOf, shareAnswerDigest, type AttestedRoot } from "../../../src/domain/response.ts"
import type { ShareAnswer } from "../../../src/domain/share.ts"
import { fromHex } from "../../../src/domain/hex.ts"
import type { ResultToAttest } from "../../../src/journey/4-shares-collected/share-node.port.ts"
import { REFUSALS, refuse, type RefusalReason } from "../../../src/kms-node/refusal.ts"
import { merkleRoot } from "../../../src/threshold/merkle.ts"
import { settledBlock } from "../chain/chain-questions.ts"
import type { Endpoint } from "../chain/endpoint.ts"
import { denialOf, statusOf } from "../chain/sim-contract.ts"
import type { Process } from "../event-loop.ts"
import { ATTESTATION_PART_BYTES, signatureOf, type SimCiphertext, type SimCommittee, wrongElement } from "./sim-committee.ts"
import { shareBytesOf } from "./stand-in-mathematics.ts"

export const KMS_FAULTS = ["throttle", "timeout", "5xx", "wrong-share", "equivocation", "malformed-share", "oversized-reply"] as const
export type SimKmsFault = (typeof KMS_FAULTS)[number]

export type KmsAnswer<A> =
  | { readonly type: "answered"; readonly value: A }
  | { readonly type: "refused"; readonly reason: RefusalReason; readonly detail: string }
  | { readonly type: "unavailable"; readonly reason: string; readonly retryAfterMs: number }
  | { readonly type: "silent" }

/** As kms-node/attest-results.ts. */
export interface AttestAnswer {
  readonly root: Hex
  readonly nodeId: NodeId
  readonly part: Uint8Array
}

export interface LoggedAnswer {
  readonly requestId: RequestId
  readonly atMs: number
}

const refused = (reason: RefusalReason, detail: string, askedMs?: number): KmsAnswer<never> => {
  const { retryAfterMs } = refuse(reason, detail, askedMs)
  return REFUSALS[reason] === "refuse" ? { type: "refused", reason, detail } : { type: "unavailable", reason, retryAfterMs }
}

/** As kms-node/permit.ts. */
const BEHIND_RETRY_MS = 300

export class SimKmsNode {
  readonly id: NodeId
  readonly process: Process
  readonly log: Array<LoggedAnswer> = []
  readonly faults = new Set<SimKmsFault>()
  isUp = true
  private readonly committee: SimCommittee
  private readonly ciphertexts: ReadonlyMap<Handle, SimCiphertext>
  private readonly endpoint: Endpoint
  /** Derived for each request once; gone when it forgets. */
  private derived = new Map<RequestId, ReadonlyArray<Uint8Array>>()
  private lies = 0

  constructor(id: NodeId, process: Process, committee: SimCommittee, ciphertexts: ReadonlyMap<Handle, SimCiphertext>, endpoint: Endpoint) {
    this.id = id
    this.process = process
    this.committee = committee
    this.ciphertexts = ciphertexts
    this.endpoint = endpoint
  }

  forget(): void {
    this.derived = new Map()
  }

  /** SIGKILL: what it had in memory is gone; its answer log is not. */
  stop(): void {
    this.isUp = false
    this.forget()
  }

  start(): void {
    this.isUp = true
  }

  get identity(): Hex {
    return this.committee.record.nodes[this.id - 1]!.identity
  }

  /** Undefined: yes. As kms-node/permit.ts. */
  private refusal(request: DecryptionRequest): KmsAnswer<never> | undefined {
    if (this.faults.has("timeout")) return { type: "silent" }
    if (this.faults.has("throttle")) return { type: "unavailable", reason: "too-many-requests", retryAfterMs: 500 }
    if (this.faults.has("5xx")) return { type: "unavailable", reason: "internal", retryAfterMs: 500 }
    if (this.faults.has("oversized-reply")) return { type: "unavailable", reason: "more bytes than an answer has", retryAfterMs: 0 }
    if (this.endpoint.refusal() !== undefined) return refused("chain-unavailable", "the chain could not be asked")
    const id = requestIdOf(request)
    const { head } = this.endpoint
    const settled = settledBlock(this.endpoint, { type: "finalized" })
    const known = settled.state.requests.get(id)
    if (statusOf(known) === "fulfilled") return refused("already-fulfilled", `${id} has its result on chain`)
    if (head.timestamp > request.deadline) return refused("expired", `${id} is past its deadline`)
    if (known === undefined) {
      return head.state.requests.has(id) ? refused("chain-behind", `${id} is not final enough`, BEHIND_RETRY_MS) : refused("unknown-request", `no ${id}`)
    }
    const denial = denialOf(settled.state, request)
    return denial === undefined ? undefined : refused(denial, "the access list says no")
  }

  share(request: DecryptionRequest): KmsAnswer<ShareAnswer> {
    const refusal = this.refusal(request)
    if (refusal !== undefined) return refusal
    const requestId = requestIdOf(request)
    const honest = this.derived.get(requestId) ?? this.committee.shares(this.id, request)
    this.derived.set(requestId, honest)
    const shares = honest.map((share) => this.spoil(share, requestId, shareBytesOf(request.kind)))
    const unsigned = { requestId, epoch: request.epoch, nodeId: this.id, shares }
    const signature = signatureOf(this.identity, shareAnswerDigest(request, unsigned))
    this.log.push({ requestId, atMs: this.process.loop.nowMs + this.process.skewMs })
    return { type: "answered", value: { ...unsigned, signature } }
  }

  /** Builds the root itself: whoever asks compares it with its own. */
  attest({ epoch, expiry }: Pick<AttestedRoot, "epoch" | "expiry">, results: ReadonlyArray<ResultToAttest>): KmsAnswer<AttestAnswer> {
    const [first] = results
    const latest = Math.max(...results.map(({ request }) => request.deadline))
    if (first === undefined || expiry > latest) return refused("malformed", "no results, or an expiry after every deadline")
    for (const { request } of results) {
      const refusal = this.refusal(request)
      if (refusal !== undefined) return refusal
    }
    for (const { request, result } of results) {
      if (Buffer.compare(result, this.committee.resultOf(request, this.ciphertexts)) !== 0) return refused("result-wrong", "not what comes out")
    }
    const root = toHex(merkleRoot(results.map(({ request, result }) => fromHex(responseLeaf(requestIdOf(request), resultHashOf(result))))))
    const part = this.committee.attestationPart(this.id, attestationDigest(first.request, { root, count: results.length, epoch, expiry }))
    return { type: "answered", value: { root, nodeId: this.id, part: this.spoil(part, root, ATTESTATION_PART_BYTES) } }
  }

  private spoil(honest: Uint8Array, about: string, length: number): Uint8Array {
    if (this.faults.has("malformed-share")) return new Uint8Array(length).fill(0x5a)
    if (this.faults.has("equivocation")) return wrongElement(`${about} ${this.id} ${this.lies++}`, length)
    return this.faults.has("wrong-share") ? wrongElement(`${about} ${this.id}`, length) : honest
  }
}
