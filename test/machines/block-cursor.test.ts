/** The cursor against a simulated chain that reorganises at will: it ends on the canonical chain, or it stops. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import {
  nextCursor,
  openCursor,
  type CursorEvent,
  type CursorStep,
  type LinkedBlock
} from "../../machines/block-cursor.machine.ts"
import type { Hex } from "../../src/domain/hex.ts"
import type { BlockRef } from "../../src/domain/outcome.ts"

const hashOf = (height: number, fork: number): Hex =>
  `0x${height.toString(16).padStart(32, "0")}${fork.toString(16).padStart(32, "0")}`

const headSeen = (height: number, fork: number): CursorEvent => ({
  type: "head-seen",
  head: { blockNumber: height, blockHash: hashOf(height, fork) },
  finalized: 0
})

/** A chain whose tip may be replaced, and beside it the blocks that the listener has stored, as the ledger would keep them. */
class World {
  readonly chain: Array<LinkedBlock> = []
  stored = new Map<number, LinkedBlock>()
  cursor: BlockRef | null = null
  finalized = 0
  private forks = 0
  private lastRead: ReadonlyArray<LinkedBlock> = []

  constructor() {
    this.mine(1)
  }

  mine(count: number): void {
    for (let made = 0; made < count; made++) {
      const number = this.chain.length
      this.chain.push({ number, hash: hashOf(number, this.forks), parentHash: this.chain.at(-1)?.hash ?? hashOf(0, 999) })
    }
  }

  reorganise(depth: number, length: number): void {
    this.forks += 1
    this.chain.length = Math.max(1, this.chain.length - depth)
    this.mine(length)
  }

  /** What a listener's actor does with an instruction. */
  obey({ instruction, snapshot }: CursorStep): CursorEvent {
    switch (instruction.type) {
      case "watch": {
        const head = this.chain.at(-1)
        return {
          type: "head-seen",
          head: { blockNumber: head?.number ?? 0, blockHash: head?.hash ?? "0x" },
          finalized: Math.min(this.finalized, this.chain.length - 1)
        }
      }
      case "read":
        this.lastRead = this.chain.slice(instruction.from, instruction.to + 1)
        return { type: "blocks-read", blocks: this.lastRead }
      case "look":
        return {
          type: "looked",
          ours: this.stored.get(instruction.height)?.hash ?? null,
          theirs: this.chain[instruction.height]?.hash ?? null
        }
      case "advance": {
        expect(instruction.expected).toBe(this.cursor?.blockHash ?? null)
        expect(instruction.ancestor, "what was final stays").toBeGreaterThanOrEqual(snapshot.context.settled)
        const lowest = Math.min(...this.stored.keys())
        if (this.stored.size > 0 && lowest > snapshot.context.startBlock) {
          expect(instruction.ancestor).toBeGreaterThanOrEqual(lowest)
        }
        for (const height of this.stored.keys()) {
          if (height > instruction.ancestor || height < instruction.keepFrom) this.stored.delete(height)
        }
        for (const block of this.lastRead.slice(0, instruction.count)) {
          const parent = this.stored.get(block.number - 1)
          if (parent !== undefined) expect(block.parentHash, "a block stands on its parent").toBe(parent.hash)
          this.stored.set(block.number, block)
          this.cursor = { blockNumber: block.number, blockHash: block.hash }
        }
        return { type: "advanced" }
      }
      case "stop":
        return { type: "head-seen", head: { blockNumber: 0, blockHash: "0x" }, finalized: 0 }
    }
  }
}

const START = { cursor: null, startBlock: 1, batchBlocksMax: 4 } as const

/** Until it waits for a head it has already seen, or stops; every snapshot goes through JSON. */
const settle = (world: World, from: CursorStep): CursorStep => {
  let step = from
  let watches = 0
  for (let moves = 0; moves < 2_000; moves++) {
    if (step.instruction.type === "stop") return step
    if (step.instruction.type === "watch" && ++watches > 2) return step
    step = nextCursor(JSON.parse(JSON.stringify(step.snapshot)), world.obey(step))
  }
  throw new TypeError("the cursor goes round in circles")
}

const storedChain = (world: World): ReadonlyArray<Hex> =>
  [...world.stored.values()].toSorted((a, b) => a.number - b.number).map(({ hash }) => hash)

