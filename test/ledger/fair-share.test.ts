/** Partitions are shared fairly whoever comes and goes, without a conductor: members see what the ledger shows, late, and move only their own. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { fairShare, type ShareView } from "../../src/ledger/fair-share.ts"

type Owners = Array<string | undefined>

const NAMES = ["ada", "bob", "cy", "dee", "eve", "fay", "gus", "hal", "ivy"]
const members = fc.uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: NAMES.length })
const owners: fc.Arbitrary<Owners> = fc.array(fc.constantFrom(undefined, "stranger", ...NAMES), { minLength: 1, maxLength: 64 })

const counts = (all: Owners, who: ReadonlyArray<string>) => who.map((member) => all.filter((owner) => owner === member).length)

/** What the ledger lets happen: a claim gets what is free, and nobody gives back what is not its own. */
const act = (all: Owners, seen: ShareView, self: string): number => {
  const { claim, giveBack } = fairShare(seen, self)
  for (const partition of claim) all[partition] ??= self
  const given = giveBack.filter((partition) => all[partition] === self)
  for (const partition of given) all[partition] = undefined
  return given.length
}

const isFair = (all: Owners, who: ReadonlyArray<string>): boolean => {
  const held = counts(all, who)
  return all.every((owner) => owner !== undefined && who.includes(owner)) && Math.max(...held) - Math.min(...held) <= 1
}

/** Leases of those who are gone run out. */
const expire = (all: Owners, who: ReadonlyArray<string>): void => {
  for (const [partition, owner] of all.entries()) if (owner !== undefined && !who.includes(owner)) all[partition] = undefined
}

describe("a fair share", () => {
  test("gives everything to who is alone, and nothing to who is no member", () => {
    const view = { members: ["ada"], owners: [undefined, "ada", undefined] }
    expect(fairShare(view, "ada")).toEqual({ claim: [0, 2], giveBack: [] })
    expect(fairShare({ ...view, members: ["bob"] }, "ada")).toEqual({ claim: [], giveBack: [1] })
  })

  test("lets the one who was alone give up half, and no more, to the one who joins", () => {
    const view = { members: ["ada", "bob"], owners: Array.from({ length: 8 }, () => "ada") }
    expect(fairShare(view, "ada")).toEqual({ claim: [], giveBack: [4, 5, 6, 7] })
    expect(fairShare(view, "bob")).toEqual({ claim: [], giveBack: [] })
  })

  test("counts what is being given back already, and takes nothing else instead", () => {
    const view = { members: ["ada", "bob"], owners: Array.from({ length: 8 }, () => "ada") }
    expect(fairShare(view, "ada", [0, 2]).giveBack).toEqual([0, 2, 6, 7])
    expect(fairShare(view, "ada", [0, 1, 2, 3]).giveBack).toEqual([0, 1, 2, 3])
  })

  test("moves nothing that is fair already, whoever has the larger part", () => {
    fc.assert(
      fc.property(members, fc.integer({ min: 1, max: 64 }), fc.nat(), (who, size, shift) => {
        const all = Array.from({ length: size }, (_, partition) => who[(partition + shift) % who.length])
        for (const self of who) expect(fairShare({ members: who, owners: all }, self)).toEqual({ claim: [], giveBack: [] })
      })
    )
  })

  test("deals out every free partition exactly once, to members who may keep it", () => {
    fc.assert(
      fc.property(members, owners, (who, all) => {
        const view = { members: who, owners: all }
        const claimed = who.flatMap((self) => fairShare(view, self).claim).toSorted((a, b) => a - b)
        expect(claimed).toEqual(all.flatMap((owner, partition) => (owner === undefined ? [partition] : [])))
        const after: Owners = [...all]
        for (const self of who) act(after, view, self)
        const most = Math.ceil(all.length / who.length)
        for (const held of counts(after, who)) expect(held).toBeLessThanOrEqual(most)
      })
    )
  })

  test("does not depend on the order in which members are seen", () => {
    fc.assert(
      fc.property(members, owners, (who, all) => {
        for (const self of who) {
          expect(fairShare({ members: who.toReversed(), owners: all }, self)).toEqual(fairShare({ members: who, owners: all }, self))
        }
      })
    )
  })
})

describe("many who act alone", () => {
  test("are fair after two rounds in any order, with as few moves as there can be", () => {
    fc.assert(
      fc.property(members, owners, fc.infiniteStream(fc.nat()), (who, first, chance) => {
        const all = [...first]
        expire(all, who)
        const held = counts(all, who).toSorted((a, b) => b - a)
        const [least, larger] = [Math.floor(all.length / who.length), all.length % who.length]
        const fewest = held.reduce((sum, have, rank) => sum + Math.max(0, have - least - (rank < larger ? 1 : 0)), 0)
        let moved = 0
        for (let round = 0; round < 2; round++) {
          for (const self of shuffled(who, chance)) moved += act(all, { members: who, owners: [...all] }, self)
        }
        expect(isFair(all, who)).toBe(true)
        expect(moved).toBe(fewest)
      })
    )
  })

  test("need no third round when the smaller share is claimed before the larger one", () => {
    const who = ["gus", "fay", "bob"]
    const all: Owners = ["gus", "gus", undefined, undefined, undefined]
    for (const self of ["fay", "bob"]) act(all, { members: who, owners: [...all] }, self)
    expect(counts(all, who)).toEqual([2, 1, 2])
  })

  test("become fair and then stand still although each saw the ledger as it was some moves ago", () => {
    fc.assert(
      fc.property(members, owners, fc.infiniteStream(fc.nat()), (who, first, chance) => {
        const all = [...first]
        expire(all, who)
        const past: Array<Owners> = [[...all]]
        for (let move = 0; move < who.length * 6; move++) {
          const late = past[Math.max(0, past.length - 1 - (next(chance) % 4))]!
          act(all, { members: who, owners: late }, who[next(chance) % who.length]!)
          past.push([...all])
        }
        for (let round = 0; round < 2; round++) for (const self of who) act(all, { members: who, owners: [...all] }, self)
        expect(isFair(all, who)).toBe(true)
        const settled = [...all]
        for (const self of who) act(all, { members: who, owners: [...all] }, self)
        expect(all).toEqual(settled)
      })
    )
  })

  test("take over from the dead and share with newcomers, and never is a partition with nobody once all have looked twice", () => {
    const change = fc.record({ joins: fc.option(fc.constantFrom(...NAMES)), dies: fc.option(fc.nat()) })
    fc.assert(
      fc.property(members, fc.array(change, { maxLength: 12 }), fc.integer({ min: 1, max: 64 }), (first, changes, size) => {
        const who = [...first]
        const all: Owners = Array.from({ length: size }, () => undefined)
        for (const { joins, dies } of changes) {
          if (joins !== null && !who.includes(joins)) who.push(joins)
          if (dies !== null && who.length > 1) who.splice(dies % who.length, 1)
          expire(all, who)
          for (let round = 0; round < 2; round++) for (const self of who) act(all, { members: who, owners: [...all] }, self)
          expect(isFair(all, who)).toBe(true)
        }
      })
    )
  })
})

const next = (chance: fc.Stream<number>): number => chance.next().value ?? 0

const shuffled = (who: ReadonlyArray<string>, chance: fc.Stream<number>): ReadonlyArray<string> =>
  who.map((member) => ({ member, at: next(chance) })).toSorted((a, b) => a.at - b.at).map(({ member }) => member)
