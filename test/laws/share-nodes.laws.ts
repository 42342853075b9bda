/** What every ShareNodes promises to the journey, whatever carries the messages, and whatever mathematics is behind it. */
import { Cause, Effect, Exit, Fiber, type Layer } from "effect"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { keccak } from "../../src/domain/abi-words.ts"
import type { Committee, NodeId } from "../../src/domain/committee.ts"
import { fromHex, type Hex, toHex } from "../../src/domain/hex.ts"
import type { DecryptionRequest, RequestId } from "../../src/domain/request.ts"
import { attestationDigest, shareAnswerDigest } from "../../src/domain/response.ts"
import { SHARE_BYTES, type ShareAnswer } from "../../src/domain/share.ts"
import { type ResultToAttest, ShareNodes } from "../../src/journey/4-shares-collected/share-node.port.ts"
import { rootOf } from "../support/kms-requests.ts"

type Nodes = ShareNodes["Service"]

export interface AskedOfNodes {
  readonly id: RequestId
  readonly request: DecryptionRequest
  /** What a gateway makes of k right answers; throws when they do not combine. */
  readonly resultOf: (answers: ReadonlyArray<ShareAnswer>) => ResultToAttest
}

/** 2 of 3, up, in epoch 1, with requests that are final enough for them. */
export interface GivenShareNodes {
  readonly layer: Layer.Layer<ShareNodes>
  /** With the endpoints under which the nodes serve. */
  readonly committee: Committee
  readonly version: string
  readonly publicRequest: (handles: number) => Promise<AskedOfNodes>
  readonly userRequest: (handles: number) => Promise<AskedOfNodes>
  /** For a handle that is nobody's to have. */
  readonly closedRequest: () => Promise<Pick<AskedOfNodes, "id" | "request">>
  readonly isSignedBy: (identity: Hex, digest: Hex, signature: Uint8Array) => boolean
  /** Whether this is the node's right part of the attestation. */
  readonly isPartOf: (node: NodeId, digest: Hex, part: Uint8Array) => boolean
  /** Where nobody listens. */
  readonly nowhere: string
  /** Whether another node behind an endpoint is found out before it can answer, or by what it answers. */
  readonly foundOut: "before it answers" | "by its answer"
  /** From now on the nodes cannot see the chain, or can again. */
  readonly breakDown: (isDown: boolean) => void
  /** The clock that the nodes go by. */
  readonly nowMs: () => number
  readonly close: () => Promise<void>
}

