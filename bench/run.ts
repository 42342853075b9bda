/**
 * `npm run bench`: every figure that the project makes a claim about, measured on this machine (docs/benchmarks.md says how).
 *
 *     npm run bench -- [--json] [--only full-path,idle,engine,memory,gas,crypto] [--seconds 20]
 *
 * With --json the last line is one JSON object. What was not asked for is null in it.
 */
import { parseArgs } from "node:util"
import { measureCrypto } from "./crypto.ts"
import { measureEngine } from "./engine.ts"
import { measureFullPath } from "./full-path.ts"
import { measureGas } from "./gas.ts"
import { measureIdle } from "./idle.ts"
import { measureMemory } from "./memory.ts"
import { describeMachine } from "./support/machine.ts"
import { partsOf } from "./support/parts.ts"
import { tables, type Report } from "./support/report.ts"

const PARTS = ["full-path", "idle", "engine", "memory", "gas", "crypto"] as const
type Part = (typeof PARTS)[number]

const SECONDS_MIN = 3
const IDLE_REQUESTS = 120
const IN_FLIGHT = 10_000

const refuse = (sentence: string): never => {
  process.stderr.write(`${sentence}\n`)
  process.exit(2)
}

const read = () => {
  try {
    return parseArgs({
      options: {
        json: { type: "boolean", default: false },
        only: { type: "string", default: PARTS.join(",") },
        seconds: { type: "string", default: "20" }
      }
    }).values
  } catch (error) {
    return refuse(error instanceof Error ? error.message : "these options cannot be read")
  }
}

const options = read()
const wanted = options.only.split(",").map((name) => name.trim())
const unknown = wanted.filter((name) => !(PARTS as ReadonlyArray<string>).includes(name))
if (unknown.length > 0) refuse(`--only takes any of ${PARTS.join(", ")}; not ${unknown.join(", ")}`)
const seconds = Number(options.seconds)
if (!Number.isFinite(seconds) || seconds < SECONDS_MIN) refuse(`--seconds is a number, at least ${SECONDS_MIN}`)

const { part, loadAverages } = partsOf<Part>(wanted)
const machine = await describeMachine()
const fullPath = await part("full-path", () => measureFullPath(seconds))
const idleAddedMs = await part("idle", () => measureIdle(IDLE_REQUESTS))
const engine = await part("engine", () => measureEngine(seconds))
const memory = await part("memory", () => measureMemory(IN_FLIGHT, "inProcess"))
const gas = await part("gas", measureGas)
const crypto = await part("crypto", () => measureCrypto())

const report: Report = {
  fullPath,
  engine,
  idleAddedMs,
  memoryMiB10k: memory?.loaded.rss ?? null,
  memory,
  gas,
  crypto,
  machine: { ...machine, secondsPerRate: seconds, loadAverages }
}
process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : tables(report))
