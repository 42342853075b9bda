/** The committee's nodes as a gateway may ask them: with the checks that the gRPC adapter makes before it believes that an answer is
 * authentic. */
import { Effect, Exit, Layer } from "effect"
import { answerFault } from "../../../src/adapters/kms-node/answer-fault.ts"
import type { CommitteeNode } from "../../../src/domain/committee.ts"
import { shareAnswerDigest } from "../../../src/domain/response.ts"
import { AnswerInvalid, NodeRefused, NodeUnavailable, ShareNodes, type NodeError } from "../../../src/journey/4-shares-collected/share-node.port.ts"
import type { Link } from "../remote-call.ts"
import { EPOCH, signatureOf } from "./sim-committee.ts"
import type { KmsAnswer, SimKmsNode } from "./sim-kms-node.ts"

/** What serves at an endpoint, and the way there. */
export interface KmsWay {
  readonly there: SimKmsNode
  readonly link: Link
}

const notUp = (node: CommitteeNode, reason: string) => new NodeUnavailable({ nodeId: node.id, reason, retryAfterMs: 0 })
const invalid = (node: CommitteeNode, reason: string) => Effect.fail(new AnswerInvalid({ nodeId: node.id, reason }))

/** As share-nodes.layer.ts: three asks fit into the time after which work is given out anew. */
export const KMS_TIMEOUT_MS = 4_000

/** Undefined: nobody listens at such an endpoint. */
export const shareNodes = (wayTo: (endpoint: string) => KmsWay | undefined) => {
  const call = <A>(node: CommitteeNode, what: string, ask: (there: SimKmsNode) => KmsAnswer<A>): Effect.Effect<A, NodeError> => {
    const way = wayTo(node.endpoint)
    if (way === undefined) return Effect.fail(notUp(node, "connection refused"))
    const { there, link } = way
    return link
      .call<KmsAnswer<A>, never, NodeError>(
        what,
        () => {
          if (!there.isUp) return Exit.succeed({ type: "unavailable", reason: "connection refused", retryAfterMs: 0 })
          return Exit.succeed(there.process.isRunning ? ask(there) : { type: "silent" })
        },
        () => Exit.fail(notUp(node, "no answer in time"))
      )
      .pipe(
        Effect.flatMap((answer): Effect.Effect<A, NodeError> => {
          if (answer.type === "answered") return Effect.succeed(answer.value)
          if (answer.type === "silent") return Effect.never
          return answer.type === "refused"
            ? Effect.fail(new NodeRefused({ nodeId: node.id, reason: answer.reason, detail: answer.detail }))
            : Effect.fail(new NodeUnavailable({ nodeId: node.id, reason: answer.reason, retryAfterMs: answer.retryAfterMs }))
        }),
        Effect.timeoutOrElse({ duration: KMS_TIMEOUT_MS, orElse: () => Effect.fail(notUp(node, "no answer in time")) })
      )
  }
  return Layer.succeed(ShareNodes, {
    share: (node, requestId, request) =>
      Effect.flatMap(call(node, "share", (there) => there.share(request)), (answer) => {
        const fault = answerFault(node, requestId, request, answer)
        if (fault !== undefined) return invalid(node, fault)
        const signed = signatureOf(node.identity, shareAnswerDigest(request, answer))
        return Buffer.compare(signed, answer.signature) === 0
          ? Effect.succeed(answer)
          : invalid(node, "it is not signed by the node's identity")
      }),
    attest: (node, attested, results) =>
      Effect.flatMap(call(node, "attest", (there) => there.attest(attested, results)), ({ root, nodeId, part }) => {
        if (nodeId !== node.id) return invalid(node, "it is from another node")
        return root === attested.root ? Effect.succeed(part) : invalid(node, "it attests another root")
      }),
    describe: (node) =>
      Effect.flatMap(
        call(node, "describe", ({ id, identity, process }) => ({
          type: "answered",
          value: { nodeId: id, identity, epochs: [EPOCH], version: "simulated", clockMs: process.loop.nowMs + process.skewMs }
        })),
        (said) =>
          said.nodeId === node.id && said.identity === node.identity ? Effect.succeed(said) : invalid(node, "another node serves at this endpoint")
      )
  })
}
