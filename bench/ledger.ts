/**
 * What the ledger costs: transitions per second through `RequestLedger.save` on a real PostgreSQL, and the plans of its
 * statements.
 *
 *     node bench/ledger.ts [--json] [--finished 100000] [--explain]
 *
 * `--finished` fills the tables with that many requests that have ended first: the numbers must not depend on it.
 */
import { Effect, Layer, ManagedRuntime } from "effect"
import { randomBytes } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { cpus } from "node:os"
import { dirname, join } from "node:path"
import { parseArgs } from "node:util"
import pg from "pg"
import { startPostgres } from "../src/adapters/embedded/postgres-server.ts"
import { databaseLayer } from "../src/adapters/postgres/pool.ts"
import { migrate } from "../src/adapters/postgres/migrate.ts"
import { Database } from "../src/adapters/postgres/pool.ts"
import { detectionLedgerLayer } from "../src/adapters/postgres/detection-ledger.layer.ts"
import { leasesLayer } from "../src/adapters/postgres/leases.layer.ts"
import { requestLedgerLayer } from "../src/adapters/postgres/request-ledger.layer.ts"
import { CLAIM_OVERDUE, LOAD, OWED, POSTPONE, SIGNALS } from "../src/adapters/postgres/request-statements.ts"
import { SAVE, saveValues } from "../src/adapters/postgres/save-statement.ts"
import { JOURNEY } from "../src/domain/journey.ts"
import { type Hex, toHex } from "../src/domain/hex.ts"
import { requestIdOf, ZERO_ADDRESS, type DecryptionRequest } from "../src/domain/request.ts"
import { DetectionLedger } from "../src/ledger/detection-ledger.port.ts"
import { Leases } from "../src/ledger/lease.port.ts"
import { RequestLedger } from "../src/ledger/request-ledger.port.ts"
import type { Change, Saved } from "../src/ledger/stored-request.ts"
import { fillFinished } from "./support/finished-requests.ts"

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    explain: { type: "boolean", default: false },
    finished: { type: "string", default: "0" }
  }
})

const PARTITIONS = 8
const LIVE = 8_000
const hex = (bytes: number): Hex => toHex(randomBytes(bytes))

interface Live {
  id: Hex
  partition: number
  version: number
  step: number
}

const bear = (count: number, number: number, parent: Hex) =>
  Effect.gen(function*() {
    const chainId = 31_337n
    const block = { number, hash: hex(32), parentHash: parent }
    const requests = Array.from({ length: count }, (_, index) => {
      const facts: DecryptionRequest = {
        chainId,
        gateway: hex(20),
        kind: "public",
        requester: hex(20),
        account: ZERO_ADDRESS,
        epoch: 1,
        deadline: Math.floor(Date.now() / 1_000) + 3_600,
        callbackGas: 0,
        salt: hex(32),
        handles: [hex(32)],
        transportKey: "0x"
      }
      return {
        id: requestIdOf(facts),
        facts,
        anchor: { blockNumber: number, blockHash: block.hash, logIndex: index },
        partition: index % PARTITIONS,
        snapshot: { value: "detected", context: {} },
        machineVersion: 1
      }
    })
    const detection = yield* DetectionLedger
    yield* detection.advance({
      chainId,
      expected: number === 1 ? null : parent,
      ancestor: number - 1,
      blocks: [block],
      requests,
      keepFrom: 0,
      worker: "bench",
      lease: null
    })
    return { hash: block.hash, live: requests.map(({ id, partition }): Live => ({ id, partition, version: 1, step: 0 })) }
  })

/** One step along the journey, round and round: the ledger does not mind. */
const changeOf = (one: Live, epoch: bigint): Change => {
  const from = JOURNEY[one.step % JOURNEY.length] ?? "detected"
  const to = JOURNEY[(one.step + 1) % JOURNEY.length] ?? "detected"
  return {
    requestId: one.id,
    partition: one.partition,
    version: one.version,
    leaseEpoch: epoch,
    from,
    to,
    event: { type: "acl-checked", block: { blockNumber: 7, blockHash: one.id } },
    machineVersion: 1,
    snapshot: { value: to, context: { anchor: { blockNumber: 1, blockHash: one.id, logIndex: 1 } } },
    dispatch: to,
    wakeAfterMs: 10_000,
    answeredSignals: []
  }
}

const advance = (one: Live, saved: Saved | undefined) => {
  if (saved?.type !== "saved") throw new TypeError("a save was stale")
  one.version = saved.version
  one.step += 1
}

/** CPU time of the server's processes, in ms. The machine is shared: this does not depend on who else uses it. */
const serverCpuMs = (logFile: string): number => {
  const postmaster = readFileSync(join(dirname(logFile), "data", "postmaster.pid"), "utf8").split("\n")[0]
  let ticks = 0
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ") // from the third field of proc(5) on
      if (pid === postmaster || fields[1] === postmaster) ticks += Number(fields[11]) + Number(fields[12])
    } catch {
      // it has ended
    }
  }
  return ticks * 10
}

const percentile = (sorted: ReadonlyArray<number>, share: number) => sorted[Math.floor(sorted.length * share)] ?? 0

