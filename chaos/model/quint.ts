/** Runs the model with Quint's own simulator, and reads the traces that it writes (ITF: Informal Trace Format, Apalache's ADR 015). */
import { spawn } from "node:child_process"
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const QUINT = createRequire(import.meta.url).resolve("@informalsystems/quint/dist/src/cli.js")
const MODEL = fileURLToPath(new URL("protocol.qnt", import.meta.url))
const STEPS = 100

export interface QuintRun {
  /** Which module: `portcullis`, or one with a mechanism switched off. */
  readonly main: string
  readonly samples: number
  /** The same seed gives the same traces. */
  readonly seed: string
}

/** What it said, errors included: a violated invariant is an answer. */
export const quint = ({ main, samples, seed }: QuintRun, more: ReadonlyArray<string> = []): Promise<string> =>
  new Promise((resolve, reject) => {
    const limits = ["--max-samples", String(samples), "--max-steps", String(STEPS), "--seed", seed, "--backend", "typescript"]
    const words = [QUINT, "run", MODEL, "--main", main, ...limits, "--verbosity", "1", ...more]
    const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] })
    let said = ""
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk.toString()))
    child.once("error", reject)
    child.once("close", () => resolve(said))
  })

/** Values as the model has them: integers, texts, records, sets, maps with their entries. */
export type Value = bigint | boolean | string | ReadonlyArray<Value> | ReadonlySet<Value> | Entries | Fields
export interface Fields {
  readonly [name: string]: Value
}
export class Entries {
  readonly entries: ReadonlyArray<readonly [Value, Value]>
  constructor(entries: ReadonlyArray<readonly [Value, Value]>) {
    this.entries = entries
  }
  get(key: Value): Value | undefined {
    return this.entries.find(([known]) => known === key)?.[1]
  }
}

export interface TraceStep {
  /** The action that led here. */
  readonly action: string
  /** What it was about; missing where the action has no such choice. */
  readonly picks: Fields
  /** Every variable, after the step. */
  readonly state: Fields
}

export const traces = async (run: QuintRun): Promise<ReadonlyArray<ReadonlyArray<TraceStep>>> => {
  const folder = await mkdtemp(join(tmpdir(), "portcullis-traces-"))
  try {
    await quint(run, ["--mbt", "--n-traces", String(run.samples), "--out-itf", join(folder, "{seq}.itf.json")])
    const files = (await readdir(folder)).toSorted()
    return await Promise.all(files.map(async (file) => readTrace(JSON.parse(await readFile(join(folder, file), "utf8")))))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export const readTrace = (document: unknown): ReadonlyArray<TraceStep> => {
  const { states } = document as { readonly states: ReadonlyArray<Readonly<Record<string, unknown>>> }
  return states.map((raw) => {
    const { "mbt::actionTaken": action, "mbt::nondetPicks": picks, "#meta": _, ...variables } = raw
    // A variable of an instance is named with the instance's path before it.
    const state = Object.fromEntries(Object.entries(variables).map(([name, value]) => [name.split("::").at(-1) ?? name, valueOf(value)]))
    return { action: String(action), picks: given(valueOf(picks) as Fields), state }
  })
}

/** A pick is an option: `Some` of a value, or `None`. */
const given = (picks: Fields): Fields =>
  Object.fromEntries(
    Object.entries(picks).flatMap(([name, option]) => {
      const { tag, value } = option as Fields
      return tag === "Some" && value !== undefined ? [[name, value]] : []
    })
  )

const valueOf = (raw: unknown): Value => {
  if (typeof raw === "string" || typeof raw === "boolean") return raw
  if (typeof raw === "number") return BigInt(raw)
  if (Array.isArray(raw)) return raw.map(valueOf)
  const record = raw as Readonly<Record<string, unknown>>
  if (typeof record["#bigint"] === "string") return BigInt(record["#bigint"])
  if (Array.isArray(record["#set"])) return new Set(record["#set"].map(valueOf))
  if (Array.isArray(record["#tup"])) return record["#tup"].map(valueOf)
  if (Array.isArray(record["#map"])) return new Entries(record["#map"].map(([key, value]) => [valueOf(key), valueOf(value)]))
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, valueOf(value)]))
}
