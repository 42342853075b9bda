/** Nodes that misbehave on order do exactly what their fault says, and the gateway's side tells the kinds apart. */
import { Effect } from "effect"
import { afterAll, beforeAll, expect, test } from "vitest"
import { shareNodesLayer } from "../../../src/adapters/kms-node/share-nodes.layer.ts"
import { fromHex } from "../../../src/domain/hex.ts"
import { type DecryptionRequest, requestIdOf } from "../../../src/domain/request.ts"
import { ShareNodes } from "../../../src/journey/4-shares-collected/share-node.port.ts"
import { NODE_FAULTS } from "../../../src/kms-node/fault.ts"
import { PointRejected } from "../../../src/threshold/point-rejected.ts"
import { verifyShare } from "../../../src/threshold/share.ts"
import { verificationKeyOf } from "../../../src/threshold/shared-key.ts"
import { readTransportKey, verifyEncryptedShare } from "../../../src/threshold/transport.ts"
import { chainDouble, type ChainDouble } from "../../support/chain-double.ts"
import { dealCommittee, type DealtCommittee, type KmsCommittee, startCommittee } from "../../support/kms-committee.ts"
import { requestsOn, rootOf } from "../../support/kms-requests.ts"

let dealt: DealtCommittee
let chain: ChainDouble
let kms: KmsCommittee
let requests: ReturnType<typeof requestsOn>
let made: { readonly public: DecryptionRequest; readonly user: DecryptionRequest }

/** Node i has fault i - 1 of the list; the last two are honest. */
const idOf = (fault: (typeof NODE_FAULTS)[number]) => NODE_FAULTS.indexOf(fault) + 1

beforeAll(async () => {
  dealt = await dealCommittee({ threshold: 2, nodes: NODE_FAULTS.length + 2 })
  chain = chainDouble(dealt.committee)
  kms = await startCommittee(dealt, {
    chainView: chain.layer,
    transport: "insecure",
    fault: (id) => NODE_FAULTS[id - 1],
    drainMsMax: 200
  })
  requests = requestsOn(dealt.engine, chain)
  const [forAll, mine] = [await requests.publish("public"), await requests.publish(chain.requester)]
  made = {
    public: await chain.requestPublic([forAll.handle]),
    user: await chain.requestUser({ handles: [mine.handle], transportKey: requests.transportKey() })
  }
})
afterAll(async () => {
  await kms.stop()
  await dealt.remove()
})

const ask = (id: number, request: DecryptionRequest, timeoutMs = 4_000) =>
  ShareNodes.pipe(
    Effect.flatMap((nodes) => nodes.share(kms.node(id), requestIdOf(request), request)),
    Effect.provide(shareNodesLayer({ security: { insecure: true }, timeoutMs }))
  )
const isRight = (id: number, request: DecryptionRequest, share: Uint8Array): boolean | "no share" => {
  const [key, hashed] = [verificationKeyOf(requests.keys.decryption, id), requests.hashedFor(request.handles[0]!)]
  try {
    if (request.kind === "public") return verifyShare(dealt.engine, key, hashed, share)
    const transportKey = readTransportKey(dealt.engine, fromHex(request.transportKey))
    return verifyEncryptedShare(dealt.engine, key, { hashed, transportKey }, share)
  } catch (error) {
    if (error instanceof PointRejected) return "no share"
    throw error
  }
}

test.each([
  ["wrong-share", "public", false],
  ["wrong-share", "user", false],
  ["equivocate", "public", false],
  ["equivocate", "user", false],
  ["malformed", "public", "no share"],
  ["malformed", "user", "no share"]
] as const)("%s, for a %s request: signed by the node, and wrong", async (fault, kind, verdict) => {
  const request = made[kind]
  const [first, second] = await Effect.runPromise(Effect.all([ask(idOf(fault), request), ask(idOf(fault), request)]))
  expect(isRight(idOf(fault), request, first.shares[0]!)).toBe(verdict)
  if (fault === "equivocate") expect(second).not.toEqual(first)
  else expect(second).toEqual(first)
})

test("silent: no answer within the caller's time", async () => {
  expect(await Effect.runPromise(Effect.flip(ask(idOf("silent"), made.public, 150)))).toMatchObject({
    _tag: "NodeUnavailable",
    reason: "deadline-exceeded"
  })
})

test("refuse: a no to what is allowed", async () => {
  expect(await Effect.runPromise(Effect.flip(ask(idOf("refuse"), made.public)))).toMatchObject({
    _tag: "NodeRefused",
    reason: "not-allowed"
  })
})

test("the two honest ones are enough, and the liars' attestation parts are wrong", async () => {
  const [a, b] = [NODE_FAULTS.length + 1, NODE_FAULTS.length + 2]
  const answers = await Effect.runPromise(Effect.all([ask(a, made.user), ask(b, made.user)]))
  const result = requests.resultOf(made.user, answers, [])
  const attest = (id: number) =>
    ShareNodes.pipe(
      Effect.flatMap((nodes) => nodes.attest(kms.node(id), rootOf([result]), [result])),
      Effect.provide(shareNodesLayer({ security: { insecure: true } })),
      Effect.runPromise
    )
  const [good, bad] = [await attest(a), await attest(idOf("wrong-share"))]
  expect([good.length, bad.length]).toEqual([48, 48])
  expect(bad).not.toEqual(good)
})
