/** A ledger in memory as one or several gateway processes would see it, on a clock that only the test moves. */
import { Clock, Effect, Exit, Layer, ManagedRuntime, Scope } from "effect"
import { TestClock } from "effect/testing"
import assert from "node:assert/strict"
import { Connection, type StatementHooks } from "../../chaos/simulator/ledger/connection.ts"
import { makeMemoryDatabase, type MemoryDatabase } from "../../chaos/simulator/ledger/memory-database.ts"
import { memoryLedger } from "../../chaos/simulator/ledger/memory-ledger.ts"
import { sealerOf } from "../../chaos/simulator/ledger/sealer.ts"
import { laneSlotTable, resultTable, shareAskTable, shareTable, transitionTable, txAttemptTable } from "../../chaos/simulator/ledger/tables.ts"
import type { Hex } from "../../src/domain/hex.ts"
import type { RequestId } from "../../src/domain/request.ts"
import type { BehindTheLedger, LedgerProcess, LedgerRig } from "./ledger-rig.ts"
import { sayReconciled } from "./reconciled.ts"

const LOOK_AGAIN_MS = 10
const LOOKS_MAX = 1_000

export interface MemoryLedgerProcess extends LedgerProcess {
  readonly connection: Connection
}

export interface MemoryLedgerWorld extends LedgerRig {
  readonly database: MemoryDatabase
  readonly another: (hooks?: StatementHooks) => MemoryLedgerProcess
}

const behind = (database: MemoryDatabase): BehindTheLedger => {
  // What a statement does is refused by a rejection, as over a wire.
  const change = async <A>(work: Parameters<typeof database.transact<A>>[0]): Promise<A> => database.transact(work)
  const attempts = (root: string) => database.table(txAttemptTable).all().filter((row) => row.root === root)
  const alterBytes = (root: string, rawTx: Hex) =>
    change(({ table }) => {
      for (const { chainId, address, nonce, attemptNo } of attempts(root)) {
        table(txAttemptTable).update(`${chainId}/${address}/${nonce}/${attemptNo}`, (row) => ({ ...row, rawTx }))
      }
    })
  const sharesOf = (id: RequestId) => database.table(shareTable).where("request", id)
  return {
    askedNodes: async (id) => database.table(shareAskTable).get(id)?.nodes ?? [],
    setAskedNodes: (id, nodes) => change(({ table }) => table(shareAskTable).update(id, (row) => ({ ...row, nodes }))),
    deleteAsk: (id) => change(({ table }) => table(shareAskTable).delete(id)),
    sealedShares: async (id) => sharesOf(id).map((row) => row.sealed),
    copySealedShare: (from, to) =>
      change(({ table }) => {
        const sealed = sharesOf(from)[0]?.sealed ?? new Uint8Array()
        for (const { nodeId } of sharesOf(to)) table(shareTable).update(`${to}/${nodeId}`, (row) => ({ ...row, sealed }))
      }),
    sealedResults: async (root) => database.table(resultTable).where("root", root).map((row) => row.sealed),
    alterAttempts: (root) => alterBytes(root, "0x00"),
    emptyAttempts: (root) => alterBytes(root, "0x"),
    deleteSlots: (root) =>
      change(({ table }) => {
        const slots = table(laneSlotTable).all().filter((row) => row.root === root)
        for (const { chainId, address, nonce } of slots) table(laneSlotTable).delete(`${chainId}/${address}/${nonce}`)
      }),
    deleteAttempts: (root) =>
      change(({ table }) => {
        for (const { chainId, address, nonce, attemptNo } of attempts(root)) {
          table(txAttemptTable).delete(`${chainId}/${address}/${nonce}/${attemptNo}`)
        }
      }),
    alterTransition: (id, seq) =>
      change(({ table }) => table(transitionTable).update(`${id}/${seq}`, (row) => ({ ...row, worker: "somebody" }))),
    deleteTransition: (id, seq) => change(({ table }) => table(transitionTable).delete(`${id}/${seq}`)),
    deleteAllTransitions: () =>
      change(({ table }) => {
        for (const { requestId, seq } of table(transitionTable).all()) table(transitionTable).delete(`${requestId}/${seq}`)
      }),
    tamperWithTransition: async (id, seq) =>
      database.table(transitionTable).tamper(`${id}/${seq}`, (row) => ({ ...row, atMs: row.atMs + 3_600_000 }))
  }
}

export const openMemoryLedgerWorld = async (): Promise<MemoryLedgerWorld> => {
  const scope = Scope.makeUnsafe()
  const clock = await Effect.runPromise(Layer.build(TestClock.layer()).pipe(Scope.provide(scope)))
  const time = Layer.succeedContext(clock)
  // Requests of the laws have deadlines by the calendar.
  await Effect.runPromise(TestClock.setTime(Date.now()).pipe(Effect.provide(clock)))
  const database = await Effect.runPromise(makeMemoryDatabase.pipe(Effect.provide(clock)))
  const processes: Array<LedgerProcess> = []
  const another = (hooks: StatementHooks = {}): MemoryLedgerProcess => {
    const node = `node-${processes.length + 1}`
    const connection = new Connection(database, node, hooks)
    const ledger = memoryLedger(connection, sealerOf({ node, key: "laws" }))
    const runtime = ManagedRuntime.make(Layer.provideMerge(ledger, time))
    const opened = { connection, run: runtime.runPromise, close: () => runtime.dispose() }
    processes.push(opened)
    return opened
  }
  const first = another()
  await first.run(sayReconciled)
  return {
    ...first,
    database,
    another,
    failOver: async () => database.promote(database.copy()),
    restart: async () => {
      database.stop()
      database.start()
    },
    setBack: async (work) => {
      const snapshot = database.copy()
      await work()
      database.restore(snapshot)
    },
    behind: behind(database),
    nowMs: Clock.currentTimeMillis,
    passLaneTime: TestClock.adjust,
    passHistoryTime: TestClock.adjust,
    eventually: Effect.fnUntraced(function* (what, look) {
      for (let looks = 0; looks < LOOKS_MAX; looks += 1) {
        const seen = yield* look
        if (seen !== undefined && seen !== false) return seen
        yield* TestClock.adjust(LOOK_AGAIN_MS)
      }
      return assert.fail(`not within ${LOOKS_MAX * LOOK_AGAIN_MS} ms of the ledger's time: ${what}`)
    }),
    close: async () => {
      await Promise.all(processes.map((opened) => opened.close()))
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
}
