/** ShareNodes over gRPC to real nodes: with mutual TLS, and in plain text as somebody may explicitly want it. */
import type { Layer } from "effect"
import { describe } from "vitest"
import { shareNodesLayer } from "../../src/adapters/kms-node/share-nodes.layer.ts"
import type { AttestationScheme } from "../../src/domain/committee.ts"
import { fromHex, type Hex } from "../../src/domain/hex.ts"
import { requestIdOf } from "../../src/domain/request.ts"
import type { ShareNodes } from "../../src/journey/4-shares-collected/share-node.port.ts"
import { recoverIdentity } from "../../src/kms-node/identity-signature.ts"
import { verifyAttestationShare } from "../../src/threshold/attest.ts"
import { verificationKeyOf } from "../../src/threshold/shared-key.ts"
import { chainDouble } from "../support/chain-double.ts"
import { dealCommittee, type KmsCommittee, serverNameOf, startCommittee } from "../support/kms-committee.ts"
import { requestsOn } from "../support/kms-requests.ts"
import { type GivenShareNodes, shareNodesLaws } from "./share-nodes.laws.ts"

const SCHEMES: ReadonlyArray<AttestationScheme> = ["bls", "quorum"]

const open = async (
  scheme: AttestationScheme,
  transport: "mutual-tls" | "insecure",
  layerFor: (kms: KmsCommittee) => Layer.Layer<ShareNodes>
): Promise<GivenShareNodes> => {
  const dealt = await dealCommittee({ scheme })
  const chain = chainDouble(dealt.committee)
  const kms = await startCommittee(dealt, { chainView: chain.layer, transport })
  const requests = requestsOn(dealt.engine, chain)
  const published = (count: number, allowed: Hex | "public") => Promise.all(Array.from({ length: count }, () => requests.publish(allowed)))
  const isSignedBy = (identity: Hex, digest: Hex, signature: Uint8Array) => recoverIdentity(digest, signature) === identity
  return {
    layer: layerFor(kms),
    committee: kms.committee,
    version: "test",
    publicRequest: async (handles) => {
      const values = await published(handles, "public")
      const request = await chain.requestPublic(values.map(({ handle }) => handle))
      return { request, id: requestIdOf(request), resultOf: (answers) => requests.resultOf(request, answers, values) }
    },
    userRequest: async (handles) => {
      const values = await published(handles, chain.requester)
      const request = await chain.requestUser({ handles: values.map(({ handle }) => handle), transportKey: requests.transportKey() })
      return { request, id: requestIdOf(request), resultOf: (answers) => requests.resultOf(request, answers, values) }
    },
    closedRequest: async () => {
      const { handle } = await requests.publish("nobody")
      const request = await chain.requestPublic([handle])
      return { request, id: requestIdOf(request) }
    },
    isSignedBy,
    isPartOf: (node, digest, part) =>
      scheme === "quorum"
        ? part.length === 65 && isSignedBy(kms.node(node).identity, digest, part)
        : part.length === 48 && verifyAttestationShare(dealt.engine, verificationKeyOf(requests.keys.attestation, node), fromHex(digest), part),
    nowhere: "127.0.0.1:9",
    // Certificates that name the node end it in the handshake; without them its signature does.
    foundOut: transport === "mutual-tls" ? "before it answers" : "by its answer",
    breakDown: chain.breakDown,
    nowMs: () => Date.now(),
    close: async () => {
      await kms.stop()
      await dealt.remove()
    }
  }
}

describe.each(SCHEMES)("attesting by %s", (scheme) => {
  shareNodesLaws("over mutual TLS", () =>
    open(scheme, "mutual-tls", (kms) => shareNodesLayer({ security: kms.gatewaySecurity(), serverNameOf }))
  )
  shareNodesLaws("in plain text", () => open(scheme, "insecure", () => shareNodesLayer({ security: { insecure: true } })))
})
