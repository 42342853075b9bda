import fc from "fast-check"
import { expect, test } from "vitest"
import { WaitingRoom, type WaitingWork } from "../../actors/runtime/waiting-room.ts"

const requesterOf = (who: number) => `0x${String(who).padStart(40, "0")}` as const
const idOf = (id: number) => `0x${id.toString(16).padStart(64, "0")}` as const
const work = (id: number, who: number, version = 1): WaitingWork => ({
  ...{ requestId: idOf(id), version, reached: "acl-checked", outboxId: null, deadline: 1, requester: requesterOf(who), claim: 0 }
})

const filled = (...whose: ReadonlyArray<number>): WaitingRoom => {
  const room = new WaitingRoom()
  whose.forEach((who, id) => room.add(work(id, who)))
  return room
}
const ids = (taken: ReadonlyArray<WaitingWork>) => taken.map(({ requestId }) => Number(requestId))

test("one of each requester in turn, each requester's oldest first", () => {
  const room = filled(1, 1, 1, 2, 3, 2)
  expect(ids(room.take(4))).toEqual([0, 3, 4, 1])
  expect(ids(room.take(10))).toEqual([5, 2])
  expect(room.size).toBe(0)
})

test("a newcomer has the next turn but those of the others who wait", () => {
  const room = filled(1, 1, 1, 1)
  expect(ids(room.take(1))).toEqual([0])
  room.add(work(9, 2))
  expect(ids(room.take(2))).toEqual([1, 9])
})

test("what is taken back loses its place, and what was decided about since is not given out", () => {
  const room = filled(1, 1, 2)
  room.remove(idOf(0))
  room.add(work(1, 1, 2))
  expect(room.has(idOf(1), 1)).toBe(false)
  expect(room.take(10).map(({ requestId, version }) => [Number(requestId), version])).toEqual([
    [2, 1],
    [1, 2]
  ])
})

test("whatever is added is taken once, and nobody gets two turns while another waits for one", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(5), { maxLength: 60 }), fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 60 }), (whose, takes) => {
      const room = filled(...whose)
      const taken = [...takes.flatMap((count) => [...room.take(count)]), ...room.take(100)]
      expect(ids(taken).toSorted((a, b) => a - b)).toEqual(whose.map((_, id) => id))
      const turns = new Map<string, number>()
      for (const [place, { requester }] of taken.entries()) {
        turns.set(requester, (turns.get(requester) ?? 0) + 1)
        const left = new Set(taken.slice(place + 1).map((one) => one.requester))
        for (const other of left) expect(turns.get(requester)! - (turns.get(other) ?? 0)).toBeLessThanOrEqual(1)
      }
    })
  )
})
