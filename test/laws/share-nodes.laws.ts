/** What every ShareNodes promises to the journey, whatever carries the messages. */
import { Effect, type Layer } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { keccak } from "../../src/domain/abi-words.ts"
import { requestIdOf } from "../../src/domain/request.ts"
import { attestationDigest, shareAnswerDigest } from "../../src/domain/response.ts"
import { ShareNodes } from "../../src/journey/4-shares-collected/share-node.port.ts"
import { recoverIdentity } from "../../src/kms-node/identity-signature.ts"
import { verifyAttestationShare } from "../../src/threshold/attest.ts"
import { fromHex, toHex } from "../../src/domain/hex.ts"
import { verificationKeyOf } from "../../src/threshold/shared-key.ts"
import { type ChainDouble, chainDouble } from "../support/chain-double.ts"
import {
  type CommitteeOptions,
  dealCommittee,
  type DealtCommittee,
  type KmsCommittee,
  startCommittee
} from "../support/kms-committee.ts"
import { requestsOn, rootOf } from "../support/kms-requests.ts"

type Nodes = ShareNodes["Service"]

export const shareNodesLaws = (
  name: string,
  transport: NonNullable<CommitteeOptions["transport"]>,
  layerFor: (committee: KmsCommittee) => Layer.Layer<ShareNodes>
) =>
  describe.each(["bls", "quorum"] as const)(`${name}, attesting by %s`, (scheme) => {
    let dealt: DealtCommittee
    let chain: ChainDouble
    let kms: KmsCommittee
    let requests: ReturnType<typeof requestsOn>

    beforeAll(async () => {
      dealt = await dealCommittee({ scheme })
      chain = chainDouble(dealt.committee)
      kms = await startCommittee(dealt, { chainView: chain.layer, transport })
      requests = requestsOn(dealt.engine, chain)
    })
    afterAll(async () => {
      await kms.stop()
      await dealt.remove()
    })

    const using = <A, E>(ask: (nodes: Nodes) => Effect.Effect<A, E>): Promise<A> =>
      Effect.runPromise(Effect.flatMap(ShareNodes, ask).pipe(Effect.provide(layerFor(kms))))
    const failing = <A, E>(ask: (nodes: Nodes) => Effect.Effect<A, E>): Promise<E> => using((nodes) => Effect.flip(ask(nodes)))

    const publicRequest = async (count = 1) => {
      const values = await Promise.all(Array.from({ length: count }, () => requests.publish("public")))
      const request = await chain.requestPublic(values.map(({ handle }) => handle))
      return { values, request, id: requestIdOf(request) }
    }
    const userRequest = async (count = 1) => {
      const values = await Promise.all(Array.from({ length: count }, () => requests.publish(chain.requester)))
      const request = await chain.requestUser({
        handles: values.map(({ handle }) => handle),
        transportKey: requests.transportKey()
      })
      return { values, request, id: requestIdOf(request) }
    }
    const twoAnswers = (nodes: Nodes, made: Awaited<ReturnType<typeof publicRequest>>) =>
      Effect.all([nodes.share(kms.node(1), made.id, made.request), nodes.share(kms.node(3), made.id, made.request)])

    test.each([
      ["public", publicRequest],
      ["user", userRequest]
    ] as const)("any k answers to a %s request combine to the right result, which every node attests", async (_, make) => {
      const made = await make(3)
      await using((nodes) =>
        Effect.gen(function* () {
          const answers = yield* twoAnswers(nodes, made)
          const result = requests.resultOf(made.request, answers, made.values)
          const attested = rootOf([result])
          const digest = attestationDigest(made.request, attested)
          for (const { id, identity } of kms.committee.nodes) {
            const part = yield* nodes.attest(kms.node(id), attested, [result])
            if (scheme === "quorum") expect(recoverIdentity(digest, part)).toBe(identity)
            else
              expect(
                verifyAttestationShare(dealt.engine, verificationKeyOf(requests.keys.attestation, id), fromHex(digest), part)
              ).toBe(true)
          }
        })
      )
    })

    test("an answer is signed by the node's identity over the request, the epoch, the node and the shares", async () => {
      const { request, id } = await publicRequest(2)
      const answer = await using((nodes) => nodes.share(kms.node(2), id, request))
      expect(answer).toMatchObject({ requestId: id, epoch: 1, nodeId: 2 })
      expect(recoverIdentity(shareAnswerDigest(request, answer), answer.signature)).toBe(kms.node(2).identity)
    })

    test.each([
      ["public", publicRequest],
      ["user", userRequest]
    ] as const)("the same %s request always gets the same bytes", async (_, make) => {
      const { request, id } = await make(2)
      const [first, second] = await using((nodes) =>
        Effect.all([nodes.share(kms.node(1), id, request), nodes.share(kms.node(1), id, request)])
      )
      expect(second).toEqual(first)
    })

    test("many results of both kinds are attested under one root", async () => {
      const made = await Promise.all([publicRequest(), userRequest(), publicRequest(2), userRequest(2), publicRequest()])
      await using((nodes) =>
        Effect.gen(function* () {
          const results = yield* Effect.forEach(made, (one) =>
            Effect.map(twoAnswers(nodes, one), (answers) => requests.resultOf(one.request, answers, one.values))
          )
          const part = yield* nodes.attest(kms.node(1), rootOf(results), results)
          expect(part.length).toBe(scheme === "bls" ? 48 : 65)
        })
      )
    })

    test("a node's no is a refusal with its reason, and names the node", async () => {
      const { handle } = await requests.publish("nobody")
      const request = await chain.requestPublic([handle])
      const error = await failing((nodes) => nodes.share(kms.node(1), requestIdOf(request), request))
      expect(error).toMatchObject({ _tag: "NodeRefused", nodeId: 1, reason: "not-public" })
    })

    test("a node that cannot see the chain is unavailable, which is no answer", async () => {
      const { request, id } = await publicRequest()
      chain.breakDown(true)
      const error = await failing((nodes) => nodes.share(kms.node(1), id, request))
      chain.breakDown(false)
      expect(error).toMatchObject({ _tag: "NodeUnavailable", nodeId: 1, reason: "chain-unavailable" })
      expect(error).toHaveProperty("retryAfterMs", 500)
    })

    test("a node that is not there is unavailable, soon", async () => {
      const { request, id } = await publicRequest()
      const gone = { ...kms.node(1), endpoint: "127.0.0.1:9" }
      const error = await failing((nodes) => nodes.share(gone, id, request))
      expect(error).toMatchObject({ _tag: "NodeUnavailable", nodeId: 1 })
    })

    test("another node behind an endpoint is not believed", async () => {
      const { request, id } = await publicRequest()
      const mistaken = { ...kms.node(1), endpoint: kms.node(2).endpoint }
      // Certificates that name the node end it in the handshake; without them its signature does.
      const disbelieved = { _tag: transport === "mutual-tls" ? "NodeUnavailable" : "AnswerInvalid", nodeId: 1 }
      expect(await failing((nodes) => nodes.share(mistaken, id, request))).toMatchObject(disbelieved)
      expect(await failing((nodes) => nodes.describe(mistaken))).toMatchObject(disbelieved)
    })

    test("an answer that another identity signed is not believed", async () => {
      const { request, id } = await publicRequest()
      const impostor = { ...kms.node(1), identity: toHex(fromHex(keccak(new Uint8Array(1))).subarray(12)) }
      expect(await failing((nodes) => nodes.share(impostor, id, request))).toMatchObject({ _tag: "AnswerInvalid", nodeId: 1 })
    })

    test("a node says who it is", async () => {
      const before = Date.now()
      const said = await using((nodes) => nodes.describe(kms.node(3)))
      expect(said).toMatchObject({ nodeId: 3, identity: kms.node(3).identity, epochs: [1], version: "test" })
      expect(said.clockMs).toBeGreaterThanOrEqual(before)
      expect(said.clockMs).toBeLessThanOrEqual(Date.now())
    })

    test("a call that nobody waits for any more is given up", async () => {
      const { request, id } = await publicRequest()
      const answer = await using((nodes) => Effect.timeoutOption(nodes.share(kms.node(1), id, request), 0))
      expect(answer._tag).toBe("None")
    })
  })
