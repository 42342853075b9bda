/** What a rig is: a cluster that can be loaded, hurt, healed and asked what became of it. Two rigs keep this promise, real processes and the
 * simulator; verbs, scenarios and the campaign know nothing else of either. */
import type { End, RequestState } from "../src/domain/journey.ts"
import type { RequestId } from "../src/domain/request.ts"
import type { UpgradeFrom } from "./builds.ts"

export const RIG_NAMES = ["sim", "process"] as const
export type RigName = (typeof RIG_NAMES)[number]

/** What can be hurt. `nats` is the whole cluster of NATS servers, `chain` what the RPC endpoints look at. */
export const TARGET_KINDS = ["gateway", "kms", "nats-server", "nats", "postgres", "standby", "rpc", "store", "chain"] as const
export type TargetKind = (typeof TARGET_KINDS)[number]

/** g1..gn gateways, k1..kn KMS nodes, n1..nn NATS servers, r1..rn RPC endpoints; nats, postgres, standby, store, chain. */
export type Target = string

export interface ClusterShape {
  readonly gateways: number
  readonly kmsNodes: number
  /** So many KMS nodes have to answer. */
  readonly threshold: number
  readonly natsServers: number
  readonly rpcEndpoints: number
  /** Sending accounts, shared by all gateways. */
  readonly lanes: number
  readonly hasStandby: boolean
  /** Whether what writes to a disk writes to one that can be filled. */
  readonly hasSmallDisks: boolean
}

export const USUAL_SHAPE: ClusterShape = {
  gateways: 3,
  kmsNodes: 4,
  threshold: 3,
  natsServers: 3,
  rpcEndpoints: 2,
  lanes: 2,
  hasStandby: false,
  hasSmallDisks: false
}

/** Ends what was begun. May be called once; a fault that ends by itself answers one that does nothing. */
export type Undo = () => Promise<void>

/** What happens on the way between a target and those it talks to. Nobody is told: connections stay open unless it says otherwise. */
export type LinkFault =
  /** Bytes are held back; `out` is what the target sends. Held bytes arrive when it is over, unless the ends have given up. */
  | { readonly type: "cut"; readonly direction: "both" | "in" | "out" }
  | { readonly type: "delay"; readonly ms: number }
  /** Accepted, read, never answered. */
  | { readonly type: "half-open" }
  | { readonly type: "slow-drip"; readonly bytesPerSecond: number }

/** What happens to messages that NATS delivers to a gateway. `share` is how many of them, 0 to 1. */
export type MessageFault =
  | { readonly type: "duplicate"; readonly share: number }
  | { readonly type: "reorder"; readonly share: number }
  | { readonly type: "lose"; readonly share: number }

export type RpcFault =
  /** Answers as the chain was so many blocks ago. */
  | { readonly type: "stale"; readonly blocks: number }
  /** Leaves out logs, without an error. */
  | { readonly type: "missing-logs"; readonly share: number }
  | { readonly type: "rate-limit"; readonly share: number }
  /** Takes a transaction and says that it had it before. */
  | { readonly type: "already-known" }
  /** Takes a transaction and says that its nonce is used. */
  | { readonly type: "nonce-too-low" }

export type KmsFault =
  | { readonly type: "throttle" }
  | { readonly type: "timeout" }
  | { readonly type: "5xx" }
  /** Started anew without anything it remembered. */
  | { readonly type: "amnesia" }
  | { readonly type: "wrong-share" }
  | { readonly type: "equivocation" }
  | { readonly type: "malformed-share" }
  | { readonly type: "oversized-reply" }

export type StoreFault =
  | { readonly type: "corrupt"; readonly share: number }
  | { readonly type: "status"; readonly status: 404 | 503; readonly share: number }
  | { readonly type: "slow"; readonly ms: number }

/** What verbs are made of. Each rig has all of them; one that cannot do something rejects with `CannotInject`. */
export interface Levers {
  /** SIGKILL, and nothing starts it again before `start`. */
  readonly kill: (target: Target) => Promise<void>
  readonly start: (target: Target) => Promise<void>
  /** SIGTERM, with the time to drain. */
  readonly stop: (target: Target) => Promise<void>
  readonly freeze: (target: Target) => Promise<void>
  readonly thaw: (target: Target) => Promise<void>
  /** Between `target` and `peer`, or everybody when there is none. */
  readonly link: (target: Target, peer: Target | undefined, fault: LinkFault) => Promise<Undo>
  readonly messages: (gateway: Target, fault: MessageFault) => Promise<Undo>
  /** Remembers what all NATS servers have stored; the undo brings back exactly that, and the servers come up with it. */
  readonly rollBackNats: () => Promise<Undo>
  /** Everything that one server (or `nats`: all of them) has stored is gone. It comes up empty. */
  readonly wipeNats: (target: Target) => Promise<void>
  /** Like a crash; the undo starts it, and it recovers from its log. */
  readonly stopPostgresAtOnce: (target: Target) => Promise<Undo>
  /** The primary dies, and a standby takes over that has heard nothing for `lostMs`. */
  readonly promoteStandby: (lostMs: number) => Promise<Undo>
  /** Remembers what PostgreSQL has on its disk; the undo brings back exactly that, and the server starts with it. */
  readonly snapshotPostgres: () => Promise<Undo>
  readonly fillDisk: (target: Target) => Promise<Undo>
  readonly skewClock: (target: Target, ms: number) => Promise<Undo>
  /** The newest blocks are replaced by others; `lostShare` of the requests in them do not come back. */
  readonly reorg: (depth: number, lostShare: number) => Promise<void>
  readonly raiseFees: (times: number) => Promise<Undo>
  readonly rpc: (target: Target, fault: RpcFault) => Promise<Undo>
  readonly kms: (target: Target, fault: KmsFault) => Promise<Undo>
  readonly store: (fault: StoreFault) => Promise<Undo>
  /** One message that nobody can read, on a subject that somebody listens to. */
  readonly publishPoison: () => Promise<void>
  /** The key of a sending account is lost to this gateway, so it cannot sign with it any more. */
  readonly loseLaneKey: (gateway: Target, lane: number) => Promise<Undo>
}

