/**
 * `npm run chaos`: one scenario, one seed, one rig; ends with 1 on any violation and with 2 when it cannot be run.
 *
 *     npm run chaos -- --list
 *     npm run chaos -- --scenario nats-lost-everything --seed 7 --minutes 2 --rig process [--json] [--report FILE]
 *     npm run chaos -- --scenario rolling-restart-under-load --from-build DIR [--keep-old N]
 *     npm run chaos -- --agent FILE
 *
 * chaos/README.md says how to read what it says. With --json the last line is one JSON object.
 */
import { randomInt } from "node:crypto"
import { once } from "node:events"
import { writeFile } from "node:fs/promises"
import type { Records } from "../bin/verify/records.ts"
import { startAgent } from "./agent/agent.ts"
import { readAgentFile } from "./agent/agent-file.ts"
import { carriedOver } from "./builds.ts"
import { requestsOf, runCampaign } from "./campaign.ts"
import { checkRecords } from "./checks.ts"
import { delaysOf, type Delays } from "./delays.ts"
import { listing, listingJson } from "./listing.ts"
import { readOptions } from "./options.ts"
import { columnsOf, eventLine, headLine, reportText, summaryLines, type Run } from "./report.ts"
import { USUAL_SHAPE, type RigEvent, type RigName, type StartRig } from "./rig.ts"
import { RIGS } from "./rigs.ts"
import { SCENARIOS } from "./standing-scenarios.ts"
import { VERBS } from "./vocabulary.ts"

/** While it runs, what was done and what complains; the report has the rest. */
const SHOWN: ReadonlySet<RigEvent["kind"]> = new Set(["injected", "undone", "log", "ended"])
const isShown = ({ kind, node }: RigEvent): boolean => SHOWN.has(kind) || node === "campaign" || (kind === "phase" && upgradeFrom !== undefined)

const SEED_MAX = 2 ** 31 - 1
const MS_PER_MINUTE = 60_000

const refuse = (sentence: string): never => {
  process.stderr.write(`chaos: ${sentence}\n`)
  process.exit(2)
}

const rigNamed = async (name: RigName): Promise<StartRig<Records>> => {
  const start = await RIGS[name]()
  return start ?? refuse(`the rig ${name} is not here`)
}

const given = readOptions(process.argv.slice(2), SCENARIOS)
const options = typeof given === "string" ? refuse(given) : given
if (options.agent !== undefined) {
  const file = readAgentFile(options.agent, process.env)
  const agent = await startAgent(typeof file === "string" ? refuse(file) : file)
  process.stdout.write(`the fault API listens on port ${agent.port}; every fault ends by itself, Ctrl-C ends them all\n`)
  await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")])
  await agent.close()
  process.exit(0)
}
if (options.list || options.scenario === undefined) {
  process.stdout.write(options.json ? `${listingJson(SCENARIOS, VERBS)}\n` : listing(SCENARIOS, VERBS))
  process.exit(0)
}

const { scenario, requests, upgradeFrom } = options
const shape = { ...USUAL_SHAPE, ...scenario.shape }
const seed = options.seed ?? randomInt(SEED_MAX)
const spanMs = options.minutes === undefined ? scenario.roundMs : options.minutes * MS_PER_MINUTE
const columns = columnsOf(shape)
const say = (line: string) => process.stderr.write(`${line}\n`)
const asked = requests === undefined ? {} : { requests }

say(`${scenario.name}, seed ${seed}, rig ${options.rig}: ${scenario.sentence}`)
if (!options.json) say(headLine(columns))
const start = await rigNamed(options.rig)
const rig = await start({
  shape,
  seed,
  requestsMax: requestsOf({ scenario, spanMs, ...asked }, options.rig),
  ...(upgradeFrom === undefined ? {} : { upgradeFrom }),
  ...(options.json ? {} : { onEvent: (event) => isShown(event) && say(eventLine(columns, event)) })
}).catch((error: unknown) => refuse(`the rig could not be started: ${error instanceof Error ? error.message || error.stack : String(error)}`))
/** Ctrl-C ends what was started; twice, at once. */
const interrupted = () => {
  process.once("SIGINT", () => process.exit(130))
  void rig.stop().then(() => process.exit(130))
}
process.once("SIGINT", interrupted)
process.once("SIGTERM", interrupted)

if (!options.json) for (const line of rig.differences ?? []) say(line)
let delays: Delays | undefined
let carried: number | undefined
const check = (records: Records) => {
  delays = rig.raisedAtMs && delaysOf(records.requests, rig.raisedAtMs)
  carried = rig.buildOfLife && carriedOver(records.requests, rig.buildOfLife())
  return checkRecords(records)
}
const verdict = await runCampaign(rig, { scenario, seed, spanMs, ...asked, check })
const builds = rig.builds?.()
/** Of this run, besides its verdict: what only real processes have. */
const also = { ...(delays && { delays }), ...(builds && { builds }), ...(carried !== undefined && { carriedOver: carried }) }
const ranOn = { ...(rig.differences && { differences: rig.differences }), ...(upgradeFrom && { typed: options.typed }) }
const run: Run = { scenario, shape, rig: options.rig, minutes: Math.ceil((100 * spanMs) / MS_PER_MINUTE) / 100, events: rig.events(), verdict, ...asked, ...ranOn, ...also }
await rig.stop()
if (options.report !== undefined) await writeFile(options.report, reportText(run))
for (const line of summaryLines(run)) say(line)
if (options.json) process.stdout.write(`${JSON.stringify({ ...verdict, ...also })}\n`)
process.exit(verdict.ok ? 0 : 1)
