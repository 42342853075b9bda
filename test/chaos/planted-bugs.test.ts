import { Effect, Layer } from "effect"
import { expect, test } from "vitest"
import { runSeed } from "../../chaos/simulator/run-seed.ts"
import type { MischiefOptions } from "../../chaos/simulator/sim-mischief.ts"
import type { Mutation } from "../../chaos/simulator/surroundings.ts"
import { ResultContract } from "../../src/journey/6-submitted/result-contract.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { ShareLedger } from "../../src/ledger/share-ledger.port.ts"

/** Seeds that are tried before a bug counts as not found. */
const SEEDS_MOST = 50

interface Planted {
  readonly bug: string
  readonly mutation: Mutation
  /** What makes it show sooner than pure chance. */
  readonly mischief?: Partial<MischiefOptions>
  /** What a violation says that is its work. */
  readonly says: RegExp
}

const PLANTED: ReadonlyArray<Planted> = [
  {
    bug: "nobody sweeps: what the bus loses is lost",
    mischief: { deathAtMoments: 0.0005, focus: "publish" },
    says: /has not ended/,
    mutation: (services) =>
      Layer.effect(
        RequestLedger,
        Effect.map(RequestLedger, (ledger) => ({ ...ledger, claimOverdue: () => Effect.succeed([]), owed: () => Effect.succeed([]) }))
      ).pipe(Layer.provideMerge(services))
  },
  {
    bug: "a stale decision is saved all the same",
    mischief: { deathAtMoments: 0, freezeAtMoments: 0.0008, focus: "save" },
    says: /^(?:C3|C7)/,
    mutation: (services) =>
      Layer.effect(
        RequestLedger,
        Effect.gen(function* () {
          const ledger = yield* RequestLedger
          const leases = yield* Leases
          return {
            ...ledger,
            save: (changes, worker) =>
              Effect.gen(function* () {
                const saved = yield* ledger.save(changes, worker)
                const stale = new Set(saved.flatMap((one) => (one.type === "stale" ? [one.requestId] : [])))
                if (stale.size === 0) return saved
                const stored = new Map((yield* ledger.load(changes.map(({ requestId }) => requestId))).map((one) => [one.id, one]))
                const epochs = new Map((yield* leases.holders).map(({ name, epoch }) => [name, epoch]))
                const forced = changes.filter(({ requestId }) => stale.has(requestId)).map((change) => ({
                  ...change,
                  version: stored.get(change.requestId)?.version ?? change.version,
                  from: stored.get(change.requestId)?.state ?? change.from,
                  leaseEpoch: epochs.get(`partition/${change.partition}`) ?? change.leaseEpoch
                }))
                return [...saved.filter(({ type }) => type === "saved"), ...(yield* ledger.save(forced, worker))]
              })
          }
        })
      ).pipe(Layer.provideMerge(services))
  },
  {
    bug: "a transaction is sent before its bytes are stored",
    says: /^intent before effect/,
    mutation: (services) =>
      Layer.effect(
        ResultContract,
        Effect.map(ResultContract, (contract) => ({
          ...contract,
          sign: (address, batch, tx) =>
            Effect.tap(contract.sign(address, batch, tx), ({ rawTx }) => Effect.ignore(contract.broadcast(rawTx)))
        }))
      ).pipe(Layer.provideMerge(services))
  },
  {
    bug: "nodes are asked without a word about it in the ledger",
    says: /^C4/,
    mutation: (services) =>
      Layer.effect(
        ShareLedger,
        Effect.map(ShareLedger, (ledger) => ({
          ...ledger,
          intend: (asks) => Effect.succeed(new Map(asks.map(({ requestId, nodes }) => [requestId, nodes])))
        }))
      ).pipe(Layer.provideMerge(services))
  },
  {
    bug: "a mined result counts as final",
    mischief: { reorgAfterResults: 1, deathAtMoments: 0, freezeAtMoments: 0 },
    says: /^(?:C2|right ends)/,
    mutation: (services) =>
      Layer.effect(
        ResultContract,
        Effect.map(ResultContract, (contract) => ({ ...contract, finality: () => Effect.succeed("final" as const) }))
      ).pipe(Layer.provideMerge(services))
  }
]

test.each(PLANTED)("the simulator finds that $bug", async ({ mutation, mischief, says }) => {
  for (let seed = 1; seed <= SEEDS_MOST; seed++) {
    const { violations } = await runSeed({ seed, mutation, ...(mischief === undefined ? {} : { mischief }) })
    if (violations.some((violation) => says.test(violation))) return
  }
  expect.unreachable(`${SEEDS_MOST} seeds, and nothing was found`)
})
