/** What can be done to a simulated cluster: the levers of chaos/rig.ts, pulled on plain objects. */
import { workSubject } from "../../src/domain/journey.ts"
import { CannotInject, kindOf, nothingToUndo, type KmsFault, type Levers, type LinkFault, type Target, type Undo } from "../rig.ts"
import { BASE_FEE } from "./chain/sim-chain.ts"
import type { LinkTrouble } from "./remote-call.ts"
import type { SimWorld } from "./sim-world.ts"

/** As `terminationGracePeriodSeconds`: then it is killed. */
const DRAIN_MS_MAX = 30_000
/** Bytes that travel for a typical call. */
const CALL_BYTES = 500
/** Elections of NATS servers: the stream's leader is gone, nobody confirms (stack.md, finding 5). */
const ELECTION_MS = 5_000

const undo =
  (act: () => void): Undo =>
  async () =>
    act()

const troubleOf = (fault: LinkFault): LinkTrouble => {
  switch (fault.type) {
    case "cut":
      return { type: fault.direction === "in" ? "answers-lost" : "swallowed" }
    case "delay":
      return { type: "slow", ms: fault.ms }
    case "half-open":
      return { type: "answers-lost" }
    case "slow-drip":
      return { type: "slow", ms: (CALL_BYTES * 1_000) / fault.bytesPerSecond }
  }
}

/** Faults of one kind that overlap: the worst of them holds, and when the last is over, all is well. */
class Overlaps {
  private readonly active = new Map<string, Array<number>>()

  begin(what: string, value: number, set: (worst: number) => void): Undo {
    const values = this.active.get(what) ?? []
    this.active.set(what, values)
    values.push(value)
    set(Math.max(...values))
    return undo(() => {
      values.splice(values.indexOf(value), 1)
      set(Math.max(0, ...values))
    })
  }
}

/** Every link between the two; a node that starts meanwhile is troubled too. */
class Troubles {
  private readonly world: SimWorld

  constructor(world: SimWorld) {
    this.world = world
  }

  begin(gateway: (name: string) => boolean, service: (name: string) => boolean, trouble: LinkTrouble): Undo {
    const one = { gateway, service, trouble }
    const undos = [...this.world.gateways].filter(([name]) => gateway(name)).flatMap(([name]) => this.onto(name, one))
    const later = this.world.onStarted((name) => (gateway(name) ? undos.push(...this.onto(name, one)) : undefined))
    return undo(() => {
      later()
      for (const end of undos) end()
    })
  }

  private onto(name: string, { service, trouble }: { readonly service: (name: string) => boolean; readonly trouble: LinkTrouble }) {
    const links = this.world.gateways.get(name)?.links ?? new Map<string, never>()
    return [...links].filter(([peer]) => service(peer)).map(([, link]) => link.trouble(trouble))
  }
}

const everything = () => true

