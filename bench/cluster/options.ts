/** What `npm run bench:cluster` may be told. Answers with one sentence where it was told nonsense; pure. */
import { parseArgs } from "node:util"
import { KILLS, type Kill } from "./recovery.ts"

export const PARTS = ["nodes-stub", "nodes-native", "recovery", "finished", "soak"] as const
export type Part = (typeof PARTS)[number]

export interface ClusterOptions {
  readonly json: boolean
  readonly only: ReadonlyArray<Part>
  readonly seconds: number
  readonly nodes: ReadonlyArray<number>
  readonly kills: ReadonlyArray<Kill>
  readonly repetitions: number
  readonly finished: number
  readonly soakMinutes: number
  readonly pile: number | undefined
}

export const SECONDS_MIN = 3
/** More coordinators than partitions would have nothing to do. */
export const NODES_MAX = 8
/** Below it a slope has no points to stand on. */
export const SOAK_MINUTES_MIN = 1

type Read = { readonly options: ClusterOptions } | { readonly rejected: string }

class Rejected extends TypeError {}

const listOf = <A extends string>(flag: string, text: string, known: ReadonlyArray<A>): ReadonlyArray<A> => {
  const names = text.split(",").map((name) => name.trim())
  const unknown = names.filter((name) => !(known as ReadonlyArray<string>).includes(name))
  if (unknown.length > 0) throw new Rejected(`--${flag} takes any of ${known.join(", ")}; not ${unknown.join(", ")}`)
  return known.filter((name) => names.includes(name))
}

const wholeNumber = (flag: string, text: string, min: number): number => {
  const value = Number(text)
  if (text.trim() === "" || !Number.isInteger(value) || value < min) throw new Rejected(`--${flag} is a whole number, at least ${min}`)
  return value
}

const number = (flag: string, text: string, min: number): number => {
  const value = Number(text)
  if (text.trim() === "" || !Number.isFinite(value) || value < min) throw new Rejected(`--${flag} is a number, at least ${min}`)
  return value
}

const nodeCounts = (text: string): ReadonlyArray<number> => {
  const counts = text.split(",").map(Number)
  if (counts.some((count) => !Number.isInteger(count) || count < 1 || count > NODES_MAX)) {
    throw new Rejected(`--nodes takes whole numbers from 1 to ${NODES_MAX}, separated by commas`)
  }
  return counts
}

export const readOptions = (args: ReadonlyArray<string>): Read => {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        json: { type: "boolean", default: false },
        only: { type: "string", default: PARTS.join(",") },
        seconds: { type: "string", default: "20" },
        nodes: { type: "string", default: "1,2,4" },
        kills: { type: "string", default: KILLS.join(",") },
        repetitions: { type: "string", default: "5" },
        finished: { type: "string", default: "1000000" },
        "soak-minutes": { type: "string", default: "30" },
        pile: { type: "string" }
      }
    })
    return {
      options: {
        json: values.json,
        only: listOf("only", values.only, PARTS),
        seconds: number("seconds", values.seconds, SECONDS_MIN),
        nodes: nodeCounts(values.nodes),
        kills: listOf("kills", values.kills, KILLS),
        repetitions: wholeNumber("repetitions", values.repetitions, 1),
        finished: wholeNumber("finished", values.finished, 1),
        soakMinutes: number("soak-minutes", values["soak-minutes"], SOAK_MINUTES_MIN),
        pile: values.pile === undefined ? undefined : wholeNumber("pile", values.pile, 1)
      }
    }
  } catch (error) {
    return { rejected: error instanceof Error ? error.message : "these options cannot be read" }
  }
}
