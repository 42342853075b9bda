/**
 * `npm run bench:peers`: the same six-step journey on DBOS and on this engine, one after the other on the same machine, each on a fresh
 * PostgreSQL with the same settings (fsync and synchronous_commit on, as they are by default). Steps answer at once in both: what is left is
 * what durability costs. The last line is JSON.
 */
import { parseArgs } from "node:util"
import { Effect, Exit, Scope } from "effect"
import pg from "pg"
import { startPostgres } from "../../src/adapters/embedded/postgres-server.ts"
import { startEngineRig, type BusName } from "../support/engine-rig.ts"
import { saturate } from "../support/open-loop.ts"
import { describeMachine } from "../support/machine.ts"
import { rounded } from "../support/statistics.ts"
import { OUTCOMES } from "../support/stub-gateway.ts"
import { measureDbos, type PeerFigures } from "./dbos.ts"

const { values } = parseArgs({ options: { pile: { type: "string", default: "4000" } } })
const pile = Number(values.pile)
if (!Number.isInteger(pile) || pile < 100) {
  process.stderr.write("--pile is a whole number, at least 100\n")
  process.exit(2)
}

const withPostgres = async <A>(use: (url: string) => Promise<A>): Promise<A> => {
  const scope = await Effect.runPromise(Scope.make())
  try {
    const { address } = await Effect.runPromise(Scope.provide(startPostgres({ listen: { tcpPort: "free" } }), scope))
    const client = new pg.Client(address)
    await client.connect()
    const { rows } = await client.query("SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit")
    if (rows[0]?.fsync !== "on" || rows[0]?.commit !== "on") throw new TypeError("this PostgreSQL is not durable, so nothing measured on it counts")
    await client.query("CREATE DATABASE peer")
    await client.end()
    return await use(`postgres://${address.user}:${encodeURIComponent(address.password ?? "")}@${address.host}:${address.port}/peer`)
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

const measureOurs = async (bus: BusName): Promise<number> => {
  const rig = await startEngineRig("steps", bus)
  try {
    await saturate(rig, 500)
    return rounded(await saturate(rig, pile))
  } finally {
    await rig.stop()
  }
}

const machine = await describeMachine()
const dbos = await withPostgres((url) => measureDbos(url, OUTCOMES, pile))
const ours = { inProcessBus: await measureOurs("inProcess"), nats: await measureOurs("nats") }
const best = dbos.reduce((found: PeerFigures | undefined, one) => (found === undefined || one.perSecond > found.perSecond ? one : found), undefined)
const ratio = (perSecond: number): number => rounded(perSecond / (best?.perSecond ?? Number.NaN))

for (const { perSecond, underWay, connections } of dbos) {
  console.log(`DBOS ${perSecond}/s  ${underWay} workflows under way, ${connections} connections`)
}
console.log(`Portcullis ${ours.inProcessBus}/s in-process bus (${ratio(ours.inProcessBus)} times DBOS at its best), ${ours.nats}/s over NATS (${ratio(ours.nats)} times)`)
console.log(JSON.stringify({ pile, dbos, ours, ratio: { inProcessBus: ratio(ours.inProcessBus), nats: ratio(ours.nats) }, machine }))
process.exit(0)
