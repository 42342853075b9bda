/**
 * The committee's nodes over gRPC. One channel for each endpoint, kept alive. An answer gets past here only when it has the right
 * form, is about the right request and is signed by the identity that the committee record pins; whether its shares are right,
 * the combiner finds out.
 */
import { Effect, Layer } from "effect"
import type { CommitteeNode } from "../../domain/committee.ts"
import { toHex } from "../../domain/hex.ts"
import { attestationDigest, shareAnswerDigest } from "../../domain/response.ts"
import type { DecryptionRequest, RequestId } from "../../domain/request.ts"
import { AnswerInvalid, type NodeError, NodeUnavailable, ShareNodes } from "../../journey/4-shares-collected/share-node.port.ts"
import { IDENTITY_SIGNATURE_BYTES, identityVerifier } from "../../kms-node/identity-signature.ts"
import { guardsHere } from "../../resilience/guards.ts"
import { answerFault } from "./answer-fault.ts"
import { callNode, guardedNode } from "./call-node.ts"
import type * as proto from "./generated/portcullis/kms/v1/kms_node.ts"
import { channelPool, type ChannelOptions } from "./channel-pool.ts"
import { fitsWire, readAnswer, writeBatch, writeFacts } from "./wire.ts"

/** Three asks fit into the time after which a request's work is given out anew. */
const TIMEOUT_MS = 4_000

export interface ShareNodesOptions extends ChannelOptions {
  /** Of one call. */
  readonly timeoutMs?: number
}

const BLS_PART_BYTES = 48

const tooWide = (node: CommitteeNode) =>
  new NodeUnavailable({ nodeId: node.id, reason: "this protocol version carries chain ids of 64 bits", retryAfterMs: 0 })

const invalid = (node: CommitteeNode, reason: string) => new AnswerInvalid({ nodeId: node.id, reason })

export const shareNodesLayer = (options: ShareNodesOptions): Layer.Layer<ShareNodes> =>
  Layer.effect(
    ShareNodes,
    Effect.gen(function* () {
      const clientOf = yield* channelPool(options)
      const timeoutMs = options.timeoutMs ?? TIMEOUT_MS
      const guarded = guardedNode(yield* guardsHere, timeoutMs)
      const guard = (node: CommitteeNode, method: string) => guarded(node, options.endpointOf?.(node) ?? node.endpoint, method)
      const isSignedBy = identityVerifier()
      const share = Effect.fnUntraced(function* (node: CommitteeNode, requestId: RequestId, request: DecryptionRequest) {
        if (!fitsWire(request)) return yield* tooWide(node)
        const client = clientOf(node)
        const answer = readAnswer(
          yield* callNode<proto.ShareAnswer>(node, timeoutMs, (metadata, call, done) =>
            client.share({ request: writeFacts(request) }, metadata, call, done)
          ).pipe(guard(node, "share"))
        )
        const fault = answerFault(node, requestId, request, answer)
        if (fault !== undefined) return yield* invalid(node, fault)
        if (!isSignedBy(node.identity, shareAnswerDigest(request, answer), answer.signature)) {
          return yield* invalid(node, "it is not signed by the node's identity")
        }
        return answer
      })

      return {
        share,
        attest: Effect.fnUntraced(function* (node, attested, results): Effect.fn.Return<Uint8Array, NodeError> {
          const [first] = results
          if (first === undefined) return yield* Effect.die(new TypeError("nothing to attest"))
          if (!results.every(({ request }) => fitsWire(request))) return yield* tooWide(node)
          const client = clientOf(node)
          const message = writeBatch({ epoch: attested.epoch, expiry: attested.expiry, results })
          const answer = yield* callNode<proto.AttestAnswer>(node, timeoutMs, (metadata, call, done) =>
            client.attest(message, metadata, call, done)
          ).pipe(guard(node, "attest"))
          if (answer.nodeId !== node.id) return yield* invalid(node, "it is from another node")
          if (toHex(answer.root) !== attested.root) return yield* invalid(node, "it attests another root")
          const part = new Uint8Array(answer.part)
          if (part.length === BLS_PART_BYTES) return part
          if (part.length !== IDENTITY_SIGNATURE_BYTES) return yield* invalid(node, "the part has the wrong length")
          if (!isSignedBy(node.identity, attestationDigest(first.request, attested), part)) {
            return yield* invalid(node, "it is not signed by the node's identity")
          }
          return part
        }),
        describe: Effect.fnUntraced(function* (node): Effect.fn.Return<Description, NodeError> {
          const client = clientOf(node)
          const answer = yield* callNode<proto.DescribeAnswer>(node, timeoutMs, (metadata, call, done) =>
            client.describe({}, metadata, call, done)
          ).pipe(guard(node, "describe"))
          const identity = toHex(answer.identity)
          if (answer.nodeId !== node.id || identity !== node.identity)
            return yield* invalid(node, "another node serves at this endpoint")
          return {
            nodeId: answer.nodeId,
            identity,
            epochs: answer.epochs,
            version: answer.version.slice(0, 64),
            clockMs: Number(answer.clockMs)
          }
        })
      }
    })
  )

type Description = Effect.Success<ReturnType<ShareNodes["Service"]["describe"]>>
