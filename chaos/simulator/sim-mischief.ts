/** Faults that only a simulator can place: a process that dies or stands still in the very moment in which something far away is done for it, a
 * reorganisation that takes a fresh result, links that drop one call in ten, a pool that forgets. On until the liveness phase begins. */
import type { Chance } from "./chance.ts"
import type { SimWorld } from "./sim-world.ts"

const RESTART_MS = [200, 12_000] as const
/** Mostly longer than a lease lives. */
const FROZEN_MS = [5_000, 25_000] as const
const REORG_AFTER_MS = [100, 3_500] as const
const STAYS_MS = [500, 9_000] as const
/** The longest is longer than a lane's patience with a transaction (24 s, machines/transaction-lane.machine.ts). */
const CHAIN_STANDS_MS = [5_000, 45_000] as const
const CHAIN_STANDS_AFTER_MS = [2_000, 25_000] as const
const LOOK_MS = 1_000

/** Where a death or a standstill is worth the most: what is done once in each step of a request's journey. */
const MOMENTS = [
  "save",
  "advance-cursor",
  "lane-take",
  "lane-save",
  "lane-enqueue",
  "lane-pull",
  "keep",
  "intend",
  "claim-overdue",
  "settle",
  "broadcast",
  "share",
  "attest",
  "publish"
] as const
/** As many of them as there are few. */
const FOCUS_TIMES = 300

export interface MischiefOptions {
  /** Of everything done for a gateway elsewhere, so many kill it; 0 to 1. */
  readonly deathAtMoments: number
  /** The same for being frozen. */
  readonly freezeAtMoments: number
  /** Only moments whose name has this in it, and many of those; undefined: any moment. */
  readonly focus: string | undefined
  /** Of the blocks with results, so many are reorganised away soon after. */
  readonly reorgAfterResults: number
  /** Services to which calls are dropped now and then. */
  readonly flaky: ReadonlyArray<string>
  /** Of the transactions that wait, so many are forgotten in a second. */
  readonly poolForgets: number
  readonly forgetfulEndpoints: boolean
  /** When blocks are taken back, so many endpoints go on answering from the branch that was left, for a while. */
  readonly endpointsStay: number
  /** No blocks for so long, once; 0: never. */
  readonly chainStandsMs: number
}

export const drawMischief = (chance: Chance): MischiefOptions => {
  const [dies, flakes, forgets, lies] = [chance.happens(0.5), chance.happens(0.4), chance.happens(0.3), chance.happens(0.2)]
  const deaths = chance.pick([0.0003, 0.001, 0.003])
  const [focused, focus] = [chance.happens(0.4), chance.pick(MOMENTS)]
  const freezes = chance.happens(0.4) ? chance.pick([0.0002, 0.0005, 0.001]) : 0
  const reorgs = chance.happens(0.3) ? 0.5 : 0
  const [stays, stands, standsMs] = [chance.happens(0.3), chance.happens(0.15), chance.between(...CHAIN_STANDS_MS)]
  const services = chance.shuffled(["postgres", "nats", "r1", "r2", "k1", "k2", "store"]).slice(0, chance.between(1, 3))
  return {
    deathAtMoments: dies ? deaths : 0,
    freezeAtMoments: freezes,
    focus: focused ? focus : undefined,
    reorgAfterResults: reorgs,
    flaky: flakes ? services : [],
    poolForgets: forgets ? 0.2 : 0,
    forgetfulEndpoints: lies,
    endpointsStay: stays ? 0.5 : 0,
    chainStandsMs: stands ? standsMs : 0
  }
}

/** Answers how to end it. */
export const beginMischief = (world: SimWorld, options: MischiefOptions): (() => void) => {
  const chance = world.chance.stream("mischief")
  let isOn = true
  const ends: Array<() => void> = []
  const moments = new Map<string, number>()
  /** What is done all the time would otherwise take all the chances. */
  const rarity = (what: string): number => {
    const count = (moments.get(what) ?? 0) + 1
    moments.set(what, count)
    return 1 + 50 / count
  }
  world.onMoment = (node, moment, service, what) => {
    if (!isOn || !node.process.isRunning || world.gateways.get(node.name) !== node) return
    if (options.focus !== undefined && !what.startsWith(options.focus)) return
    const times = options.focus === undefined ? rarity(`${moment} ${what}`) : FOCUS_TIMES
    const [dies, freezes] = [chance.happens(options.deathAtMoments * times), chance.happens(options.freezeAtMoments * times)]
    if (dies) {
      world.history.inject("death", `of ${node.name} ${moment} ${service}: ${what}`)
      world.kill(node.name)
      world.loop.after(world.process, chance.between(...RESTART_MS), () => world.start(node.name))
    } else if (freezes) {
      world.history.inject("standstill", `of ${node.name} ${moment} ${service}: ${what}`)
      node.process.freeze()
      world.loop.after(world.process, chance.between(...FROZEN_MS), () => {
        world.history.sometimes("frozen process woke up")
        node.process.thaw()
      })
    }
  }
  world.chain.onBlock = (block) => {
    if (!isOn || block.effects.length === 0 || !chance.happens(options.reorgAfterResults)) return
    world.loop.after(world.process, chance.between(...REORG_AFTER_MS), () => {
      if (!isOn || world.chain.head.number < block.number) return
      world.history.inject("reorg of a result", `in block ${block.number}`)
      world.chain.reorganise(world.chain.head.number - block.number + 1, 0)
    })
  }
  world.chain.onLeft = (branch) => {
    for (const endpoint of world.endpoints) {
      if (!isOn || !chance.happens(options.endpointsStay)) continue
      world.history.inject("left branch", `${endpoint.name} stays on block ${branch.number} of it`)
      const end = endpoint.stayOn(branch)
      ends.push(end)
      world.loop.after(world.process, chance.between(...STAYS_MS), end)
    }
  }
  if (options.chainStandsMs > 0) {
    const goOn = (): void => void (world.chain.isStalled = false)
    world.loop.after(world.process, chance.between(...CHAIN_STANDS_AFTER_MS), () => {
      if (!isOn) return
      world.history.inject("chain stands", `for ${options.chainStandsMs} ms`)
      world.history.sometimes("chain stood still")
      world.chain.isStalled = true
      world.loop.after(world.process, options.chainStandsMs, goOn)
    })
    ends.push(goOn)
  }
  const flake = (name: string): void => {
    for (const [service, link] of world.gateways.get(name)?.links ?? []) {
      if (options.flaky.includes(service)) ends.push(link.trouble({ type: "flaky" }))
    }
  }
  for (const name of world.gateways.keys()) flake(name)
  ends.push(world.onStarted(flake))
  if (options.flaky.length > 0) world.history.inject("flaky links", options.flaky.join(", "))
  const forget = (): void => {
    if (!isOn || options.poolForgets === 0) return
    world.chain.forgetPool(options.poolForgets)
    world.loop.after(world.process, LOOK_MS, forget)
  }
  forget()
  if (options.forgetfulEndpoints) {
    const [endpoint] = world.endpoints
    const fault = chance.pick(["forgets", "answers-nothing"] as const)
    world.history.inject("endpoint", `${endpoint!.name} ${fault} broadcasts`)
    const end = endpoint!.lie(fault)
    ends.push(() => void end())
  }
  return () => {
    isOn = false
    for (const end of ends) end()
  }
}
