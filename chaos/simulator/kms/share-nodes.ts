/** The committee's nodes as a gateway may ask them: with the checks that the gRPC adapter makes before it believes that an answer is
 * authentic. */
import { Effect, Exit, Layer } from "effect"
import type { CommitteeNode } from "../../../src/domain/committee.ts"
import { shareAnswerDigest } from "../../../src/domain/response.ts"
import { AnswerInvalid, NodeRefused, NodeUnavailable, ShareNodes, type NodeError } from "../../../src/journey/4-shares-collected/share-node.port.ts"
import type { Link } from "../remote-call.ts"
import { signatureOf } from "./sim-committee.ts"
import type { KmsAnswer, SimKmsNode } from "./sim-kms-node.ts"

const notUp = (node: CommitteeNode, reason: string) => new NodeUnavailable({ nodeId: node.id, reason, retryAfterMs: 0 })

/** As share-nodes.layer.ts: three asks fit into the time after which work is given out anew. */
export const KMS_TIMEOUT_MS = 4_000

export const shareNodes = (linkTo: (node: number) => Link, nodeOf: (node: number) => SimKmsNode) => {
  const call = <A>(node: CommitteeNode, what: string, ask: (there: SimKmsNode) => KmsAnswer<A>): Effect.Effect<A, NodeError> =>
    linkTo(node.id)
      .call<KmsAnswer<A>, never, NodeError>(
        what,
        () => {
          const there = nodeOf(node.id)
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
  return Layer.succeed(ShareNodes, {
    share: (node, requestId, request) =>
      Effect.flatMap(call(node, "share", (there) => there.share(request)), (answer) => {
        if (answer.requestId !== requestId || answer.nodeId !== node.id) {
          return Effect.fail(new AnswerInvalid({ nodeId: node.id, reason: "it is about another request" }))
        }
        const signed = signatureOf(node.identity, shareAnswerDigest(request, answer))
        return Buffer.compare(signed, answer.signature) === 0
          ? Effect.succeed(answer)
          : Effect.fail(new AnswerInvalid({ nodeId: node.id, reason: "it is not signed by the node's identity" }))
      }),
    attest: (node, attested, results) => call(node, "attest", (there) => there.attest(attested, results)),
    describe: (node) =>
      call(node, "describe", (there) => ({
        type: "answered",
        value: {
          nodeId: node.id,
          identity: node.identity,
          epochs: [1],
          version: "simulated",
          clockMs: there.process.loop.nowMs + there.process.skewMs
        }
      }))
  })
}
