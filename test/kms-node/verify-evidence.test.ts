/** Evidence convicts whoever lied, and cannot be made against a node that did not. */
import { randomBytes } from "node:crypto"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { type Committee } from "../../src/domain/committee.ts"
import { readEvidence, type WrongShareEvidence, wrongShareEvidence } from "../../src/domain/evidence.ts"
import { type Hex, toHex } from "../../src/domain/hex.ts"
import { type DecryptionRequest, requestIdOf } from "../../src/domain/request.ts"
import type { ShareAnswer } from "../../src/domain/share.ts"
import { type EvidenceAnchor, verifyEvidence } from "../../src/kms-node/verify-evidence.ts"
import { type ChainDouble, chainDouble } from "../support/chain-double.ts"
import { dealCommittee, type DealtCommittee } from "../support/kms-committee.ts"
import { requestsOn } from "../support/kms-requests.ts"
import { type LoneNode, loneNode } from "../support/lone-node.ts"

let dealt: DealtCommittee
let chain: ChainDouble
let nodes: Record<"honest" | "other" | "liar" | "garbler", LoneNode>
let anchor: EvidenceAnchor
let made: ReadonlyArray<DecryptionRequest>

beforeAll(async () => {
  dealt = await dealCommittee({ threshold: 2, nodes: 4 })
  chain = chainDouble(dealt.committee)
  nodes = {
    honest: await loneNode(dealt, chain.view, 1),
    other: await loneNode(dealt, chain.view, 2),
    liar: await loneNode(dealt, chain.view, 3, { fault: "wrong-share" }),
    garbler: await loneNode(dealt, chain.view, 4, { fault: "malformed" })
  }
  anchor = { chainId: chain.chainId, gateway: chain.view.gateway, registry: chain.view.registry, committee: dealt.committee }
  const requests = requestsOn(dealt.engine, chain)
  const [a, b] = [await requests.publish("public"), await requests.publish("public")]
  const [c, d] = [await requests.publish(chain.requester), await requests.publish(chain.requester)]
  made = [
    await chain.requestPublic([a.handle, b.handle]),
    await chain.requestPublic([b.handle]),
    await chain.requestUser({ handles: [c.handle, d.handle], transportKey: requests.transportKey() }),
    await chain.requestUser({ handles: [c.handle], transportKey: requests.transportKey() })
  ]
})
afterAll(async () => {
  await Promise.all(Object.values(nodes).map((node) => node.stop()))
  await dealt.remove()
})

const evidenceOf = (request: DecryptionRequest, answer: ShareAnswer): WrongShareEvidence =>
  wrongShareEvidence({ request, registry: chain.view.registry, committee: dealt.committee, answer, foundAtMs: 1_800_000_000_000 })
const judge = (evidence: WrongShareEvidence, by = anchor) => verifyEvidence(dealt.engine, evidence, by)

describe("a node that lied is convicted", () => {
  test.each([0, 1, 2, 3])("by its own signed answer to request %i, from a file", async (index) => {
    const request = made[index]!
    const file = JSON.stringify(evidenceOf(request, await nodes.liar.share(request)))
    const evidence = readEvidence(JSON.parse(file))
    expect(evidence).toBeDefined()
    expect(judge(evidence!)).toEqual({
      type: "proved",
      requestId: requestIdOf(request),
      nodeId: 3,
      identity: dealt.committee.nodes[2]!.identity,
      wrong: { handleIndex: 0 }
    })
  })

  test("when what it signed are no points", async () => {
    expect(judge(evidenceOf(made[0]!, await nodes.garbler.share(made[0]!)))).toMatchObject({ type: "proved", nodeId: 4 })
  })

  test("though its endpoint has moved and the epoch is retired since", async () => {
    const evidence = evidenceOf(made[1]!, await nodes.liar.share(made[1]!))
    const later: Committee = {
      ...dealt.committee,
      isRetired: true,
      nodes: dealt.committee.nodes.map((node) => ({ ...node, endpoint: "elsewhere:1" }))
    }
    expect(judge(evidence, { ...anchor, committee: later })).toMatchObject({ type: "proved" })
  })
})

