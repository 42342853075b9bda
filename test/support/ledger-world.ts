/** A ledger on a real PostgreSQL, as one or several gateway processes would see it, and requests to put into it. */
import { Effect, Exit, Layer, ManagedRuntime, Scope } from "effect"
import { execFile } from "node:child_process"
import { randomBytes, randomInt } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import pg from "pg"
import { localKeyEncryptionKeyLayer } from "../../src/adapters/local-keys/key-encryption-key.layer.ts"
import type { PostgresServer } from "../../src/adapters/embedded/postgres-server.ts"
import { ledgerLayer } from "../../src/adapters/postgres/ledger.layer.ts"
import { databaseLayer } from "../../src/adapters/postgres/pool.ts"
import { type Hex, toHex } from "../../src/domain/hex.ts"
import type { RequestEvent } from "../../src/domain/outcome.ts"
import { type DecryptionRequest, requestIdOf, ZERO_ADDRESS } from "../../src/domain/request.ts"
import { DetectionLedger, type SeenBlock, type SeenRequest } from "../../src/ledger/detection-ledger.port.ts"
import { type Lease, Leases } from "../../src/ledger/lease.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { Timeline } from "../../src/ledger/timeline.port.ts"
import type { Change, StoredRequest } from "../../src/ledger/stored-request.ts"
import { behindPostgres, makeHistoryOlder, makeLanesOlder } from "./behind-postgres.ts"
import { eventually } from "./eventually.ts"
import type { LedgerProcess, LedgerRig } from "./ledger-rig.ts"
import { type PostgresVersion, testPostgres } from "./postgres.ts"
import { sayReconciled } from "./reconciled.ts"

export const random32 = (): Hex => toHex(randomBytes(32))
export const randomAddress = (): Hex => toHex(randomBytes(20))

export interface LedgerWorld extends LedgerRig {
  readonly server: PostgresServer
  /** Behind the ledger's back. */
  readonly query: (text: string, values?: ReadonlyArray<unknown>) => Promise<ReadonlyArray<Record<string, unknown>>>
}

const processOn = (server: PostgresServer, keyFile: string): LedgerProcess => {
  const runtime = ManagedRuntime.make(
    ledgerLayer.pipe(
      Layer.provide(localKeyEncryptionKeyLayer({ path: keyFile })),
      Layer.provide(databaseLayer({ connection: server.address, applicationName: "portcullis-test" }))
    )
  )
  return { run: (effect) => runtime.runPromise(effect), close: () => runtime.dispose() }
}

/** With its owner: PostgreSQL never runs as root. */
const replace = async (from: string, to: string) => {
  await rm(to, { recursive: true, force: true })
  await promisify(execFile)("cp", ["-a", from, to])
}

export const openLedgerWorld = async (version?: PostgresVersion): Promise<LedgerWorld> => {
  const scope = Scope.makeUnsafe()
  const server = await Effect.runPromise(testPostgres(version).pipe(Scope.provide(scope)))
  const directory = mkdtempSync(join(tmpdir(), "portcullis-test-kek-"))
  const keyFile = join(directory, "kek")
  writeFileSync(keyFile, randomBytes(32), { mode: 0o600 })
  const processes: Array<LedgerProcess> = []
  const another = () => {
    const opened = processOn(server, keyFile)
    processes.push(opened)
    return opened
  }
  const first = another()
  await first.run(sayReconciled) // layers are lazy: this migrates
  const pool = new pg.Pool({ ...server.address, max: 4 })
  pool.on("error", () => undefined)
  const query: LedgerWorld["query"] = async (text, values = []) => (await pool.query(text, [...values])).rows
  /** Connections of before find out one by one. */
  const answers = () => Promise.all(Array.from({ length: 12 }, () => first.run(Timeline.use(({ look }) => look))))
  const restarted = async (whileDown: () => Promise<unknown>) => {
    await Effect.runPromise(server.stop("immediate"))
    await whileDown()
    await Effect.runPromise(server.start)
    await eventually("the ledger answers again", () => answers().then(() => true, () => false))
  }
  return {
    run: first.run,
    server,
    another,
    query,
    failOver: () =>
      query("UPDATE database_timeline SET reconciled = 'another/1', noticed = NULL").then(() => query("UPDATE lease SET given_in = 'another/1'")),
    restart: () => restarted(async () => {}),
    setBack: async (work) => {
      const [row] = await query("SHOW data_directory")
      const data = String(row?.["data_directory"])
      const copy = join(directory, "data")
      await restarted(() => replace(data, copy))
      await work()
      await restarted(() => replace(copy, data))
    },
    behind: behindPostgres(query),
    nowMs: Effect.sync(() => Date.now()),
    passLaneTime: (ms) => Effect.promise(() => makeLanesOlder(query, ms)),
    passHistoryTime: (ms) => Effect.promise(() => makeHistoryOlder(query, ms)),
    eventually: Effect.fnUntraced(function*<A, E, R>(what: string, look: Effect.Effect<A | undefined | false, E, R>) {
      const context = yield* Effect.context<R>()
      const exit = yield* Effect.promise(() =>
        eventually(what, async () => {
          const looked = await Effect.runPromiseExitWith(context)(look)
          return Exit.isSuccess(looked) && (looked.value === undefined || looked.value === false) ? undefined : looked
        })
      )
      return (yield* exit) as A
    }),
    close: async () => {
      await Promise.all(processes.map((opened) => opened.close()))
      await pool.end().catch(() => undefined)
      await Effect.runPromise(Scope.close(scope, Exit.void))
      rmSync(directory, { recursive: true, force: true })
    }
  }
}

