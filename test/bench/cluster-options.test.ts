import { describe, expect, it } from "vitest"
import { PARTS, readOptions } from "../../bench/cluster/options.ts"
import { isShared, mostOf } from "../../bench/support/lease-holders.ts"

const rejected = (...args: ReadonlyArray<string>) => {
  const read = readOptions(args)
  return "rejected" in read ? read.rejected : "accepted"
}

describe("the options of bench:cluster", () => {
  it("measure everything when nothing is said", () => {
    expect(readOptions([])).toMatchObject({ options: { only: PARTS, nodes: [1, 2, 4], repetitions: 5, soakMinutes: 30, json: false } })
  })

  it("choose parts, in the order in which they are measured", () => {
    expect(readOptions(["--only", "soak, nodes-stub"])).toMatchObject({ options: { only: ["nodes-stub", "soak"] } })
  })

  it("are answered with one sentence when they make no sense", () => {
    expect(rejected("--only", "nodes-stub,gas")).toMatch(/^--only takes any of nodes-stub, .*; not gas$/)
    expect(rejected("--seconds", "2")).toBe("--seconds is a number, at least 3")
    expect(rejected("--seconds", "soon")).toBe("--seconds is a number, at least 3")
    expect(rejected("--nodes", "1,9")).toBe("--nodes takes whole numbers from 1 to 8, separated by commas")
    expect(rejected("--kills", "chain")).toMatch(/^--kills takes any of whole-gateway, /)
    expect(rejected("--repetitions", "0")).toBe("--repetitions is a whole number, at least 1")
    expect(rejected("--finished", "1e7.5")).toBe("--finished is a whole number, at least 1")
    expect(rejected("--soak-minutes", "")).toBe("--soak-minutes is a number, at least 1")
    expect(rejected("--fast")).toContain("--fast")
  })
})

describe("whom a bench kills", () => {
  const held = (lease: string, node: string) => ({ lease, node })
  const partitions = (...nodes: ReadonlyArray<string>) => nodes.map((node, index) => held(`partition/${index}`, node))

  it("is whoever holds most leases of a kind", () => {
    const holders = [...partitions("a", "b", "b"), held("lane/1/0x00", "a"), held("lane/1/0x01", "a")]
    expect(mostOf(holders, "partition")).toBe("b")
    expect(mostOf(holders, "lane")).toBe("a")
    expect(mostOf(holders, "listener")).toBeUndefined()
  })

  it("is only asked when every coordinator has its share and a listener leads", () => {
    const [a, b] = ["a", "b"]
    const fair = partitions(a, a, a, a, b, b, b, b)
    const leader = held("listener/1", a)
    expect(isShared([...fair, leader], 2)).toBe(true)
    expect(isShared(fair, 2)).toBe(false)
    expect(isShared([...fair.slice(1), leader], 2)).toBe(false)
    expect(isShared([...partitions(a, a, a, a, a, b, b, b), leader], 2)).toBe(false)
    expect(isShared([...partitions(a, a, a, a, a, a, a, a), leader], 2)).toBe(false)
    expect(isShared([...partitions(a, a, a, a, a, a, a, a), leader], 1)).toBe(true)
  })
})