export const shareNodesLaws = (name: string, open: () => Promise<GivenShareNodes>) =>
  describe(name, () => {
    let given: GivenShareNodes

    beforeAll(async () => {
      given = await open()
    })
    afterAll(() => given.close())

    const node = (id: NodeId) => given.committee.nodes[id - 1]!
    const using = <A, E>(ask: (nodes: Nodes) => Effect.Effect<A, E>): Promise<A> =>
      Effect.runPromise(Effect.flatMap(ShareNodes, ask).pipe(Effect.provide(given.layer)))
    const failing = <A, E>(ask: (nodes: Nodes) => Effect.Effect<A, E>): Promise<E> => using((nodes) => Effect.flip(ask(nodes)))
    const twoAnswers = (nodes: Nodes, { id, request }: AskedOfNodes) => Effect.all([nodes.share(node(1), id, request), nodes.share(node(3), id, request)])
    const combined = async (made: AskedOfNodes) => made.resultOf(await using((nodes) => twoAnswers(nodes, made)))

    test.each(["publicRequest", "userRequest"] as const)("any k answers to a %s combine to the right result, which every node attests", async (kind) => {
      const made = await given[kind](3)
      const result = await combined(made)
      const attested = rootOf([result])
      for (const { id } of given.committee.nodes) {
        const part = await using((nodes) => nodes.attest(node(id), attested, [result]))
        expect(given.isPartOf(id, attestationDigest(made.request, attested), part)).toBe(true)
      }
    })

    test("it makes no difference to the result which k answered", async () => {
      const made = await given.publicRequest(1)
      const answers = await using((nodes) => Effect.forEach([2, 1], (id) => nodes.share(node(id), made.id, made.request)))
      expect(made.resultOf(answers).result).toEqual((await combined(made)).result)
    })

    test("an answer has one share of the right length for each handle", async () => {
      for (const made of [await given.publicRequest(3), await given.userRequest(2)]) {
        const { shares } = await using((nodes) => nodes.share(node(1), made.id, made.request))
        expect(shares.map(({ length }) => length)).toEqual(made.request.handles.map(() => SHARE_BYTES[made.request.kind]))
      }
    })

    test("an answer is signed by the node's identity over the request, the epoch, the node and the shares", async () => {
      const { request, id } = await given.publicRequest(2)
      const answer = await using((nodes) => nodes.share(node(2), id, request))
      expect(answer).toMatchObject({ requestId: id, epoch: 1, nodeId: 2 })
      const isSigned = (said: ShareAnswer) => given.isSignedBy(node(2).identity, shareAnswerDigest(request, said), said.signature)
      expect(isSigned(answer)).toBe(true)
      expect(isSigned({ ...answer, requestId: `0x${"12".repeat(32)}` })).toBe(false)
      expect(isSigned({ ...answer, epoch: 2 })).toBe(false)
      expect(isSigned({ ...answer, nodeId: 1 })).toBe(false)
      expect(isSigned({ ...answer, shares: answer.shares.toReversed() })).toBe(false)
      expect(given.isSignedBy(node(1).identity, shareAnswerDigest(request, answer), answer.signature)).toBe(false)
    })

    test.each(["publicRequest", "userRequest"] as const)("the same %s always gets the same bytes", async (kind) => {
      const { request, id } = await given[kind](2)
      const [first, second] = await using((nodes) => Effect.all([nodes.share(node(1), id, request), nodes.share(node(1), id, request)]))
      expect(second).toEqual(first)
    })

    test("many results of both kinds are attested under one root", async () => {
      const made = await Promise.all([given.publicRequest(1), given.userRequest(1), given.publicRequest(2), given.userRequest(2), given.publicRequest(1)])
      const results = await Promise.all(made.map(combined))
      const attested = rootOf(results)
      const part = await using((nodes) => nodes.attest(node(1), attested, results))
      expect(given.isPartOf(1, attestationDigest(made[0]!.request, attested), part)).toBe(true)
    })

    test("a result that is not what comes out is attested by nobody, and says so", async () => {
      const made = await given.publicRequest(1)
      const right = await combined(made)
      const wrong = { ...right, result: (await combined(await given.publicRequest(1))).result }
      expect(await failing((nodes) => nodes.attest(node(1), rootOf([wrong]), [wrong]))).toMatchObject({ _tag: "NodeRefused", nodeId: 1, reason: "result-wrong" })
    })

    test("an attestation that would outlive every deadline is refused", async () => {
      const result = await combined(await given.publicRequest(1))
      const late = { ...rootOf([result]), expiry: result.request.deadline + 1 }
      expect(await failing((nodes) => nodes.attest(node(1), late, [result]))).toMatchObject({ _tag: "NodeRefused", nodeId: 1, reason: "malformed" })
    })

    test("a part for another root than the one that was asked for is not believed", async () => {
      const [result, other] = [await combined(await given.publicRequest(1)), await combined(await given.publicRequest(1))]
      const asked = { ...rootOf([result]), root: rootOf([other]).root }
      expect(await failing((nodes) => nodes.attest(node(1), asked, [result]))).toMatchObject({ _tag: "AnswerInvalid", nodeId: 1 })
    })

    test("a node's no is a refusal with its reason, and names the node", async () => {
      const { id, request } = await given.closedRequest()
      const error = await failing((nodes) => nodes.share(node(1), id, request))
      expect(error).toMatchObject({ _tag: "NodeRefused", nodeId: 1, reason: "not-public" })
    })

    test("a request that the chain does not have is refused", async () => {
      const { request, id } = await given.publicRequest(1)
      const other = { ...request, callbackGas: request.callbackGas + 1 }
      expect(await failing((nodes) => nodes.share(node(1), id, other))).toMatchObject({ _tag: "NodeRefused", reason: "unknown-request" })
    })

    test("a node that cannot see the chain is unavailable, which is no answer", async () => {
      const { request, id } = await given.publicRequest(1)
      given.breakDown(true)
      const error = await failing((nodes) => nodes.share(node(1), id, request))
      given.breakDown(false)
      expect(error).toMatchObject({ _tag: "NodeUnavailable", nodeId: 1, reason: "chain-unavailable" })
      expect(error).toHaveProperty("retryAfterMs", 500)
    })

    test("a node that is not there is unavailable, soon", async () => {
      const { request, id } = await given.publicRequest(1)
      const gone = { ...node(1), endpoint: given.nowhere }
      const error = await failing((nodes) => nodes.share(gone, id, request))
      expect(error).toMatchObject({ _tag: "NodeUnavailable", nodeId: 1 })
    })

    test("another node behind an endpoint is not believed", async () => {
      const { request, id } = await given.publicRequest(1)
      const mistaken = { ...node(1), endpoint: node(2).endpoint }
      const disbelieved = { _tag: given.foundOut === "before it answers" ? "NodeUnavailable" : "AnswerInvalid", nodeId: 1 }
      expect(await failing((nodes) => nodes.share(mistaken, id, request))).toMatchObject(disbelieved)
      expect(await failing((nodes) => nodes.describe(mistaken))).toMatchObject(disbelieved)
    })

    test("an answer that another identity signed is not believed", async () => {
      const { request, id } = await given.publicRequest(1)
      const impostor = { ...node(1), identity: toHex(fromHex(keccak(new Uint8Array(1))).subarray(12)) }
      expect(await failing((nodes) => nodes.share(impostor, id, request))).toMatchObject({ _tag: "AnswerInvalid", nodeId: 1 })
    })

    test("a node says who it is", async () => {
      const before = given.nowMs()
      const said = await using((nodes) => nodes.describe(node(3)))
      expect(said).toMatchObject({ nodeId: 3, identity: node(3).identity, epochs: [1], version: given.version })
      expect(said.clockMs).toBeGreaterThanOrEqual(before)
      expect(said.clockMs).toBeLessThanOrEqual(given.nowMs())
    })

    test("a call that nobody waits for any more is given up", async () => {
      const { request, id } = await given.publicRequest(1)
      const exit = await using((nodes) =>
        Effect.gen(function* () {
          const call = yield* Effect.forkChild(nodes.share(node(1), id, request), { startImmediately: true })
          yield* Fiber.interrupt(call)
          return yield* Fiber.await(call)
        })
      )
      expect(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)).toBe(true)
    })
  })
