/**
 * Thousands of histories that nobody wrote:
 *
 *     node chaos/simulator/seeds.ts --from 1 --count 2000
 *     node chaos/simulator/seeds.ts --from 178 --trace      one seed, a line for every event
 *
 * Ends with 1 when a seed failed, or when a campaign of at least 200 seeds never saw one of the rare things that it is there to see.
 */
import { parseArgs } from "node:util"
import { SOMETIMES, type SometimesName } from "./history.ts"
import { runSeed } from "./run-seed.ts"

/** Fewer seeds may miss a rare thing by chance. */
const SEEDS_FOR_COVERAGE = 200
const VIOLATIONS_SHOWN = 5

const { values } = parseArgs({
  options: { from: { type: "string", default: "1" }, count: { type: "string", default: "1" }, trace: { type: "boolean", default: false } }
})
const [from, count] = [Number(values.from), Number(values.count)]
if (!Number.isSafeInteger(from) || !Number.isSafeInteger(count) || count < 1) {
  process.stderr.write("--from and --count are whole numbers\n")
  process.exit(2)
}
const say = (line: string): void => void process.stdout.write(`${line}\n`)

const sometimes = new Map<SometimesName, number>()
const injected = new Map<string, number>()
const failed: Array<number> = []
let [requests, virtualMs] = [0, 0]
const cpuBefore = process.cpuUsage()
const startedMs = performance.now()
for (let seed = from; seed < from + count; seed++) {
  const result = await runSeed({ seed })
  requests += result.requests
  virtualMs += result.virtualMs
  for (const [name, times] of result.sometimes) sometimes.set(name, (sometimes.get(name) ?? 0) + times)
  for (const [name, times] of [...Object.entries(result.injected), ...result.history.injectedBesides]) {
    injected.set(name, (injected.get(name) ?? 0) + times)
  }
  if (values.trace) for (const { atMs, who, what } of result.history.lines) say(`${(atMs / 1_000).toFixed(3).padStart(9)}  ${who.padEnd(8)} ${what}`)
  if (result.ok && !values.trace) continue
  say(`seed ${seed} ${result.ok ? "held" : "FAILED"}, digest ${result.digest.slice(0, 16)}; again: node chaos/simulator/seeds.ts --from ${seed} --trace`)
  for (const violation of result.violations.slice(0, VIOLATIONS_SHOWN)) say(`  ${violation}`)
  if (!result.ok) failed.push(seed)
}
const minutes = (performance.now() - startedMs) / 60_000
const cpu = process.cpuUsage(cpuBefore)
const shown = (counts: ReadonlyMap<string, number>): string =>
  [...counts].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, times]) => `${name} ${times}`).join(", ")
const unseen = SOMETIMES.filter((name) => !sometimes.has(name))
say(
  `${count} seeds, ${requests} requests, ${Math.round(virtualMs / 60_000)} minutes of virtual time, ${failed.length} failed; ` +
    `${Math.round(count / minutes)} seeds a minute, ${Math.round((cpu.user + cpu.system) / 1_000 / count)} ms of CPU each`
)
say(`injected: ${shown(injected)}`)
say(`sometimes: ${shown(sometimes)}`)
if (unseen.length > 0) say(`never seen: ${unseen.join(", ")}`)
process.exit(failed.length > 0 || (count >= SEEDS_FOR_COVERAGE && unseen.length > 0) ? 1 : 0)