describe("the cursor", () => {
  test("catches up in bounded batches from the start block, then follows", () => {
    const world = new World()
    world.mine(10)
    const states: Array<string> = []
    let step = openCursor(START)
    for (let moves = 0; moves < 9; moves++) {
      states.push(`${step.snapshot.value} ${step.instruction.type}`)
      if (step.instruction.type === "read") expect(step.instruction.to - step.instruction.from).toBeLessThan(4)
      step = nextCursor(step.snapshot, world.obey(step))
    }
    expect(states).toEqual([
      "following watch",
      "catching-up read",
      "catching-up advance",
      "catching-up read",
      "catching-up advance",
      "following read",
      "following advance",
      "following watch",
      "following watch"
    ])
    expect(storedChain(world)).toEqual(world.chain.slice(1).map(({ hash }) => hash))
  })

  test("rewinds three blocks to the common ancestor and replaces them in one step", () => {
    const world = new World()
    world.mine(8)
    const before = settle(world, openCursor(START))
    world.reorganise(3, 4)
    const seen: Array<string> = []
    let step = before
    for (let moves = 0; moves < 9; moves++) {
      seen.push(step.instruction.type === "look" ? `look ${step.instruction.height}` : step.instruction.type)
      if (step.instruction.type === "advance") expect(step.instruction).toMatchObject({ ancestor: 5, count: 4 })
      step = nextCursor(step.snapshot, world.obey(step))
    }
    expect(seen).toEqual(["watch", "read", "look 8", "look 7", "look 6", "look 5", "read", "advance", "watch"])
    expect(storedChain(world)).toEqual(world.chain.slice(1).map(({ hash }) => hash))
  })

  test("sees a replaced tip of the same height without waiting for the next block", () => {
    const world = new World()
    world.mine(5)
    const before = settle(world, openCursor(START))
    world.reorganise(1, 1)
    settle(world, before)
    expect(world.cursor?.blockHash).toBe(world.chain.at(-1)?.hash)
  })

  test("waits when an endpoint lags behind, and forgets nothing", () => {
    const world = new World()
    world.mine(6)
    const before = settle(world, openCursor(START))
    const after = nextCursor(before.snapshot, headSeen(2, 0))
    expect(after.instruction).toEqual({ type: "watch" })
    expect(after.snapshot.context.cursor).toEqual(world.cursor)
  })

  test("stores only the part of a batch that hangs together", () => {
    const step = nextCursor(openCursor(START).snapshot, headSeen(9, 1))
    const torn = [1, 2, 3, 4].map((number) => ({
      number,
      hash: hashOf(number, number < 3 ? 0 : 1),
      parentHash: hashOf(number - 1, number <= 2 ? 0 : 1)
    }))
    const { instruction } = nextCursor(step.snapshot, { type: "blocks-read", blocks: torn })
    expect(instruction).toMatchObject({ type: "advance", count: 2, ancestor: 0 })
  })

  test("does not turn in circles when two endpoints disagree about the tip", () => {
    const world = new World()
    world.mine(5)
    const before = settle(world, openCursor(START))
    const higher = nextCursor(before.snapshot, headSeen(6, 7))
    const elsewhere = nextCursor(higher.snapshot, {
      type: "blocks-read",
      blocks: [{ number: 6, hash: hashOf(6, 7), parentHash: hashOf(5, 7) }]
    })
    expect(elsewhere.instruction).toEqual({ type: "look", height: 5 })
    const same = nextCursor(elsewhere.snapshot, { type: "looked", ours: hashOf(5, 0), theirs: hashOf(5, 0) })
    expect(same.instruction).toEqual({ type: "watch" })
  })

  test("goes on from where another listener has brought the cursor", () => {
    const world = new World()
    world.mine(9)
    let step = openCursor(START)
    while (step.instruction.type !== "advance") step = nextCursor(step.snapshot, world.obey(step))
    const moved = nextCursor(step.snapshot, { type: "cursor-moved", cursor: { blockNumber: 7, blockHash: hashOf(7, 0) } })
    expect(moved.instruction).toEqual({ type: "read", from: 8, to: 9 })
  })

  test("stops when the chain takes back a block that it had called final, and stays stopped", () => {
    const world = new World()
    world.mine(10)
    world.finalized = 8
    const before = settle(world, openCursor(START))
    world.reorganise(5, 7)
    const stopped = settle(world, before)
    expect(stopped.instruction).toEqual({ type: "stop", reason: "reorg-below-finalized", height: 8 })
    expect(stopped.snapshot.value).toBe("stopped")
    expect(nextCursor(stopped.snapshot, { type: "advanced" })).toEqual(stopped)
  })

  test("stops after a restart too: final blocks are forgotten, so the walk back finds nothing to stand on", () => {
    const world = new World()
    world.mine(10)
    world.finalized = 8
    settle(world, openCursor(START))
    world.reorganise(5, 7)
    expect(settle(world, openCursor({ ...START, cursor: world.cursor })).snapshot.value).toBe("stopped")
  })

  test("a reorganisation that became final while nobody listened is followed, not feared", () => {
    const world = new World()
    world.mine(10)
    world.finalized = 4
    settle(world, openCursor(START))
    world.reorganise(4, 12)
    world.finalized = 15
    const after = settle(world, openCursor({ ...START, cursor: world.cursor }))
    expect(after.snapshot.value).toBe("following")
    expect(world.cursor?.blockHash).toBe(world.chain.at(-1)?.hash)
  })

  test("a reorganisation below the start block begins again at the start block", () => {
    const world = new World()
    world.mine(6)
    const start = { ...START, startBlock: 4 }
    const before = settle(world, openCursor(start))
    world.reorganise(5, 6)
    const after = settle(world, before)
    expect(after.snapshot.value).toBe("following")
    expect(storedChain(world)).toEqual(world.chain.slice(4).map(({ hash }) => hash))
  })
})

