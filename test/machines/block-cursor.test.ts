/** The cursor against a simulated chain that reorganises at will, and endpoints of which some have not noticed: it ends on the canonical
 * chain, or it stops. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import {
  nextCursor,
  openCursor,
  UNSETTLED_BLOCKS_MAX,
  type CursorEvent,
  type CursorStep,
  type LinkedBlock
} from "../../machines/block-cursor.machine.ts"
import type { Hex } from "../../src/domain/hex.ts"
import type { BlockRef } from "../../src/domain/outcome.ts"

const hashOf = (height: number, fork: number): Hex =>
  `0x${height.toString(16).padStart(32, "0")}${fork.toString(16).padStart(32, "0")}`

const refTo = (height: number, fork: number): BlockRef => ({ blockNumber: height, blockHash: hashOf(height, fork) })
const refOf = ({ number, hash }: LinkedBlock): BlockRef => ({ blockNumber: number, blockHash: hash })
const NOTHING_FINAL = { final: refTo(0, 0), ours: null } as const

const headSeen = (height: number, fork: number): CursorEvent => ({ type: "head-seen", head: refTo(height, fork), ...NOTHING_FINAL })

const heights = (from: number, to: number): ReadonlyArray<number> => Array.from({ length: to - from + 1 }, (_, index) => from + index)
const linked = (from: number, to: number, fork: number): ReadonlyArray<LinkedBlock> =>
  heights(from, to).map((number) => ({ number, hash: hashOf(number, fork), parentHash: hashOf(number - 1, fork) }))

/** What an endpoint sees. */
interface Side {
  readonly chain: ReadonlyArray<LinkedBlock>
  readonly finalized: number
}

