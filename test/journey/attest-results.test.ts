/**
 * k nodes attest, the best first; a refusal, a silence and a lie each cost one more node, and no more nodes are asked than
 * needed.
 */
import { Effect, Layer } from "effect"
import { describe, expect, test } from "vitest"
import type { Committee, NodeId } from "../../src/domain/committee.ts"
import { fromHex, toHex } from "../../src/domain/hex.ts"
import { attestationDigest, responseLeaf, resultHashOf } from "../../src/domain/response.ts"
import {
  type NodeError,
  NodeRefused,
  NodeUnavailable,
  type ResultToAttest,
  ShareNodes
} from "../../src/journey/4-shares-collected/share-node.port.ts"
import { attestResults, type ToAttest } from "../../src/journey/5-threshold-verified/attest-results.ts"
import { Combiner, CombinerUnavailable, type CombinedAttestation } from "../../src/journey/5-threshold-verified/combiner.port.ts"
import { merkleRoot } from "../../src/threshold/merkle.ts"
import { aCommitteeRecord, aDetected } from "./a-request.ts"

type Behaviour = "attests" | "refuses" | "is silent"

/** The part of node i is one byte, i: enough to see which parts went where. */
const partOf = (nodeId: NodeId): Uint8Array => Uint8Array.of(nodeId)
const whole = (parts: ReadonlyArray<{ readonly nodeId: NodeId }>): Uint8Array =>
  Uint8Array.from(parts.map(({ nodeId }) => nodeId))

interface Script {
  readonly nodes?: Readonly<Record<NodeId, Behaviour>>
  /** Nodes whose parts are wrong; the combiner finds them out. */
  readonly liars?: ReadonlyArray<NodeId>
  readonly combinerIsDown?: boolean
}

const play = (committee: Committee, of: Partial<ToAttest> = {}, script: Script = {}) => {
  const asked: Array<NodeId> = []
  const combined: Array<{ readonly digest: string; readonly nodes: ReadonlyArray<NodeId> }> = []
  const nodes = Layer.succeed(ShareNodes, {
    share: () => Effect.die("no shares are asked for here"),
    describe: () => Effect.die("nobody is described here"),
    attest: ({ id }) =>
      Effect.suspend((): Effect.Effect<Uint8Array, NodeError> => {
        asked.push(id)
        const behaviour = script.nodes?.[id] ?? "attests"
        if (behaviour === "refuses") return Effect.fail(new NodeRefused({ nodeId: id, reason: "result-wrong", detail: "" }))
        if (behaviour === "is silent") return Effect.fail(new NodeUnavailable({ nodeId: id, reason: "timeout", retryAfterMs: 0 }))
        return Effect.succeed(partOf(id))
      })
  })
  const combiner = Layer.succeed(Combiner, {
    combine: () => Effect.die("no shares are combined here"),
    combineAttestation: (_committee, digest, parts) =>
      Effect.suspend((): Effect.Effect<CombinedAttestation, CombinerUnavailable> => {
        if (script.combinerIsDown) return Effect.fail(new CombinerUnavailable({ reason: "queue full" }))
        combined.push({ digest, nodes: parts.map(({ nodeId }) => nodeId) })
        const liars = parts.map(({ nodeId }) => nodeId).filter((nodeId) => script.liars?.includes(nodeId))
        return Effect.succeed(
          liars.length > 0 ? { type: "too-few", liars } : { type: "attested", attestation: whole(parts), liars: [] }
        )
      })
  })
  const toAttest: ToAttest = {
    committee,
    chainId: 31_337n,
    gateway: `0x${"6a".repeat(20)}`,
    results: [aResult()],
    ranked: committee.nodes.map(({ id }) => id),
    ...of
  }
  const run = () => Effect.runPromise(attestResults(toAttest).pipe(Effect.provide(Layer.merge(nodes, combiner))))
  return { asked, combined, run, toAttest }
}

const aResult = (deadline = 2_000_000_000): ResultToAttest => {
  const { id, facts } = aDetected({ deadline })
  return { requestId: id, request: facts, result: new Uint8Array(96).fill(1), openings: [] }
}

