/** The words of a cluster: what a node does (roles), how it lives (states), and what an operator can pause. */
import { lower, parseHex, type Hex } from "./hex.ts"
import { STEPS, type Step } from "./journey.ts"

export const ROLES = ["listener", "coordinator", "worker", "sender", "api"] as const
/** Every step but the sending, which needs the keys of a lane: `sender` does that. */
export type WorkerStep = Exclude<Step, "submitted">
export const WORKER_STEPS: ReadonlyArray<WorkerStep> = STEPS.filter((step) => step !== "submitted")
/** `worker` works on all steps, `worker:<step>` on one, so that each step scales alone. */
export type StepRole = `worker:${WorkerStep}`
export type Role = (typeof ROLES)[number] | StepRole
export const ALL_ROLES: ReadonlyArray<Role> = [...ROLES, ...WORKER_STEPS.map((step): StepRole => `worker:${step}`)]

/** Whether a node of these roles works on a step. */
export const doesStep = (roles: ReadonlySet<string>, step: Step): boolean =>
  step === "submitted" ? roles.has("sender") : roles.has("worker") || roles.has(`worker:${step}`)

/** Whether a node of these roles does what one role says. */
export const takesRole = (roles: ReadonlySet<string>, role: Role): boolean => roles.has(role) || (role.startsWith("worker:") && roles.has("worker"))

/** `joining`: its actors are starting. `draining`: it takes nothing new and finishes what it has. `gone`: it has said goodbye, or is silent. */
export const NODE_STATES = ["joining", "working", "draining", "gone"] as const
export type NodeState = (typeof NODE_STATES)[number]

/** A worker's id is its node's name and a boot nonce of six hex digits: two lives of one node are two workers. */
export const nodeNameOf = (worker: string): string => worker.replace(/-[0-9a-f]{6}$/, "")

/** What can be paused. `chain`: its listener and all its lanes. A paused lane sends nothing new; what it has sent is watched on. */
export type PauseTarget = "everything" | `step:${Step}` | `chain:${bigint}` | `listener:${bigint}` | `lane:${bigint}/${Hex}`

/** Undefined when it names nothing that can be paused. */
export const parsePauseTarget = (text: string): PauseTarget | undefined => {
  if (text === "everything") return text
  const step = STEPS.find((one) => text === `step:${one}`)
  if (step !== undefined) return `step:${step}`
  const [, kind, chainId = "", address] = /^(chain|listener|lane):([1-9]\d{0,18})(?:\/(.*))?$/.exec(text) ?? []
  if (kind === undefined) return undefined
  if (kind !== "lane") return address === undefined ? `${kind as "chain" | "listener"}:${BigInt(chainId)}` : undefined
  return address === undefined || parseHex(address, 20) === undefined ? undefined : `lane:${BigInt(chainId)}/${lower(address)}`
}

/** Every switch that holds a target when it is set, the target's own first. */
export const switchesOver = (target: PauseTarget): ReadonlyArray<PauseTarget> => {
  if (target === "everything") return [target]
  const chainId = /^(?:listener|lane):(\d+)/.exec(target)?.[1]
  return [
    target,
    ...(target.startsWith("lane:") ? (["step:submitted"] as const) : []),
    ...(chainId === undefined ? [] : [`chain:${BigInt(chainId)}` as const]),
    "everything"
  ]
}
