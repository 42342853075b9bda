/** Reads the command line of `npm run chaos`, and says in one sentence what is wrong with it. */
import { parseArgs } from "node:util"
import { closestName } from "../bin/closest-name.ts"
import { RIG_NAMES, type RigName } from "./rig.ts"
import type { Scenario } from "./scenario.ts"

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
  return {
    list,
    json,
    scenario,
    seed: seed as number | undefined,
    minutes: minutes as number | undefined,
    requests: requests as number | undefined,
    rig: rig as RigName,
    report: given.report,
    agent: given.agent
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
  agent: { type: "string" }
} as const

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