/** A chain whose tip may be replaced, and beside it the blocks that the listener has stored, as the ledger would keep them. */
class World {
  readonly chain: Array<LinkedBlock> = []
  stored = new Map<number, LinkedBlock>()
  cursor: BlockRef | null = null
  finalized = 0
  /** What an endpoint sees that has not noticed the newest reorganisation. */
  left: Side | undefined
  /** Whether the next question goes to that one. */
  isAskedOfLeft: () => boolean = () => false
  private readonly calledFinal = new Set<Hex | null>()
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
    this.left = { chain: [...this.chain], finalized: this.finalized }
    this.chain.length = Math.max(1, this.chain.length - depth)
    this.mine(length)
  }

  /** Each question anew, as behind a load balancer. */
  private get seen(): Side {
    return this.left !== undefined && this.isAskedOfLeft() ? this.left : this
  }

  private ours(height: number): Hex | null {
    return this.stored.get(height)?.hash ?? null
  }

  next(step: CursorStep): CursorStep {
    const event = this.obey(step)
    return event === "fails" ? openCursor({ ...START, cursor: this.cursor }) : nextCursor(JSON.parse(JSON.stringify(step.snapshot)), event)
  }

  /** What a listener's actor does with an instruction. */
  private obey({ instruction, snapshot }: CursorStep): CursorEvent | "fails" {
    switch (instruction.type) {
      case "watch": {
        const [head, { chain, finalized }] = [this.seen.chain.at(-1)!, this.seen]
        const final = chain[Math.min(finalized, chain.length - 1)]!
        this.calledFinal.add(final.hash)
        return { type: "head-seen", head: refOf(head), final: refOf(final), ours: this.ours(final.number) }
      }
      case "read": {
        const blocks = heights(instruction.from, instruction.to).map((height) => this.seen.chain[height])
        const end = blocks.indexOf(undefined)
        this.lastRead = (end === -1 ? blocks : blocks.slice(0, end)) as Array<LinkedBlock>
        return { type: "blocks-read", blocks: this.lastRead }
      }
      case "look":
        return { type: "looked", ours: this.ours(instruction.height), theirs: this.seen.chain[instruction.height]?.hash ?? null }
      case "confirm": {
        const words = [this, this.left ?? this].map(({ chain, finalized }) => (finalized < instruction.height ? undefined : chain[instruction.height]))
        const isTakenBack = words.every((word) => word !== undefined && word.hash !== instruction.ours)
        return isTakenBack ? { type: "taken-back" } : "fails"
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
          this.cursor = refOf(block)
        }
        const { keepFrom } = instruction
        if (keepFrom > 0) expect(this.calledFinal, "only what is final is forgotten").toContain(this.ours(keepFrom))
        return { type: "advanced" }
      }
      case "stop":
        return headSeen(0, 0)
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
    step = world.next(step)
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
      step = world.next(step)
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
      step = world.next(step)
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
    const torn = [...linked(1, 2, 0), ...linked(3, 4, 1)]
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
    while (step.instruction.type !== "advance") step = world.next(step)
    const moved = nextCursor(step.snapshot, { type: "cursor-moved", cursor: { blockNumber: 7, blockHash: hashOf(7, 0) } })
    expect(moved.instruction).toEqual({ type: "read", from: 8, to: 9 })
  })

  test("stops when the chain takes back a block that it had called final, and stays stopped", () => {
    const world = new World()
    world.mine(10)
    world.finalized = 8
    const before = settle(world, openCursor(START))
    world.reorganise(5, 7)
    world.left = undefined
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
    world.left = undefined
    expect(settle(world, openCursor({ ...START, cursor: world.cursor })).snapshot.value).toBe("stopped")
  })

  test("takes no block for final because of its number: an endpoint may be on a branch that was left", () => {
    const seen = nextCursor(openCursor(START).snapshot, { type: "head-seen", head: refTo(4, 0), final: refTo(9, 1), ours: null })
    const read = nextCursor(seen.snapshot, { type: "blocks-read", blocks: linked(1, 4, 0) })
    expect(read.instruction).toMatchObject({ type: "advance", count: 4, keepFrom: 0 })
    const stored = nextCursor(read.snapshot, { type: "advanced" })
    const told = (fork: number) =>
      nextCursor(stored.snapshot, { type: "head-seen", head: refTo(4, 0), final: refTo(3, fork), ours: hashOf(3, 0) })
    expect([told(1), told(0)].map(({ snapshot }) => snapshot.context.settled)).toEqual([-1, 3])
  })

  test("finds the final block among those that it reads", () => {
    const seen = nextCursor(openCursor(START).snapshot, { type: "head-seen", head: refTo(4, 0), final: refTo(3, 0), ours: null })
    const { instruction } = nextCursor(seen.snapshot, { type: "blocks-read", blocks: linked(1, 4, 0) })
    expect(instruction).toMatchObject({ type: "advance", count: 4, keepFrom: 3 })
  })

  test("far behind the final block, keeps no more than it may", () => {
    const cursor = refTo(50_000, 0)
    const head: CursorEvent = { type: "head-seen", head: refTo(90_000, 0), final: refTo(80_000, 0), ours: null }
    const seen = nextCursor(openCursor({ ...START, cursor }).snapshot, head)
    const { instruction } = nextCursor(seen.snapshot, { type: "blocks-read", blocks: linked(50_001, 50_004, 0) })
    expect(instruction).toMatchObject({ type: "advance", count: 4, keepFrom: 50_004 - UNSETTLED_BLOCKS_MAX })
  })

  test("does not stop because one endpoint has another block where ours is final: others are asked", () => {
    const world = new World()
    world.mine(10)
    world.finalized = 4
    const before = settle(world, openCursor(START))
    world.reorganise(2, 3)
    let step = before
    for (let moves = 0; moves < 20 && step.instruction.type !== "confirm"; moves++) {
      const { instruction, snapshot } = step
      // It compares with one that is still at the third block.
      const late = (height: number): CursorEvent => ({ type: "looked", ours: hashOf(height, 0), theirs: null })
      step = instruction.type === "look" ? nextCursor(snapshot, late(instruction.height)) : world.next(step)
    }
    expect(step.instruction).toEqual({ type: "confirm", height: 4, ours: hashOf(4, 0) })
    expect(nextCursor(step.snapshot, { type: "looked", ours: hashOf(4, 0), theirs: null })).toEqual(step)
    expect(settle(world, step).snapshot.value).toBe("following")
    expect(world.cursor?.blockHash).toBe(world.chain.at(-1)?.hash)
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

  const live = (happenings: ReadonlyArray<Happening>, mayTakeBackFinal: boolean, isAskedOfLeft = () => false): { world: World; step: CursorStep } => {
    const world = new World()
    world.isAskedOfLeft = isAskedOfLeft
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
          step = world.next(step)
        }
      }
    }
    world.mine(9)
    world.left = undefined
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

  test("while final blocks stay, an endpoint on a branch that was left neither stops it nor leads it astray", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 30 }), fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }), (happenings, asked) => {
        let questions = 0
        const { world, step } = live(happenings, false, () => asked[questions++ % asked.length]!)
        expect(step.snapshot.value).toBe("following")
        expect(world.cursor?.blockHash).toBe(world.chain.at(-1)?.hash)
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