describe("against any chain", () => {
  const happening = fc.oneof(
    fc.record({ type: fc.constant("mine" as const), count: fc.integer({ min: 1, max: 9 }) }),
    fc.record({
      type: fc.constant("reorganise" as const),
      depth: fc.integer({ min: 1, max: 6 }),
      length: fc.integer({ min: 0, max: 8 })
    }),
    fc.record({ type: fc.constant("finalise" as const), lag: fc.integer({ min: 0, max: 5 }) }),
    fc.record({ type: fc.constant("move" as const), moves: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ type: fc.constant("restart" as const) })
  )

  type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never

  const live = (happenings: ReadonlyArray<Happening>, mayTakeBackFinal: boolean): { world: World; step: CursorStep } => {
    const world = new World()
    let step = openCursor(START)
    for (const event of happenings) {
      if (event.type === "mine") world.mine(event.count)
      else if (event.type === "finalise") world.finalized = Math.max(world.finalized, world.chain.length - 1 - event.lag)
      else if (event.type === "restart") {
        if (step.instruction.type !== "stop") step = openCursor({ ...START, cursor: world.cursor })
      } else if (event.type === "reorganise") {
        const most = mayTakeBackFinal ? event.depth : Math.min(event.depth, world.chain.length - 1 - world.finalized)
        if (most > 0) world.reorganise(most, event.length)
      } else {
        for (let moves = 0; moves < event.moves && step.instruction.type !== "stop"; moves++) {
          step = nextCursor(step.snapshot, world.obey(step))
        }
      }
    }
    world.mine(9)
    return { world, step: settle(world, step) }
  }

  test("while final blocks stay, it always ends on the canonical chain and never stops", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 30 }), (happenings) => {
        const { world, step } = live(happenings, false)
        expect(step.snapshot.value).toBe("following")
        expect(world.cursor?.blockHash).toBe(world.chain.at(-1)?.hash)
        const kept = storedChain(world)
        expect(kept).toEqual(world.chain.slice(-kept.length).map(({ hash }) => hash))
      }),
      { numRuns: 400 }
    )
  })

  test("when final blocks are taken back, it stops or is still right: it never stands on a dead block", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 30 }), (happenings) => {
        const { world, step } = live(happenings, true)
        if (step.instruction.type === "stop") return
        expect(world.cursor?.blockHash).toBe(world.chain.at(-1)?.hash)
      }),
      { numRuns: 400 }
    )
  })
})
