/** Every lever of the process rig: signals, links, files and the faults that each part knows. */
import { readdir, rename } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { connect } from "@nats-io/transport-node"
import { Effect } from "effect"
import { workSubject } from "../../src/domain/journey.ts"
import type { NodeFault } from "../../src/kms-node/fault.ts"
import { CannotInject, kindOf, nothingToUndo, type KmsFault, type Levers, type LinkFault, type Target, type Undo } from "../rig.ts"
import type { Chain } from "./chain.ts"
import type { Databases } from "./databases.ts"
import type { Gateway } from "./gateways.ts"
import type { KmsNode } from "./kms-nodes.ts"
import type { NatsServer } from "../../test/support/nats-server.ts"
import type { NatsCluster } from "./nats-cluster.ts"
import type { ObjectStoreServer } from "./object-store.ts"
import type { RpcEndpoint } from "./rpc-endpoint.ts"
import type { SmallDisk } from "./small-disk.ts"
import type { Link } from "./wiring.ts"

export interface Parts {
  readonly databases: Databases
  readonly chain: Chain
  readonly nats: NatsCluster
  readonly store: ObjectStoreServer
  readonly endpoints: ReadonlyMap<Target, RpcEndpoint>
  readonly gateways: ReadonlyMap<Target, Gateway>
  readonly kmsNodes: ReadonlyMap<Target, KmsNode>
  readonly lanes: number
  /** Of gateways, between NATS servers, and before KMS nodes. */
  readonly links: ReadonlyArray<Link>
  readonly disks: ReadonlyMap<Target, SmallDisk>
}

/** As `portcullis kms-node --fault` calls them; forgetting is not one of them. */
const NODE_FAULT: Readonly<Record<Exclude<KmsFault["type"], "amnesia">, NodeFault>> = {
  throttle: "throttle",
  timeout: "silent",
  "5xx": "broken",
  "wrong-share": "wrong-share",
  equivocation: "equivocate",
  "malformed-share": "malformed",
  "oversized-reply": "oversized"
}
/** A message on each subject that has listeners: no envelope, and not even text. */
const POISON = new Uint8Array([0xff, 0x00, 0x7b, 0x22])

/** A start that takes longer has failed, and is a fault of its own. */
const ROLL_WAIT_MS_MAX = 180_000
const LOOK_EVERY_MS = 50

const flipped = (fault: LinkFault): LinkFault =>
  fault.type !== "cut" || fault.direction === "both" ? fault : { type: "cut", direction: fault.direction === "in" ? "out" : "in" }

const startedAnew = async (server: NatsServer): Promise<void> => {
  if (server.isRunning) await server.kill()
  await server.start()
}

