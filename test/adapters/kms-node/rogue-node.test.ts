/** A node may send a gateway anything. What is not a right answer becomes an error with the node's name on it, and nothing else happens. */
import { Metadata, Server, ServerCredentials, type ServiceError, status } from "@grpc/grpc-js"
import { Effect } from "effect"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import * as proto from "../../../src/adapters/kms-node/generated/portcullis/kms/v1/kms_node.ts"
import { shareNodesLayer } from "../../../src/adapters/kms-node/share-nodes.layer.ts"
import { writeAnswer } from "../../../src/adapters/kms-node/wire.ts"
import type { CommitteeNode } from "../../../src/domain/committee.ts"
import { fromHex } from "../../../src/domain/hex.ts"
import { type DecryptionRequest, requestIdOf } from "../../../src/domain/request.ts"
import type { ShareAnswer } from "../../../src/domain/share.ts"
import { type ResultToAttest, ShareNodes } from "../../../src/journey/4-shares-collected/share-node.port.ts"
import { type ChainDouble, chainDouble } from "../../support/chain-double.ts"
import { dealCommittee, type DealtCommittee } from "../../support/kms-committee.ts"
import { requestsOn, rootOf } from "../../support/kms-requests.ts"
import { type LoneNode, loneNode } from "../../support/lone-node.ts"

type Reply = Uint8Array | Partial<ServiceError>

let dealt: DealtCommittee
let chain: ChainDouble
let honest: LoneNode
let server: Server
let node: CommitteeNode
let request: DecryptionRequest
let other: DecryptionRequest
let answer: ShareAnswer
let result: ResultToAttest
/** What the rogue says next, whatever it is asked. */
let reply: Reply

beforeAll(async () => {
  dealt = await dealCommittee({ threshold: 1, nodes: 2, scheme: "quorum" })
  chain = chainDouble(dealt.committee)
  honest = await loneNode(dealt, chain.view)
  const requests = requestsOn(dealt.engine, chain)
  const [first, second] = [await requests.publish("public"), await requests.publish("public")]
  request = await chain.requestPublic([first.handle, second.handle])
  other = await chain.requestPublic([second.handle, first.handle])
  answer = await honest.share(request)
  result = requests.resultOf(request, [answer], [first, second])
  server = new Server()
  const rogue = {
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes
  } as const
  const path = (method: string) => ({ ...rogue, path: `/portcullis.kms.v1.KmsNode/${method}` })
  const say = (_: unknown, callback: (error: Partial<ServiceError> | null, bytes?: Buffer) => void) =>
    reply instanceof Uint8Array ? callback(null, Buffer.from(reply)) : callback(reply)
  server.addService(
    { share: path("Share"), attest: path("Attest"), describe: path("Describe") },
    { share: say, attest: say, describe: say }
  )
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error)
    )
  )
  node = { ...dealt.committee.nodes[0]!, endpoint: `127.0.0.1:${port}` }
})
afterAll(async () => {
  server.forceShutdown()
  await honest.stop()
  await dealt.remove()
})

const METHODS = {
  share: (nodes) => nodes.share(node, requestIdOf(request), request),
  attest: (nodes) => nodes.attest(node, rootOf([result]), [result]),
  describe: (nodes) => nodes.describe(node)
} satisfies Record<string, (nodes: ShareNodes["Service"]) => Effect.Effect<unknown, unknown>>
type Method = keyof typeof METHODS

const heard = (method: Method, says: Reply) => {
  reply = says
  return Effect.flatMap(ShareNodes, (nodes): Effect.Effect<unknown, unknown> => METHODS[method](nodes)).pipe(
    Effect.result,
    Effect.provide(shareNodesLayer({ security: { insecure: true }, timeoutMs: 2_000 })),
    Effect.runPromise
  )
}
const shareOf = (change: Partial<proto.ShareAnswer>) => proto.ShareAnswer.encode({ ...writeAnswer(answer), ...change }).finish()
const invalid = (reason: string) => ({ _tag: "Failure", failure: { _tag: "AnswerInvalid", nodeId: 1, reason, fate: "retry" } })