/** Chains are cheap: a law that counts on an empty one takes a new id. */
export const aChainId = (): bigint => BigInt(randomInt(1, 2 ** 47))

export const aBlock = (number: number, parent?: SeenBlock): SeenBlock => ({
  number,
  hash: random32(),
  parentHash: parent?.hash ?? random32()
})

export const inOneHour = (): number => Math.floor(Date.now() / 1_000) + 3_600

export const aSeenRequest = (
  block: SeenBlock,
  given: Partial<DecryptionRequest> & { readonly partition?: number; readonly logIndex?: number; readonly snapshot?: unknown } = {}
): SeenRequest => {
  const { partition = 0, logIndex = randomInt(0, 2 ** 30), snapshot = { value: "detected" }, ...facts } = given
  const all: DecryptionRequest = {
    chainId: 1n,
    gateway: randomAddress(),
    kind: "public",
    requester: randomAddress(),
    account: ZERO_ADDRESS,
    epoch: 1,
    deadline: inOneHour(),
    callbackGas: 100_000,
    salt: random32(),
    handles: [random32(), random32()],
    transportKey: "0x",
    ...facts
  }
  return {
    id: requestIdOf(all),
    facts: all,
    anchor: { blockNumber: block.number, blockHash: block.hash, logIndex },
    partition,
    snapshot,
    machineVersion: 1
  }
}

/** Requests on a chain of their own, just born, as the ledger stores them, in the order of their ids. */
export const born = Effect.fnUntraced(function*(
  count: number,
  given: Partial<DecryptionRequest> & { readonly partition?: number } = {}
) {
  const chainId = aChainId()
  const block = aBlock(1)
  const requests = Array.from({ length: count }, () => aSeenRequest(block, { ...given, chainId }))
  const detection = yield* DetectionLedger
  yield* detection.advance({ chainId, expected: null, ancestor: 0, blocks: [block], requests, keepFrom: 0, worker: "listener", lease: null })
  const ledger = yield* RequestLedger
  const stored = yield* ledger.load(requests.map((request) => request.id))
  return stored.toSorted((a, b) => (a.id < b.id ? -1 : 1))
})

export const ownPartition = Effect.fnUntraced(function*(partition: number, owner: string) {
  const leases = yield* Leases
  const [lease] = yield* leases.claim([`partition/${partition}`], owner, 60_000)
  if (lease === undefined) return yield* Effect.die(new TypeError(`partition ${partition} belongs to somebody else`))
  return lease
})

export const anEvent = (): RequestEvent => ({ type: "acl-checked", block: { blockNumber: 7, blockHash: random32() } })

/** A decision like a coordinator's: one step ahead, with work to dispatch. */
export const aChange = (stored: StoredRequest, lease: Pick<Lease, "epoch">, given: Partial<Change> = {}): Change => ({
  requestId: stored.id,
  partition: stored.partition,
  version: stored.version,
  leaseEpoch: lease.epoch,
  from: stored.state,
  to: "acl-checked",
  event: anEvent(),
  machineVersion: 1,
  snapshot: { value: "acl-checked" },
  dispatch: "acl-checked",
  wakeAfterMs: 10_000,
  answeredSignals: [],
  ...given
})

/** A decision that ends a request. */
export const anEnd = (stored: StoredRequest, lease: Pick<Lease, "epoch">, given: Partial<Change> = {}): Change =>
  aChange(stored, lease, {
    to: "refused",
    event: { type: "refused", reason: "not-allowed", detail: "the access list says no" },
    snapshot: { value: "refused" },
    dispatch: null,
    wakeAfterMs: null,
    ...given
  })