/** `clients` fibers, each saving its own requests `perSave` at a time, for `ms`. */
const measure = (logFile: string, live: ReadonlyArray<Live>, clients: number, perSave: number, ms: number) =>
  Effect.gen(function*() {
    const ledger = yield* RequestLedger
    const latencies: Array<number> = []
    let transitions = 0
    const cpuBefore = { node: process.cpuUsage(), server: serverCpuMs(logFile) }
    const started = performance.now()
    const share = Math.floor(live.length / clients)
    const client = (index: number) =>
      Effect.gen(function*() {
        const mine = live.slice(index * share, (index + 1) * share)
        let at = 0
        while (performance.now() - started < ms) {
          if (at + perSave > mine.length) at = 0
          const batch = mine.slice(at, at + perSave)
          at += perSave
          const before = performance.now()
          const saved = yield* ledger.save(
            batch.map((one) => changeOf(one, 1n)),
            "bench"
          )
          latencies.push(performance.now() - before)
          batch.forEach((one, place) => advance(one, saved[place]))
          yield* ledger.settle(saved.flatMap((one) => (one.type === "saved" && one.outboxId !== null ? [one.outboxId] : [])))
          transitions += batch.length
        }
      })
    yield* Effect.all(Array.from({ length: clients }, (_, index) => client(index)), { concurrency: "unbounded" })
    const seconds = (performance.now() - started) / 1_000
    const node = process.cpuUsage(cpuBefore.node)
    const serverMs = serverCpuMs(logFile) - cpuBefore.server
    const sorted = latencies.toSorted((a, b) => a - b)
    return {
      clients,
      perSave,
      transitionsPerSecond: Math.round(transitions / seconds),
      nodeCpuMicros: Math.round((node.user + node.system) / transitions),
      postgresCpuMicros: Math.round((serverMs * 1_000) / transitions),
      saveP50Ms: Number(percentile(sorted, 0.5).toFixed(2)),
      saveP99Ms: Number(percentile(sorted, 0.99).toFixed(2))
    }
  })

const explain = async (client: pg.Client, live: ReadonlyArray<Live>) => {
  await client.query("SET jit = off; SET plan_cache_mode = force_generic_plan")
  const ids = live.slice(0, 100).map((one) => `\\x${one.id.slice(2)}`)
  const questions: ReadonlyArray<readonly [{ readonly name: string; readonly text: string }, ReadonlyArray<unknown>]> = [
    [SAVE, saveValues(live.slice(0, 100).map((one) => ({ change: changeOf(one, 1n), worker: "bench" })))],
    [LOAD, [ids]],
    [POSTPONE, [ids, live.slice(0, 100).map((one) => one.version), ids.map(() => 1_000), ids.map(() => "x")]],
    [CLAIM_OVERDUE, [[0, 1, 2], 100, 10_000]],
    [OWED, [[0, 1, 2], 0, 100]],
    [SIGNALS, [[0, 1, 2], 100]]
  ]
  for (const [{ name, text }, values] of questions) {
    await client.query("BEGIN")
    const { rows } = await client.query({ name: `explain-${name}`, text: `EXPLAIN (ANALYZE, BUFFERS) ${text}`, values: [...values] })
    await client.query("ROLLBACK")
    console.log(`\n=== ${name}\n${rows.map((row) => row["QUERY PLAN"]).join("\n")}`)
  }
}

const program = Effect.gen(function*() {
  const server = yield* startPostgres()
  const finished = Number(options.finished)
  const database = databaseLayer({ connection: server.address, applicationName: "bench" })
  const migrated = Layer.effectDiscard(Effect.flatMap(Database, (opened) => migrate(opened.patient)))
  const runtime = ManagedRuntime.make(
    Layer.mergeAll(requestLedgerLayer, detectionLedgerLayer, leasesLayer).pipe(Layer.provide(migrated), Layer.provide(database))
  )
  const client = new pg.Client(server.address)
  yield* Effect.promise(() => client.connect())
  const report = yield* Effect.promise(async () => {
    await runtime.runPromise(
      Effect.flatMap(Leases, (leases) => leases.claim(Array.from({ length: PARTITIONS }, (_, n) => `partition/${n}`), "bench", 3_600_000))
    )
    if (finished > 0) await fillFinished(server.address, finished, (text) => void process.stderr.write(`${text}\n`))
    const live: Array<Live> = []
    const bornFrom = performance.now()
    let parent: Hex = hex(32)
    for (let number = 1; live.length < LIVE; number += 1) {
      const made = await runtime.runPromise(bear(200, number, parent))
      parent = made.hash
      live.push(...made.live)
    }
    const birthsPerSecond = Math.round(LIVE / ((performance.now() - bornFrom) / 1_000))
    const runs = []
    for (const [clients, perSave] of [
      [1, 1],
      [1, 100],
      [2, 100],
      [64, 1],
      [1_000, 1]
    ] as const) {
      await runtime.runPromise(measure(server.logFile, live, clients, perSave, 1_000))
      runs.push(await runtime.runPromise(measure(server.logFile, live, clients, perSave, 4_000)))
    }
    const { rows } = await client.query(
      "SELECT n_tup_upd AS updates, n_tup_hot_upd AS hot, seq_scan FROM pg_stat_user_tables WHERE relname = 'request'"
    )
    if (options.explain) await explain(client, live)
    return { birthsPerSecond, runs, request: rows[0] }
  })
  yield* Effect.promise(() => client.end())
  yield* Effect.promise(() => runtime.dispose())
  return { postgres: server.version, cores: cpus().length, cpu: cpus()[0]?.model, finished, ...report }
})

const report = await Effect.runPromise(Effect.scoped(program))
if (options.json) {
  console.log(JSON.stringify(report))
} else {
  console.log(`PostgreSQL ${report.postgres}, ${report.cores} cores (${report.cpu}), ${report.finished} finished requests`)
  console.log(`births ${report.birthsPerSecond}/s; updates of request: ${JSON.stringify(report.request)}`)
  console.table(report.runs)
}