export const processLevers = (parts: Parts): Levers => {
  const { databases, chain, nats, store } = parts
  const gateway = (target: Target): Gateway => {
    const found = parts.gateways.get(target)
    if (found === undefined) throw new CannotInject(target, "is no gateway")
    return found
  }
  const kmsNode = (target: Target): KmsNode => {
    const found = parts.kmsNodes.get(target)
    if (found === undefined) throw new CannotInject(target, "is no KMS node")
    return found
  }
  const by = <A>(target: Target, of: Partial<Record<string, () => A>>): A => {
    const work = of[kindOf(target) ?? ""]
    if (work === undefined) throw new CannotInject(target, "real processes of this kind cannot do that")
    return work()
  }
  /** What starts and ends one process is done one after the other: on a slow machine a start outlasts the next fault's beginning. */
  const turns = new Map<Target, Promise<unknown>>()
  const inTurn = <A>(target: Target, work: () => Promise<A>): Promise<A> => {
    const turn = kindOf(target) === "nats-server" ? "nats" : target
    const mine = (turns.get(turn) ?? Promise.resolve()).then(work)
    turns.set(turn, mine.catch(() => {}))
    return mine
  }
  /** Told to stop, and not serving again; and those that wait for them, in the order in which they came. As whoever rolls a cluster does it. */
  const away = new Set<Target>()
  const next: Array<Target> = []
  const rollOn = async (target: Target): Promise<void> => {
    if (away.has(target)) return
    const waitedFromMs = performance.now()
    next.push(target)
    while ((away.size > 0 || next[0] !== target) && performance.now() - waitedFromMs < ROLL_WAIT_MS_MAX) await pause(LOOK_EVERY_MS)
    next.splice(next.indexOf(target), 1)
    away.add(target)
    await gateway(target).drain()
  }
  const run = (effect: Effect.Effect<void, unknown>): Promise<void> => Effect.runPromise(effect)

  return {
    kill: (target) =>
      inTurn(target, async () =>
        by(target, {
          gateway: () => gateway(target).kill(),
          kms: () => kmsNode(target).kill(),
          "nats-server": () => nats.server(target).kill(),
          postgres: () => run(databases.primary.kill)
        })
      ),
    start: (target) =>
      inTurn(target, async () =>
        by(target, {
          gateway: () => gateway(target).start().finally(() => away.delete(target)),
          kms: () => kmsNode(target).start(),
          "nats-server": async () => (nats.server(target).isRunning ? undefined : nats.server(target).start()),
          postgres: () => run(databases.primary.start)
        })
      ),
    stop: (target) =>
      inTurn(target, async () =>
        by(target, {
          gateway: () => rollOn(target),
          kms: () => kmsNode(target).drain(),
          "nats-server": () => nats.server(target).stop()
        })
      ),
    freeze: async (target) =>
      by(target, {
        gateway: () => gateway(target).freeze(),
        kms: () => kmsNode(target).freeze(),
        "nats-server": () => nats.server(target).freeze()
      }),
    thaw: async (target) =>
      by(target, {
        gateway: () => gateway(target).thaw(),
        kms: () => kmsNode(target).thaw(),
        "nats-server": () => nats.server(target).thaw()
      }),
    link: async (target, peer, fault) => {
      const of = (end: Target, other: Target) => end === target && (peer === undefined || other === peer)
      const hurt = parts.links.flatMap(({ from, to, proxy }) =>
        of(from, to) ? [proxy.hurt(fault)] : of(to, from) ? [proxy.hurt(flipped(fault))] : []
      )
      if (hurt.length === 0) throw new CannotInject(`a link of ${target}`, `nothing goes between it and ${peer ?? "anybody"}`)
      return async () => hurt.forEach((heal) => heal())
    },
    messages: async (target, fault) => gateway(target).hurtMessages(fault),
    rollBackNats: async () => {
      const bringBack = await inTurn("nats", () => nats.keepCopy())
      return () => inTurn("nats", bringBack)
    },
    wipeNats: (target) => inTurn("nats", () => nats.wipe(target === "nats" ? [...nats.servers.keys()] : [target])),
    stopPostgresAtOnce: async (target) => {
      if (target !== "postgres") throw new CannotInject(target, "this rig has no standby")
      await inTurn(target, () => run(databases.primary.stop("immediate")))
      return () => inTurn(target, () => run(databases.primary.start))
    },
    promoteStandby: (lostMs) =>
      inTurn("postgres", async () => {
        const { address } = await databases.promote(lostMs)
        for (const { to, proxy } of parts.links) if (to === "postgres") proxy.retarget(address)
        return nothingToUndo
      }),
    snapshotPostgres: async () => {
      const bringBack = await inTurn("postgres", () => databases.keepCopy())
      return () => inTurn("postgres", bringBack)
    },
    fillDisk: async (target) => {
      const disk = parts.disks.get(target)
      if (disk === undefined) throw new CannotInject(`the disk of ${target}`, "the scenario did not ask for small disks in its shape")
      const empty = await disk.fill()
      return async () => {
        await empty()
        // A server that could not write has ended; whoever looks after it starts it again when there is room.
        if (target === "postgres" && !databases.primary.isRunning()) await run(databases.primary.start)
        // nats-server 2.9 does not end but stays mute, its /healthz well, until it is started anew (docs/cluster.md).
        if (kindOf(target) === "nats-server") await inTurn(target, () => startedAnew(nats.server(target)))
      }
    },
    skewClock: async (target, ms) => {
      const set = (offsetMs: number) => (kindOf(target) === "kms" ? kmsNode(target) : gateway(target)).setClock(offsetMs)
      await set(ms)
      return () => set(0)
    },
    reorg: (depth, lostShare) => {
      if (lostShare > 0) throw new CannotInject("a reorg that loses requests", "whoever raised them numbers its transactions, and could raise no more")
      return chain.reorg(depth)
    },
    raiseFees: (times) => chain.raiseFees(times),
    rpc: async (target, fault) => {
      const endpoint = parts.endpoints.get(target)
      if (endpoint === undefined) throw new CannotInject(target, "is no RPC endpoint")
      return endpoint.misbehave(fault)
    },
    kms: async (target, fault): Promise<Undo> => {
      const node = kmsNode(target)
      if (fault.type === "amnesia") {
        await inTurn(target, async () => {
          await node.kill()
          await putLogAside(node.answerLog)
          await node.start()
        })
        return nothingToUndo
      }
      const given = NODE_FAULT[fault.type]
      await inTurn(target, () => {
        node.faults.push(given)
        return node.restart()
      })
      return () =>
        inTurn(target, () => {
          node.faults.splice(node.faults.indexOf(given), 1)
          return node.restart()
        })
    },
    store: async (fault) => store.misbehave(fault),
    publishPoison: async () => {
      const connection = await connect({ servers: [...nats.servers.values()].map(({ url }) => url), reconnect: false })
      for (const subject of [workSubject("detected"), workSubject("acl-checked"), "decryption.outcome.0"]) connection.publish(subject, POISON)
      await connection.flush()
      await connection.close()
    },
    loseLaneKey: async (target, lane) => {
      if (lane > parts.lanes) throw new CannotInject(`lane ${lane}`, `there are ${parts.lanes}`)
      await inTurn(target, () => gateway(target).holdLanes((held) => held !== lane))
      return () => inTurn(target, () => gateway(target).holdLanes(() => true))
    }
  }
}

/** The node forgets; the checkers must not. */
const putLogAside = async (path: string): Promise<void> => {
  const kept = await logsOf(path)
  await rename(path, `${path}.${kept.length}`).catch(() => {})
}

/** What a node has ever written down, forgotten or not. */
export const logsOf = async (path: string): Promise<ReadonlyArray<string>> => {
  const names = await readdir(dirname(path)).catch(() => [])
  return names.filter((name) => name.startsWith(basename(path))).map((name) => join(dirname(path), name))
}

export const untilTrue = async (isTrue: () => Promise<boolean>, boundMs: number, everyMs: number): Promise<void> => {
  const until = performance.now() + boundMs
  while (!(await isTrue()) && performance.now() < until) await pause(everyMs)
}