describe("an honest node is not convicted", () => {
  test.each([0, 1, 2, 3])("by its answer to request %i", async (index) => {
    expect(judge(evidenceOf(made[index]!, await nodes.honest.share(made[index]!)))).toEqual({
      type: "not-proved",
      reason: "shares-right"
    })
  })

  test("by another node's lie under its name", async () => {
    const lie = await nodes.liar.share(made[0]!)
    expect(judge(evidenceOf(made[0]!, { ...lie, nodeId: 1 }))).toEqual({ type: "not-proved", reason: "signature-not-the-nodes" })
  })

  test("by its own words, cut into shares elsewhere", async () => {
    const answer = await nodes.honest.share(made[0]!)
    const signed = Buffer.concat(answer.shares)
    for (const shares of [[signed], [signed.subarray(0, 47), signed.subarray(47)], [...answer.shares, new Uint8Array()]]) {
      expect(judge(evidenceOf(made[0]!, { ...answer, shares }))).toEqual({ type: "not-proved", reason: "shares-right" })
    }
  })

  test("by a record of other keys, another registry or another gateway than the judge's", async () => {
    const answer = await nodes.honest.share(made[0]!)
    const evidence = evidenceOf(made[0]!, answer)
    const key = dealt.committee.nodes[1]!.decryptionKey
    const forgeries: ReadonlyArray<WrongShareEvidence> = [
      { ...evidence, registry: toHex(randomBytes(20)) },
      { ...evidence, gateway: toHex(randomBytes(20)) },
      { ...evidence, chainId: "1" },
      { ...evidence, committee: { ...evidence.committee, decryptionKey: key } },
      {
        ...evidence,
        committee: { ...evidence.committee, nodes: evidence.committee.nodes.map((node) => ({ ...node, decryptionKey: key })) }
      },
      { ...evidence, committee: { ...evidence.committee, nodes: evidence.committee.nodes.slice(1) } },
      { ...evidence, committee: { ...evidence.committee, epoch: 2 } },
      { ...evidence, request: { ...evidence.request, epoch: 2 } }
    ]
    for (const forged of forgeries) expect(judge(forged)).toEqual({ type: "not-proved", reason: "anchor-differs" })
  })

  test("by anything an attacker can make of all that honest nodes ever signed", async () => {
    const honest = [nodes.honest, nodes.other]
    const answers = await Promise.all(honest.flatMap((node) => made.map((request) => node.share(request))))
    const points = answers.flatMap(({ shares }) => shares)
    const hex = (bytes: number): fc.Arbitrary<Hex> => fc.uint8Array({ minLength: bytes, maxLength: bytes }).map(toHex)
    const either = <T>(...values: ReadonlyArray<T>) => fc.constantFrom(...values)

    const forged = fc
      .record({
        answer: either(...answers),
        request: either(...made),
        signature: fc.oneof(
          either(...answers.map(({ signature }) => signature)),
          fc.uint8Array({ minLength: 65, maxLength: 65 })
        ),
        shares: fc.array(fc.oneof(either(...points), fc.uint8Array({ maxLength: 200 })), { maxLength: 4 }),
        nodeId: fc.integer({ min: 0, max: 5 }),
        facts: fc.record({
          requester: hex(20),
          salt: hex(32),
          deadline: fc.nat(),
          callbackGas: fc.nat(1_000),
          transportKey: hex(48)
        }),
        // Which of the attacker's parts stand in for the honest ones.
        takes: fc.record({ request: fc.boolean(), signature: fc.boolean(), shares: fc.boolean(), nodeId: fc.boolean() }),
        fact: either("none", "requester", "salt", "deadline", "callbackGas", "transportKey", "handles", "kind")
      })
      .map(({ answer, request, signature, shares, nodeId, facts, takes, fact }) => {
        const own = made.find((candidate) => requestIdOf(candidate) === answer.requestId)!
        const evidence = evidenceOf(takes.request ? request : own, {
          ...answer,
          ...(takes.signature ? { signature } : {}),
          ...(takes.shares ? { shares } : {}),
          ...(takes.nodeId ? { nodeId } : {})
        })
        const changed = {
          none: {},
          requester: { requester: facts.requester },
          salt: { salt: facts.salt },
          deadline: { deadline: facts.deadline },
          callbackGas: { callbackGas: facts.callbackGas },
          transportKey: { transportKey: facts.transportKey },
          handles: { handles: evidence.request.handles.toReversed() },
          kind: { kind: evidence.request.kind === "public" ? ("user" as const) : ("public" as const) }
        }[fact]
        return { ...evidence, request: { ...evidence.request, ...changed } } satisfies WrongShareEvidence
      })
    fc.assert(
      fc.property(forged, (evidence) => {
        expect(judge(evidence).type).toBe("not-proved")
      }),
      { numRuns: 400 }
    )
  })
})

test("a file that is no evidence is not read", async () => {
  const good = JSON.parse(JSON.stringify(evidenceOf(made[0]!, await nodes.liar.share(made[0]!)))) as Record<string, unknown>
  const bad: ReadonlyArray<unknown> = [
    undefined,
    null,
    [],
    "evidence",
    {},
    { ...good, version: 2 },
    { ...good, kind: "late" },
    { ...good, chainId: 1 },
    { ...good, chainId: "0x1" },
    { ...good, shares: ["0xZZ"] },
    { ...good, shares: "0x" },
    { ...good, signature: "00" },
    { ...good, nodeId: -1 },
    { ...good, nodeId: 1.5 },
    { ...good, extra: true },
    { ...good, request: { ...(good["request"] as object), handles: Array.from({ length: 33 }, () => `0x${"00".repeat(32)}`) } }
  ]
  for (const json of bad) expect(readEvidence(json)).toBeUndefined()
  fc.assert(
    fc.property(fc.jsonValue(), (json) => {
      expect(readEvidence(json)).toBeUndefined()
    })
  )
})
