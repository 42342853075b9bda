/** A committee whose nodes do as they are told, and a combiner that knows a wrong share when it sees one. */
import { Effect, Layer } from "effect"
import assert from "node:assert/strict"
import type { Committee, NodeId } from "../../../src/domain/committee.ts"
import type { Hex } from "../../../src/domain/hex.ts"
import type { RequestId } from "../../../src/domain/request.ts"
import type { ShareAnswer } from "../../../src/domain/share.ts"
import { CiphertextCache } from "../../../src/journey/3-ciphertext-fetched/ciphertext-cache.port.ts"
import { CiphertextRegistry } from "../../../src/journey/3-ciphertext-fetched/ciphertext-registry.port.ts"
import { CiphertextStore } from "../../../src/journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import { Committees, EpochUnusable } from "../../../src/journey/4-shares-collected/committee.port.ts"
import {
  type NodeError,
  NodeRefused,
  NodeUnavailable,
  type ResultToAttest,
  ShareNodes
} from "../../../src/journey/4-shares-collected/share-node.port.ts"
import { type Combined, Combiner, type CombineTask } from "../../../src/journey/5-threshold-verified/combiner.port.ts"
import { aCommitteeRecord } from "../../journey/a-request.ts"
import { aChainId, randomAddress } from "../../support/ledger-world.ts"
import { SubmissionChain } from "./submission-chain.ts"

export type ShareBehaviour = "answers" | "lies" | "is away" | "is silent" | "times out" | "dies" | { readonly refuses: string }
export type AttestBehaviour = "attests" | "is away" | "refuses" | { readonly disagreesWith: ReadonlyArray<RequestId>; readonly because?: string }

/** Of a call to a node. */
const TIMEOUT_MS = 4_000
const GOOD = 1
const WRONG = 0

export class ShareWorld {
  readonly committee: Committee
  readonly registry = randomAddress()
  readonly chain = new SubmissionChain(aChainId())
  readonly shares: Record<NodeId, ShareBehaviour> = {}
  readonly attests: Record<NodeId, AttestBehaviour> = {}
  /** Every question for shares, in order. */
  readonly asked: Array<{ readonly node: NodeId; readonly requestId: RequestId }> = []
  /** Every question for an attestation. */
  readonly attested: Array<{ readonly node: NodeId; readonly root: Hex; readonly ids: ReadonlyArray<RequestId> }> = []
  readonly tasks: Array<CombineTask> = []
  /** What the combiner says about a request instead of looking at its shares. */
  readonly says = new Map<RequestId, Combined | "dies">()

  isEpochUnusable = false

  constructor(threshold: number, nodes: number) {
    this.committee = aCommitteeRecord(threshold, nodes, { scheme: "quorum" })
  }

  askedOf(requestId: RequestId): ReadonlyArray<NodeId> {
    return this.asked.filter((one) => one.requestId === requestId).map(({ node }) => node)
  }

  answer(node: NodeId, requestId: RequestId, isRight = true): ShareAnswer {
    const shares = [Uint8Array.of(isRight ? GOOD : WRONG, node)]
    return { requestId, epoch: this.committee.epoch, nodeId: node, shares, signature: new Uint8Array(65) }
  }

  private share(node: NodeId, requestId: RequestId): Effect.Effect<ShareAnswer, NodeError> {
    this.asked.push({ node, requestId })
    const behaviour = this.shares[node] ?? "answers"
    if (typeof behaviour === "object") return Effect.fail(new NodeRefused({ nodeId: node, reason: behaviour.refuses, detail: "" }))
    switch (behaviour) {
      case "answers":
      case "lies":
        return Effect.succeed(this.answer(node, requestId, behaviour === "answers"))
      case "is away":
        return Effect.fail(new NodeUnavailable({ nodeId: node, reason: "timeout", retryAfterMs: 0 }))
      case "is silent":
        return Effect.never
      case "times out":
        return Effect.delay(Effect.fail(new NodeUnavailable({ nodeId: node, reason: "timeout", retryAfterMs: 0 })), TIMEOUT_MS)
      case "dies":
        return Effect.die(new RangeError("0xsecret"))
    }
  }

  private attest(node: NodeId, root: Hex, results: ReadonlyArray<ResultToAttest>): Effect.Effect<Uint8Array, NodeError> {
    const ids = results.map(({ requestId }) => requestId)
    this.attested.push({ node, root, ids })
    const behaviour = this.attests[node] ?? "attests"
    if (behaviour === "is away") return Effect.fail(new NodeUnavailable({ nodeId: node, reason: "timeout", retryAfterMs: 0 }))
    const disagrees = behaviour === "refuses" || (typeof behaviour === "object" && ids.some((id) => behaviour.disagreesWith.includes(id)))
    const reason = (typeof behaviour === "object" ? behaviour.because : undefined) ?? "result-wrong"
    return disagrees
      ? Effect.fail(new NodeRefused({ nodeId: node, reason, detail: "" }))
      : Effect.succeed(new Uint8Array(65).fill(node))
  }

  private combine(task: CombineTask): Combined {
    this.tasks.push(task)
    const said = this.says.get(task.requestId)
    assert(said !== "dies", "the combiner meets something that it does not expect")
    if (said !== undefined) return said
    const liars = task.answers.filter(({ shares }) => shares[0]?.[0] === WRONG).map(({ nodeId }) => nodeId)
    const right = task.answers.map(({ nodeId }) => nodeId).filter((node) => !liars.includes(node))
    if (right.length < this.committee.threshold) return { type: "too-few", liars }
    const nodes = right.slice(0, this.committee.threshold)
    return { type: "user", result: Uint8Array.from([...Buffer.from(task.requestId.slice(2), "hex"), ...nodes]), nodes, liars }
  }

  get layer() {
    const unusable = new EpochUnusable({ epoch: this.committee.epoch, reason: "another suite" })
    const record = Effect.suspend(() => (this.isEpochUnusable ? Effect.fail(unusable) : Effect.succeed(this.committee)))
    const unused = () => Effect.die("not a question of these steps")
    return Layer.mergeAll(
      this.chain.layer,
      Layer.succeed(Committees, { committee: () => record, current: record }),
      Layer.succeed(ShareNodes, {
        share: ({ id }, requestId) => Effect.suspend(() => this.share(id, requestId)),
        attest: ({ id }, { root }, results) => Effect.suspend(() => this.attest(id, root, results)),
        describe: unused
      }),
      Layer.succeed(Combiner, {
        combine: (_committee, tasks) => Effect.sync(() => tasks.map((task) => this.combine(task))),
        combineAttestation: unused
      }),
      Layer.succeed(CiphertextRegistry, { records: (handles) => Effect.succeed(handles.map(() => undefined)) }),
      Layer.succeed(CiphertextCache, { shared: (_what, look) => look, get: () => Effect.succeed(undefined), put: () => Effect.void }),
      Layer.succeed(CiphertextStore, { read: unused as never, write: unused })
    )
  }
}
