/** Shamir over G1: any k shares make the one key, fewer make nothing, and a wrong share is blamed on whoever sent it. */
import fc from "fast-check"
import { beforeAll, describe, expect, test } from "vitest"
import { createMclEngine } from "../../src/adapters/worker-threads/mcl-engine.ts"
import { combineAll, combineOne } from "../../src/threshold/combine.ts"
import type { Bls12381Engine } from "../../src/threshold/engine.ts"
import { weightsAtZero } from "../../src/threshold/lagrange.ts"
import { nobleEngine } from "../../src/threshold/noble-engine.ts"
import { signatureScheme, verifyShare } from "../../src/threshold/share.ts"
import { aCommittee, aHashedIdentity, flipBit, shuffled } from "./dealt-committee.ts"

const size = fc.integer({ min: 1, max: 9 }).chain((nodes) => fc.tuple(fc.integer({ min: 1, max: nodes }), fc.constant(nodes)))

describe.each([
  { name: "mcl", start: createMclEngine, runs: 40 },
  { name: "noble", start: async () => nobleEngine, runs: 3 }
])("combination of shares ($name)", ({ start, runs }) => {
  let engine: Bls12381Engine
  beforeAll(async () => {
    engine = await start()
  })

  test("any k of n give the same key, whichever they are and in whatever order", () => {
    fc.assert(
      fc.property(size, ([threshold, nodes]) => {
        const committee = aCommittee(engine, threshold, nodes)
        const hashed = aHashedIdentity(engine, committee)
        const ids = Array.from({ length: nodes }, (_, index) => index + 1)
        const keys = [1, 2, 3].map(() => {
          const combined = combineOne(engine, signatureScheme, committee.key, {
            statement: hashed,
            shares: committee.sharesOf(shuffled(ids).slice(0, threshold), hashed)
          })
          expect(combined).toHaveProperty("whole")
          return "whole" in combined ? Buffer.from(engine.encodeG1(combined.whole)).toString("hex") : ""
        })
        expect(new Set(keys).size).toBe(1)
      }),
      { numRuns: runs }
    )
  })

  test("k-1 shares do not give the key", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 7 }), (threshold) => {
        const committee = aCommittee(engine, threshold, threshold)
        const hashed = aHashedIdentity(engine, committee)
        const shares = committee.sharesOf(Array.from({ length: threshold - 1 }, (_, index) => index + 1), hashed)
        const sum = engine.sumG1(
          shares.map(({ share }) => engine.decodeG1(share)),
          weightsAtZero(shares.map(({ nodeId }) => BigInt(nodeId)))
        )
        const claim = { statement: hashed, part: sum }
        expect(signatureScheme.allHold(engine, committee.key.publicKey.point, [claim])).toBe(false)
      }),
      { numRuns: Math.ceil(runs / 2) }
    )
  })

  test("does not take k-1, k+1, repeated, zero or foreign node ids", () => {
    const committee = aCommittee(engine, 2, 3)
    const hashed = aHashedIdentity(engine, committee)
    const [one, two, three] = committee.sharesOf([1, 2, 3], hashed)
    const combineThese = (...shares: ReadonlyArray<typeof one>) =>
      combineOne(engine, signatureScheme, committee.key, { statement: hashed, shares: shares.map((share) => share!) })
    expect(combineThese(one, two)).toHaveProperty("whole")
    expect(() => combineThese(one)).toThrow("exactly k")
    expect(() => combineThese(one, two, three)).toThrow("exactly k")
    expect(() => combineThese(one, one)).toThrow("two shares of one node")
    expect(() => combineThese(one, { ...two!, nodeId: 0 })).toThrow("1..n")
    expect(() => combineThese(one, { ...two!, nodeId: 4 })).toThrow("1..n")
    expect(() => combineThese(one, { ...two!, nodeId: 1.5 })).toThrow("1..n")
  })

  test("any flipped bit in a share is blamed on the node that sent it, and on nobody else", () => {
    const committee = aCommittee(engine, 3, 5)
    const hashed = aHashedIdentity(engine, committee)
    fc.assert(
      fc.property(fc.constantFrom(1, 2, 3, 4, 5), fc.nat(48 * 8 - 1), (liar, bit) => {
        const others = shuffled([1, 2, 3, 4, 5].filter((id) => id !== liar)).slice(0, 2)
        const shares = committee
          .sharesOf([liar, ...others], hashed)
          .map((given) => (given.nodeId === liar ? { ...given, share: flipBit(given.share, bit) } : given))
        expect(combineOne(engine, signatureScheme, committee.key, { statement: hashed, shares })).toEqual({ liars: [liar] })
      }),
      { numRuns: runs }
    )
  })

  test("names every liar when several lie together with well-formed points", () => {
    const committee = aCommittee(engine, 3, 3)
    const hashed = aHashedIdentity(engine, committee)
    const [one, two, three] = committee.sharesOf([1, 2, 3], hashed).map(({ share }) => share)
    // 1 and 3 exchange their shares; 2 is honest.
    const shares = [
      { nodeId: 1, share: three! },
      { nodeId: 2, share: two! },
      { nodeId: 3, share: one! }
    ]
    expect(combineOne(engine, signatureScheme, committee.key, { statement: hashed, shares })).toEqual({ liars: [1, 3] })
  })

  test("a batch finds exactly the bad ones: liars are named, everything else is combined", () => {
    const committee = aCommittee(engine, 2, 3)
    fc.assert(
      fc.property(fc.array(fc.constantFrom("good", "good", "good", "swapped", "garbled"), { maxLength: 12 }), (kinds) => {
        const answers = kinds.map((kind) => {
          const hashed = aHashedIdentity(engine, committee)
          const shares = committee.sharesOf([1, 2], hashed)
          if (kind === "swapped") shares[1] = { nodeId: 2, share: shares[0]!.share }
          if (kind === "garbled") shares[0] = { nodeId: 1, share: shares[0]!.share.with(0, 0) }
          return { statement: hashed, shares }
        })
        const results = combineAll(engine, signatureScheme, committee.key, answers)
        expect(results.map((result) => ("liars" in result ? result.liars : "whole"))).toEqual(
          kinds.map((kind) => (kind === "good" ? "whole" : kind === "swapped" ? [2] : [1]))
        )
        for (const [index, result] of results.entries()) {
          if (!("whole" in result)) continue
          const claim = { statement: answers[index]!.statement, part: result.whole }
          expect(signatureScheme.allHold(engine, committee.key.publicKey.point, [claim])).toBe(true)
        }
      }),
      { numRuns: Math.ceil(runs / 2) }
    )
  })

  test("two lies that cancel in a plain sum do not cancel in the batch", () => {
    const committee = aCommittee(engine, 1, 1)
    const hashes = [aHashedIdentity(engine, committee), aHashedIdentity(engine, committee)]
    const shift = engine.hashToG1(new Uint8Array(1), "A SHIFT")
    const [left, right] = hashes.map((hashed) => engine.decodeG1(committee.sharesOf([1], hashed)[0]!.share))
    const claims = [
      { statement: hashes[0]!, part: engine.addG1(left!, shift) },
      { statement: hashes[1]!, part: engine.addG1(right!, engine.negateG1(shift)) }
    ]
    const plain = { statement: engine.addG1(hashes[0]!, hashes[1]!), part: engine.addG1(claims[0]!.part, claims[1]!.part) }
    expect(signatureScheme.allHold(engine, committee.key.publicKey.point, [plain])).toBe(true)
    expect(signatureScheme.allHold(engine, committee.key.publicKey.point, claims)).toBe(false)
  })

  test("a share verifies under its node's key, for its own message, and under no other", () => {
    const committee = aCommittee(engine, 2, 3)
    const hashed = aHashedIdentity(engine, committee)
    const share = committee.sharesOf([2], hashed)[0]!.share
    const [one, two] = committee.key.verificationKeys
    expect(verifyShare(engine, two!, hashed, share)).toBe(true)
    expect(verifyShare(engine, one!, hashed, share)).toBe(false)
    expect(verifyShare(engine, two!, aHashedIdentity(engine, committee), share)).toBe(false)
  })
})