/** This rig, or this machine, cannot do it. The report says so; it is never passed over in silence. */
export class CannotInject extends TypeError {
  constructor(what: string, why: string) {
    super(`${what}: ${why}`)
  }
}

/** One line of the report. */
export interface RigEvent {
  /** Since the rig was started; virtual in the simulator. */
  readonly atMs: number
  /** The column: a target, or `load`, or `campaign`. */
  readonly node: Target | "load" | "campaign"
  readonly kind: "injected" | "undone" | "raised" | "fact" | "log" | "ended" | "phase"
  readonly text: string
}

export interface Settled {
  /** Requests that have ended, by how. */
  readonly ended: Readonly<Record<End, number>>
  /** Raised, and not ended within the bound; `undefined` was never even detected. */
  readonly open: ReadonlyArray<{ readonly id: RequestId; readonly state: RequestState | undefined }>
}

export interface RaiseOptions {
  /** All in one block. */
  readonly inOneBlock?: boolean
}

/** `Records` is what the checkers read: bin/verify. */
export interface Rig<Records = unknown> {
  readonly name: RigName
  readonly shape: ClusterShape
  readonly targets: ReadonlyArray<Target>
  /** How what it runs differs from what users are given; a line each, for the report. */
  readonly differences?: ReadonlyArray<string>
  readonly levers: Levers
  /** Milliseconds since the start of the rig; real or virtual. */
  readonly nowMs: () => number
  /** Lets so much time pass. */
  readonly pass: (ms: number) => Promise<void>
  /** Answers when the chain has them. */
  readonly raise: (count: number, options?: RaiseOptions) => Promise<ReadonlyArray<RequestId>>
  /** Heals nothing: whatever was injected must have been undone. Waits until every request raised since it was last called has ended, or for so
   * long. */
  readonly settle: (boundMs: number) => Promise<Settled>
  readonly records: () => Promise<Records>
  /** When each request was in a block, by the clock of the database; missing where time is not real. */
  readonly raisedAtMs?: ReadonlyMap<RequestId, number>
  /** Which builds each gateway has served from, in turn; missing where all run this one. */
  readonly builds?: () => Readonly<Record<Target, ReadonlyArray<string>>>
  /** The build of each life of a gateway, by the id under which it writes into histories. */
  readonly buildOfLife?: () => ReadonlyMap<string, string>
  /** Everything that happened so far, oldest first. The campaign adds its own with `note`. */
  readonly events: () => ReadonlyArray<RigEvent>
  readonly note: (event: Omit<RigEvent, "atMs">) => void
  readonly stop: () => Promise<void>
}

/** What a scenario hands to a rig before anything happens. */
export interface RigOptions {
  readonly shape: ClusterShape
  readonly seed: number
  /** Requests that the whole campaign will raise at most: what can be prepared is prepared before it begins. */
  readonly requestsMax: number
  /** Another build: gateways start from there at first, and from this one whenever they are started again; KMS nodes, which belong to others, stay with
   * it. Real processes only. */
  readonly upgradeFrom?: UpgradeFrom
  /** Told of each event as it happens. */
  readonly onEvent?: (event: RigEvent) => void
}

export type StartRig<Records = unknown> = (options: RigOptions) => Promise<Rig<Records>>

const numbered = (letter: string, count: number): ReadonlyArray<Target> => Array.from({ length: count }, (_, index) => `${letter}${index + 1}`)

const LETTERS: Readonly<Record<string, TargetKind>> = { g: "gateway", k: "kms", n: "nats-server", r: "rpc" }

export const kindOf = (target: Target): TargetKind | undefined => {
  if ((["nats", "postgres", "standby", "store", "chain"] as ReadonlyArray<string>).includes(target)) return target as TargetKind
  return /^[gknr][1-9]\d*$/.test(target) ? LETTERS[target[0] ?? ""] : undefined
}

export const targetsOfKind = (shape: ClusterShape, kind: TargetKind): ReadonlyArray<Target> => {
  switch (kind) {
    case "gateway":
      return numbered("g", shape.gateways)
    case "kms":
      return numbered("k", shape.kmsNodes)
    case "nats-server":
      return numbered("n", shape.natsServers)
    case "rpc":
      return numbered("r", shape.rpcEndpoints)
    case "standby":
      return shape.hasStandby ? ["standby"] : []
    default:
      return [kind]
  }
}

export const targetsOf = (shape: ClusterShape): ReadonlyArray<Target> => TARGET_KINDS.flatMap((kind) => targetsOfKind(shape, kind))

export const nothingToUndo: Undo = async () => {}
