/** Reads the command line of `npm run chaos`, and says in one sentence what is wrong with it. */
import { resolve } from "node:path"
import { parseArgs } from "node:util"
import { closestName } from "../bin/closest-name.ts"
import { readBuild, thisBuildName, type UpgradeFrom } from "./builds.ts"
import { kindOf, RIG_NAMES, USUAL_SHAPE, type RigName } from "./rig.ts"
import type { Aim, Scenario } from "./scenario.ts"

export interface ChaosOptions {
  readonly list: boolean
  readonly json: boolean
  readonly scenario: Scenario | undefined
  readonly seed: number | undefined
  readonly minutes: number | undefined
  readonly requests: number | undefined
  readonly rig: RigName
  readonly report: string | undefined
  /** A file of the fault API, which is then all that runs. */
  readonly agent: string | undefined
  /** Another build from which gateways start at first, and KMS nodes always. */
  readonly upgradeFrom: UpgradeFrom | undefined
  /** How the upgrade was asked for, to be asked for again. */
  readonly typed: ReadonlyArray<string>
}

const SEED_MAX = 2 ** 31 - 1
const MINUTES_MAX = 24 * 60
const REQUESTS_MAX = 1_000_000

/** A sentence instead of options when they cannot be used. */
export const readOptions = (words: ReadonlyArray<string>, scenarios: ReadonlyArray<Scenario>): ChaosOptions | string => {
  const given = parsed(words)
  if (typeof given === "string") return given
  const { list = false, json = false } = given
  const rig = given.rig ?? "process"
  if (!(RIG_NAMES as ReadonlyArray<string>).includes(rig)) return `--rig is ${RIG_NAMES.join(" or ")}, not ${rig}`
  const scenario = scenarios.find(({ name }) => name === given.scenario)
  if (scenario === undefined && !list && given.agent === undefined) {
    if (given.scenario === undefined) return "name a --scenario, or see them all with --list"
    const meant = closestName(given.scenario, scenarios.map(({ name }) => name))
    return `there is no scenario ${given.scenario}; ${meant === undefined ? "--list shows them" : `did you mean ${meant}?`}`
  }
  if (scenario !== undefined && !scenario.rigs.includes(rig as RigName)) return `${scenario.name} runs on ${scenario.rigs.join(" and ")}, not on ${rig}`
  const seed = number("--seed", given.seed, 0, SEED_MAX, true)
  const minutes = number("--minutes", given.minutes, 0, MINUTES_MAX, false)
  const requests = number("--requests", given.requests, 1, REQUESTS_MAX, true)
  const wrong = [seed, minutes, requests].find((value) => typeof value === "string")
  if (wrong !== undefined) return wrong as string
  if (requests !== undefined && scenario?.load.type !== "herd") return "--requests is for scenarios that ask all at once: thundering-herd"
  const upgradeFrom = readUpgrade(given["from-build"], given["keep-old"], rig, scenario)
  if (typeof upgradeFrom === "string") return upgradeFrom
  return {
    list,
    json,
    scenario,
    seed: seed as number | undefined,
    minutes: minutes as number | undefined,
    requests: requests as number | undefined,
    rig: rig as RigName,
    report: given.report,
    agent: given.agent,
    upgradeFrom,
    typed: (["from-build", "keep-old"] as const).flatMap((name) => (given[name] === undefined ? [] : [`--${name}`, given[name]]))
  }
}

const OPTIONS = {
  list: { type: "boolean" },
  json: { type: "boolean" },
  scenario: { type: "string" },
  seed: { type: "string" },
  minutes: { type: "string" },
  requests: { type: "string" },
  rig: { type: "string" },
  report: { type: "string" },
  agent: { type: "string" },
  "from-build": { type: "string" },
  "keep-old": { type: "string" }
} as const

/** After these a gateway is started again, and so from another build. */
const STARTS_AGAIN: ReadonlySet<string> = new Set(["restart", "kill", "lose-lane-key"])

const isAGateway = (aim: Aim): boolean => (typeof aim === "string" ? kindOf(aim) : "any" in aim ? aim.any : aim.each) === "gateway"

const startsGatewaysAgain = ({ round }: Scenario): boolean => round.some(({ verb, on }) => STARTS_AGAIN.has(verb) && isAGateway(on))

const readUpgrade = (folder: string | undefined, keepOld: string | undefined, rig: string, scenario: Scenario | undefined): UpgradeFrom | undefined | string => {
  if (folder === undefined) return keepOld === undefined ? undefined : "--keep-old says how many gateways stay with the build of --from-build: name that too"
  if (rig !== "process") return "--from-build is for real processes: --rig process"
  if (scenario !== undefined && !startsGatewaysAgain(scenario))
    return `--from-build is for scenarios that start gateways again, and ${scenario.name} does not; take rolling-restart-under-load`
  const gateways = { ...USUAL_SHAPE, ...scenario?.shape }.gateways
  const kept = keepOld === undefined ? 0 : number("--keep-old", keepOld, 0, gateways - 1, true)
  if (typeof kept === "string") return kept
  const build = readBuild(resolve(folder))
  return typeof build === "string" ? build : { build, to: thisBuildName(), kept: kept ?? 0 }
}

const parsed = (words: ReadonlyArray<string>) => {
  try {
    return parseArgs({ args: [...words], options: OPTIONS }).values
  } catch (error) {
    const text = error instanceof Error ? error.message : "these options cannot be read"
    const unknown = /Unknown option '(?:--)?([^']+)'/.exec(text)?.[1]
    if (unknown === undefined) return text
    const meant = closestName(unknown, Object.keys(OPTIONS))
    return `--${unknown} is not an option; ${meant === undefined ? `there are ${Object.keys(OPTIONS).map((name) => `--${name}`).join(", ")}` : `did you mean --${meant}?`}`
  }
}

const number = (name: string, text: string | undefined, least: number, most: number, isWhole: boolean): number | string | undefined => {
  if (text === undefined) return undefined
  const value = Number(text)
  const isFine = text.trim() !== "" && value >= least && value <= most && (!isWhole || Number.isInteger(value))
  return isFine ? value : `${name} takes a ${isWhole ? "whole " : ""}number from ${least} to ${most}, not ${JSON.stringify(text)}`
}