describe("whom it asks", () => {
  test("the k best nodes, and nobody else when they answer", async () => {
    const played = play(aCommitteeRecord(2, 5), { ranked: [4, 2, 1, 5, 3] })
    const { batch, nodes, liars } = await played.run()
    expect(played.asked).toEqual([4, 2])
    expect(nodes).toEqual([4, 2])
    expect(liars).toEqual([])
    expect(batch.attestation).toEqual(Uint8Array.of(4, 2))
  })

  test.each<[Behaviour, Array<NodeId>]>([
    ["refuses", [1, 2, 3]],
    ["is silent", [1, 2, 3]]
  ])("the next best for one that %s", async (behaviour, asked) => {
    const played = play(aCommitteeRecord(2, 5), {}, { nodes: { 1: behaviour } })
    expect((await played.run()).nodes).toEqual([2, 3])
    expect(played.asked).toEqual(asked)
  })

  test("the next best for a liar, who is named; whose part was right is not asked twice", async () => {
    const played = play(aCommitteeRecord(3, 5), {}, { liars: [2] })
    const { nodes, liars } = await played.run()
    expect(played.asked).toEqual([1, 2, 3, 4])
    expect(nodes).toEqual([1, 3, 4])
    expect(liars).toEqual([2])
    expect(played.combined.map((attempt) => attempt.nodes)).toEqual([
      [1, 2, 3],
      [1, 3, 4]
    ])
  })

  test("liars, refusers and silent ones together cost one more each", async () => {
    const played = play(aCommitteeRecord(3, 7), {}, { liars: [1, 5], nodes: { 2: "refuses", 3: "is silent" } })
    const { nodes, liars } = await played.run()
    expect(nodes.toSorted()).toEqual([4, 6, 7])
    expect(liars).toEqual([1, 5])
    expect(played.asked).toHaveLength(7)
    expect(new Set(played.asked).size).toBe(7)
  })
})

describe("when fewer than k attest", () => {
  test("it says why each did not, and how many disagreed", async () => {
    const played = play(aCommitteeRecord(2, 3), {}, { nodes: { 1: "refuses", 2: "is silent" } })
    await expect(played.run()).rejects.toMatchObject({
      _tag: "NotAttested",
      fate: "retry",
      refusals: 1,
      reason: expect.stringMatching(/node 1: result-wrong.*node 2: timeout/) as string
    })
    expect(played.combined).toEqual([])
  })

  test("a committee of liars is named, all of it", async () => {
    const played = play(aCommitteeRecord(2, 3), {}, { liars: [1, 2, 3] })
    await expect(played.run()).rejects.toMatchObject({
      reason: expect.stringMatching(/node 1: wrong part; node 2: wrong part/) as string,
      refusals: 0
    })
  })

  test("too few to ask at all is the same, without an error of ours", async () => {
    await expect(play(aCommitteeRecord(3, 3), { ranked: [1, 2] }).run()).rejects.toMatchObject({
      _tag: "NotAttested",
      reason: "no nodes"
    })
  })

  test("a combiner that cannot work blames nobody", async () => {
    await expect(play(aCommitteeRecord(2, 3), {}, { combinerIsDown: true }).run()).rejects.toMatchObject({
      _tag: "CombinerUnavailable"
    })
  })
})

describe("what is attested", () => {
  test("the root over the results in their order, for as long as the longest-lived of them", async () => {
    const results = [aResult(1_000), aResult(3_000), aResult(2_000)]
    const played = play(aCommitteeRecord(2, 3), { results })
    const { batch } = await played.run()
    const leaves = results.map(({ requestId, result }) => fromHex(responseLeaf(requestId, resultHashOf(result))))
    expect(batch.attested).toEqual({ root: toHex(merkleRoot(leaves)), count: 3, epoch: 1, expiry: 3_000 })
    expect(batch.responses).toEqual(results.map(({ requestId, result }) => ({ requestId, result })))
    expect(played.combined[0]!.digest).toBe(attestationDigest(batch, batch.attested))
  })

  test("a quorum's signatures stand in ascending order of their signers, whoever answered first", async () => {
    const committee = aCommitteeRecord(3, 4, { scheme: "quorum" })
    const played = play(committee, { ranked: [3, 1, 4, 2] })
    const { batch } = await played.run()
    const expected = [3, 1, 4].toSorted((a, b) =>
      BigInt(committee.nodes[a - 1]!.identity) < BigInt(committee.nodes[b - 1]!.identity) ? -1 : 1
    )
    expect([...batch.attestation]).toEqual(expected)
    expect(played.combined).toEqual([])
  })
})
