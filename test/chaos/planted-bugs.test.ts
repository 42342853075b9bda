import { Effect, Layer } from "effect"
import { expect, test } from "vitest"
import { runSeed } from "../../chaos/simulator/run-seed.ts"
import type { MischiefOptions } from "../../chaos/simulator/sim-mischief.ts"
import type { Mutation } from "../../chaos/simulator/surroundings.ts"
import type { Scenario } from "../../chaos/scenario.ts"
import { ResultContract } from "../../src/journey/6-submitted/result-contract.port.ts"
import { Leases } from "../../src/ledger/lease.port.ts"
import { RequestLedger } from "../../src/ledger/request-ledger.port.ts"
import { Bus } from "../../src/messaging/bus.port.ts"
import { ShareLedger } from "../../src/ledger/share-ledger.port.ts"

/** Seeds that are tried before a bug counts as not found. */
const SEEDS_MOST = 50

interface Planted {
  readonly bug: string
  readonly mutation: Mutation
  /** What makes it show sooner than pure chance. */
  readonly mischief?: Partial<MischiefOptions>
  /** Instead of what the seed draws. */
  readonly scenario?: Scenario
  /** What a violation says that is its work. */
  readonly says: RegExp
}

/** For longer than a message may come again and again without a pause that grows; late messages find it gone. */
const DATABASE_AWAY: Scenario = {
  name: "database-away",
  sentence: "The database is away for twelve seconds while messages are under way.",
  load: { type: "steady", perSecond: 3 },
  roundMs: 20_000,
  round: [
    { verb: "reorder", on: { each: "gateway" }, atMs: 500, with: { share: 1 }, forMs: 5_000 },
    { verb: "stop-immediate", on: "postgres", atMs: 5_000, forMs: 12_000 }
  ],
  rigs: ["sim"]
}

const MINED_IS_FINAL: Pick<Planted, "mischief" | "mutation"> = {
  mischief: { reorgAfterResults: 1, deathAtMoments: 0, freezeAtMoments: 0 },
  mutation: (services) =>
    Layer.effect(
      ResultContract,
      Effect.map(ResultContract, (contract) => ({ ...contract, finality: () => Effect.succeed("final" as const) }))
    ).pipe(Layer.provideMerge(services))
}

const PLANTED: ReadonlyArray<Planted> = [
  {
    bug: "no message knows how often it came",
    scenario: DATABASE_AWAY,
    says: /^only poison parked/,
    mutation: (services) =>
      Layer.effect(
        Bus,
        Effect.map(Bus, (bus) => ({
          ...bus,
          consume: (subject, options, handle) => bus.consume(subject, options, (delivery) => handle({ ...delivery, deliveries: 1 }))
        }))
      ).pipe(Layer.provideMerge(services))
  },
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
  { bug: "a mined result counts as final", ...MINED_IS_FINAL, says: /^(?:C2|right ends)/ },
  { bug: "what is only mined is forgotten", ...MINED_IS_FINAL, says: /^forgotten when final/ }
]

test.each(PLANTED)("the simulator finds that $bug", async ({ mutation, mischief, scenario, says }) => {
  for (let seed = 1; seed <= SEEDS_MOST; seed++) {
    const { violations } = await runSeed({ seed, mutation, ...(mischief && { mischief }), ...(scenario && { scenario }) })
    if (violations.some((violation) => says.test(violation))) return
  }
  expect.unreachable(`${SEEDS_MOST} seeds, and nothing was found`)
})

test("without the bug, that outage of the database violates nothing", async () => {
  expect((await runSeed({ seed: 1, scenario: DATABASE_AWAY })).violations).toEqual([])
})
