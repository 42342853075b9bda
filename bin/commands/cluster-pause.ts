/** `portcullis cluster pause` and `resume`: switches for every node. Who set one, when and why is kept for ever. */
import { Effect } from "effect"
import { userInfo } from "node:os"
import { parsePauseTarget, switchesOver, type PauseTarget } from "../../src/domain/cluster.ts"
import { STEPS } from "../../src/domain/journey.ts"
import { NODE_BEAT_MS, NODE_BEAT_TIMEOUT_MS } from "../../src/domain/limits.ts"
import { Cluster } from "../../src/ledger/cluster.port.ts"
import { closestName } from "../closest-name.ts"
import { withLedger } from "../ledger-access.ts"
import { failed, runCommand, usage, type Answer, type CommandFlags } from "../run-command.ts"

export interface SwitchFlags extends CommandFlags {
  readonly why: string
}

const NOTICED = `next       portcullis cluster status (every node notices within ${(NODE_BEAT_MS + NODE_BEAT_TIMEOUT_MS) / 1_000} s)`

export const clusterPause = (what: string, flags: SwitchFlags): Promise<void> =>
  runCommand(flags, Effect.flatMap(targetFrom(what), (target) => withLedger(flags, pauseAnswer(target, flags.why))))

export const clusterResume = (what: string, flags: SwitchFlags): Promise<void> =>
  runCommand(flags, Effect.flatMap(targetFrom(what), (target) => withLedger(flags, resumeAnswer(target, flags.why))))

const KINDS = ["everything", ...STEPS.map((step) => `step:${step}`)] as const

const targetFrom = (text: string) => {
  const target = parsePauseTarget(text)
  if (target !== undefined) return Effect.succeed(target)
  const meant = closestName(text, KINDS) ?? closestName(`step:${text}`, KINDS)
  const advice = meant === undefined ? "" : `; did you mean ${meant}?`
  return Effect.fail(
    usage(`<what> is everything, step:<${STEPS.join("|")}>, chain:<id>, listener:<chain id> or lane:<chain id>/<0x address>${advice}`)
  )
}

const pauseAnswer = Effect.fnUntraced(function* (target: PauseTarget, why: string) {
  const cluster = yield* Cluster
  const by = userInfo().username
  const isNew = yield* cluster.pause(target, by, why)
  const standing = (yield* cluster.pauses).find((pause) => pause.target === target)
  return {
    json: { paused: target, isNew, ...standing },
    lines: isNew
      ? [`paused     ${target}`, `by         ${by}: ${why}`, NOTICED]
      : [`paused     ${target}, already${standing === undefined ? "" : ` by ${standing.by}: ${standing.why}`}; nothing was changed`]
  } satisfies Answer
})

const resumeAnswer = Effect.fnUntraced(function* (target: PauseTarget, why: string) {
  const cluster = yield* Cluster
  const by = userInfo().username
  const isLifted = yield* cluster.resume(target, by, why)
  const over = switchesOver(target)
  const still = (yield* cluster.pauses).map((pause) => pause.target).filter((paused) => over.includes(paused))
  const holding = still.join(", ")
  if (!isLifted) return yield* failed(`${target} is not paused by itself${holding === "" ? "" : `, but held by ${holding}`}`, "portcullis cluster status")
  return {
    json: { resumed: target, by, why, stillHeldBy: still },
    lines: [`resumed    ${target}`, `by         ${by}: ${why}`, ...(holding === "" ? [] : [`still held by ${holding}`]), NOTICED]
  } satisfies Answer
})