export const simLevers = (world: SimWorld): Levers => {
  const troubles = new Troubles(world)
  const overlaps = new Overlaps()
  const stopDatabase = () =>
    overlaps.begin("postgres", 1, (down) => (down > 0 ? world.database.stop() : world.database.start()))
  let startDatabase: Undo = nothingToUndo
  const { history } = world
  const downNats = new Set<Target>()
  const kmsNode = (target: Target) => world.kmsNodes[Number(target.slice(1)) - 1]!
  const endpoint = (target: Target) => world.endpoints[Number(target.slice(1)) - 1]!
  const cannot = (what: string, target: Target): never => {
    throw new CannotInject(`${what} ${target}`, "the simulator has no such thing")
  }
  let natsUndo: Undo = nothingToUndo
  const judgeNats = async () => {
    await natsUndo()
    const quorum = downNats.size * 2 < world.shape.natsServers
    natsUndo = quorum ? nothingToUndo : troubles.begin(everything, (peer) => peer === "nats", { type: "refused" })
  }
  const election = () => {
    const end = troubles.begin(everything, (peer) => peer === "nats", { type: "swallowed" })
    world.loop.after(world.process, ELECTION_MS, () => void end())
  }

  const kill = async (target: Target) => {
    switch (kindOf(target)) {
      case "gateway":
        return world.kill(target)
      case "kms":
        return kmsNode(target).stop()
      case "nats-server":
        downNats.add(target)
        if (world.chance.happens(1 / world.shape.natsServers)) election()
        return judgeNats()
      case "nats":
        for (let index = 1; index <= world.shape.natsServers; index++) downNats.add(`n${index}`)
        return judgeNats()
      case "postgres":
        await startDatabase()
        startDatabase = stopDatabase()
        return
      default:
        return cannot("kill", target)
    }
  }
  const start = async (target: Target) => {
    switch (kindOf(target)) {
      case "gateway":
        return world.start(target)
      case "kms":
        return kmsNode(target).start()
      case "nats-server":
        downNats.delete(target)
        return judgeNats()
      case "nats":
        downNats.clear()
        return judgeNats()
      case "postgres":
        return startDatabase()
      default:
        return cannot("start", target)
    }
  }

  return {
    kill,
    start,
    stop: async (target) => {
      const node = world.gateways.get(target)
      if (node === undefined) return kill(target)
      let isOver = !node.process.isAlive
      node.drain(() => (isOver = true))
      world.pass(DRAIN_MS_MAX, () => isOver)
      history.tell(target, isOver ? "has drained" : "did not drain in time")
      if (!isOver) world.kill(target)
    },
    freeze: async (target) => {
      // A server that is stopped is, to all others, one that is gone.
      if (kindOf(target) === "nats-server") return kill(target)
      return (kindOf(target) === "kms" ? kmsNode(target).process : processOf(world, target)).freeze()
    },
    thaw: async (target) => {
      if (kindOf(target) === "nats-server") return start(target)
      history.sometimes("frozen process woke up")
      const process = kindOf(target) === "kms" ? kmsNode(target).process : processOf(world, target)
      process.thaw()
    },
    link: async (target, peer, fault) => {
      const trouble = troubleOf(fault)
      const named = (name: string | undefined) => (name === undefined ? everything : (one: string) => one === name || (name.startsWith("n") && one === "nats"))
      return kindOf(target) === "gateway"
        ? troubles.begin((name) => name === target, named(peer), trouble)
        : troubles.begin(peer === undefined ? everything : (name) => name === peer, named(target), trouble)
    },
    messages: async (gateway, { type, share }) => {
      const shares = world.messagesOf(gateway)
      return overlaps.begin(`${gateway} ${type}`, share, (worst) => (shares[type] = worst))
    },
    rollBackNats: async () => {
      const backup = world.broker.backup()
      return undo(() => world.broker.restore(backup))
    },
    wipeNats: async (target) => {
      if (kindOf(target) === "nats" || world.shape.natsServers === 1) world.broker.wipe()
    },
    stopPostgresAtOnce: async () => stopDatabase(),
    promoteStandby: async (lostMs) => {
      const seen = world.database.copy()
      world.pass(lostMs, () => false)
      world.database.promote(seen)
      history.sometimes("standby promoted")
      history.tell("standby", `promoted without the last ${lostMs} ms`)
      return nothingToUndo
    },
    snapshotPostgres: async () => {
      const snapshot = world.database.copy()
      const fromMs = world.nowMs
      return undo(() => {
        world.database.restore(snapshot)
        history.tell("postgres", `set back by ${world.nowMs - fromMs} ms`)
      })
    },
    fillDisk: async (target) => {
      if (kindOf(target) === "postgres") return stopDatabase()
      if (kindOf(target) !== "nats-server" && kindOf(target) !== "nats") return nothingToUndo
      return troubles.begin(everything, (peer) => peer === "nats", { type: "refused" })
    },
    skewClock: async (target, ms) => {
      history.sometimes("clock skewed")
      const process = kindOf(target) === "kms" ? kmsNode(target).process : processOf(world, target)
      process.skewMs += ms
      return undo(() => (process.skewMs -= ms))
    },
    reorg: async (depth, lostShare) => void world.chain.reorganise(depth, lostShare),
    raiseFees: async (times) =>
      overlaps.begin("fees", times, (worst) => (world.chain.baseFee = BASE_FEE * BigInt(Math.max(1, Math.round(worst))))),
    rpc: async (target, fault) => {
      const at = endpoint(target)
      switch (fault.type) {
        case "stale":
          return overlaps.begin(`${target} lag`, fault.blocks, (worst) => (at.lag = worst))
        case "missing-logs":
          return overlaps.begin(`${target} omits`, fault.share, (worst) => (at.omitting = worst))
        case "rate-limit":
          return overlaps.begin(`${target} limits`, fault.share, (worst) => (at.limiting = worst))
        default:
          return at.lie(fault.type)
      }
    },
    kms: async (target, fault: KmsFault) => {
      const node = kmsNode(target)
      if (fault.type === "amnesia") {
        node.forget()
        return nothingToUndo
      }
      const { type } = fault
      return overlaps.begin(`${target} ${type}`, 1, (on) => (on > 0 ? node.faults.add(type) : node.faults.delete(type)))
    },
    store: async (fault) => {
      if (fault.type === "slow") return troubles.begin(everything, (peer) => peer === "store", { type: "slow", ms: fault.ms })
      const way = fault.type === "corrupt" ? "corrupt" : fault.status === 404 ? "missing" : "unavailable"
      return overlaps.begin(`store ${way}`, fault.share, (worst) => (world.store.shares[way] = worst))
    },
    publishPoison: async () => world.broker.publish(workSubject("detected"), new Uint8Array([0xde, 0xad])),
    loseLaneKey: async (gateway, lane) => {
      const change = (act: (lost: Set<number>) => void) => {
        act(world.lostKeysOf(gateway))
        if (world.gateways.get(gateway)?.process.isAlive !== true) return
        world.kill(gateway)
        world.start(gateway)
      }
      change((lost) => lost.add(lane))
      return undo(() => change((lost) => lost.delete(lane)))
    }
  }
}

const processOf = (world: SimWorld, target: Target) => {
  const node = world.gateways.get(target)
  if (node === undefined) throw new CannotInject(target, "there is no such gateway")
  return node.process
}
