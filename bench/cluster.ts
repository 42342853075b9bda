/**
 * `npm run bench:cluster`: what a cluster carries, how long it takes to recover from a kill, what finished requests cost, and
 * whether memory stays flat (docs/benchmarks.md says how).
 *
 *     npm run bench:cluster -- [--json] [--only nodes-stub,nodes-native,recovery,finished,soak] [--seconds 20]
 *       [--nodes 1,2,4] [--kills coordinator,postgres,...] [--repetitions 5] [--finished 1000000] [--soak-minutes 30] [--pile n]
 *
 * The last line is one JSON object; with --json it is the only one on stdout. What was not asked for is null in it.
 */
import { measureFinished } from "./cluster/finished.ts"
import { measureNativeNodes, measureStubNodes } from "./cluster/nodes.ts"
import { readOptions, type Part } from "./cluster/options.ts"
import { measureRecovery } from "./cluster/recovery.ts"
import { clusterTables, type ClusterReport } from "./cluster/report.ts"
import { measureSoak } from "./cluster/soak.ts"
import { describeMachine } from "./support/machine.ts"
import { partsOf } from "./support/parts.ts"

const read = readOptions(process.argv.slice(2))
if ("rejected" in read) {
  process.stderr.write(`${read.rejected}\n`)
  process.exit(2)
}
const { only, seconds, nodes: counts, kills, repetitions, finished: finishedCount, soakMinutes, pile, json } = read.options

const { part, loadAverages } = partsOf<Part>(only)
const machine = await describeMachine()
const nodesStub = await part("nodes-stub", () => measureStubNodes({ counts, seconds, pile }))
const nodesNative = await part("nodes-native", () => measureNativeNodes({ counts, seconds, pile }))
const recovery = await part("recovery", () => measureRecovery(kills, repetitions))
const finished = await part("finished", () => measureFinished(finishedCount, pile))
const soak = await part("soak", () => measureSoak(soakMinutes))

const report: ClusterReport = {
  nodesStub,
  nodesNative,
  recovery,
  finished,
  soak,
  machine: { ...machine, secondsPerRate: seconds, loadAverages }
}
if (!json) process.stdout.write(`${clusterTables(report)}\n`)
process.stdout.write(`${JSON.stringify(report)}\n`)