describe("an answer is taken only", () => {
  test("when it is the right one", async () => {
    expect(await heard("share", shareOf({}))).toMatchObject({ _tag: "Success", success: answer })
  })

  test.each<readonly [string, () => Partial<proto.ShareAnswer>, string]>([
    [
      "when it is about this request",
      () => ({ requestId: Buffer.from(fromHex(requestIdOf(other))) }),
      "it is about another request"
    ],
    ["when it is of this epoch", () => ({ epoch: 2 }), "it is of another epoch"],
    ["when it is from this node", () => ({ nodeId: 2 }), "it is from another node"],
    ["with a share for each handle", () => ({ shares: [Buffer.from(answer.shares[0]!)] }), "not one share for each handle"],
    [
      "with no more shares than handles",
      () => ({ shares: Array<Buffer>(3).fill(Buffer.alloc(48)) }),
      "not one share for each handle"
    ],
    ["with shares of 48 bytes", () => ({ shares: [Buffer.alloc(47), Buffer.alloc(49)] }), "a share has the wrong length"],
    [
      "with the shares in the signed order",
      () => ({ shares: answer.shares.map(Buffer.from).toReversed() }),
      "it is not signed by the node's identity"
    ],
    ["with a signature of 65 bytes", () => ({ signature: Buffer.alloc(64) }), "it is not signed by the node's identity"],
    ["with a signature", () => ({ signature: Buffer.alloc(0) }), "it is not signed by the node's identity"],
    [
      "with the signature of this answer",
      () => ({ shares: [Buffer.alloc(48), Buffer.alloc(48)] }),
      "it is not signed by the node's identity"
    ]
  ])("%s", async (_, change, reason) => {
    expect(await heard("share", shareOf(change()))).toMatchObject(invalid(reason))
  })

  test("when it is not the honest answer to another request, replayed", async () => {
    const replayed = { ...writeAnswer(await honest.share(other)), requestId: Buffer.from(fromHex(requestIdOf(request))) }
    expect(await heard("share", proto.ShareAnswer.encode(replayed).finish())).toMatchObject(
      invalid("it is not signed by the node's identity")
    )
  })

  test("when it is not enormous", async () => {
    expect(await heard("share", shareOf({ shares: Array<Buffer>(200).fill(Buffer.alloc(48)) }))).toMatchObject({
      failure: { _tag: "AnswerInvalid", reason: expect.stringMatching(/^a message of \d+ bytes; at most \d+ are read$/) }
    })
    expect(await heard("share", new Uint8Array(1_000_000))).toMatchObject({ failure: { _tag: "NodeUnavailable" } })
  })
})

describe("an attestation part is taken only", () => {
  const part = async (change: Partial<proto.AttestAnswer>) => {
    const { root, nodeId, part: signature } = await honest.attest({ epoch: 1, expiry: request.deadline, results: [result] })
    return proto.AttestAnswer.encode({
      root: Buffer.from(fromHex(root)),
      nodeId,
      part: Buffer.from(signature),
      ...change
    }).finish()
  }

  test("when the pinned identity signed this root", async () => {
    expect(await heard("attest", await part({}))).toMatchObject({ _tag: "Success" })
    expect(await heard("attest", await part({ root: Buffer.alloc(32) }))).toMatchObject(invalid("it attests another root"))
    expect(await heard("attest", await part({ nodeId: 2 }))).toMatchObject(invalid("it is from another node"))
    expect(await heard("attest", await part({ part: Buffer.alloc(10) }))).toMatchObject(invalid("the part has the wrong length"))
    expect(await heard("attest", await part({ part: Buffer.alloc(65) }))).toMatchObject(
      invalid("it is not signed by the node's identity")
    )
  })
})

describe("whatever else it says", () => {
  const methods = fc.constantFrom<Method>("share", "attest", "describe")

  test("any bytes are an invalid answer", () =>
    fc.assert(
      fc.asyncProperty(methods, fc.uint8Array({ maxLength: 400 }), async (method, bytes) => {
        expect(await heard(method, bytes)).toMatchObject({ failure: { _tag: "AnswerInvalid", nodeId: 1 } })
      }),
      { numRuns: 80 }
    ))

  test("any status and any trailer are an error of this node, and never a text of its own making in place of a reason", () =>
    fc.assert(
      fc.asyncProperty(
        methods,
        fc.integer({ min: 1, max: 16 }),
        fc.uint8Array({ maxLength: 100 }),
        async (method, code, trailer) => {
          const metadata = new Metadata()
          metadata.set("portcullis-refusal-bin", Buffer.from(trailer))
          const outcome = await heard(method, { code, details: "TEXT-OF-THE-ROGUE", metadata })
          expect(outcome).toMatchObject({
            failure: { nodeId: 1, _tag: expect.stringMatching(/^(NodeUnavailable|NodeRefused|AnswerInvalid)$/) }
          })
          expect(JSON.stringify(outcome)).not.toContain("ROGUE")
        }
      ),
      { numRuns: 80 }
    ))

  test("a refusal keeps its reason, its detail within bounds, and a bounded time to stay away", async () => {
    const refusal = (reason: string, retryAfterMs: number) => {
      const metadata = new Metadata()
      const bytes = proto.Refusal.encode({ reason, detail: "d".repeat(5_000), retryAfterMs }).finish()
      metadata.set("portcullis-refusal-bin", Buffer.from(bytes))
      return { code: status.UNKNOWN, details: "", metadata }
    }
    expect(await heard("share", refusal("not-public", 0))).toMatchObject({
      failure: { _tag: "NodeRefused", reason: "not-public", detail: "d".repeat(512) }
    })
    expect(await heard("share", refusal("too-many-requests", 2 ** 32 - 1))).toMatchObject({
      failure: { _tag: "NodeUnavailable", reason: "too-many-requests", retryAfterMs: 60_000 }
    })
    expect(await heard("share", refusal("because", 0))).toMatchObject({ failure: { _tag: "NodeUnavailable", reason: "unknown" } })
  })
})
