/** Whether the parts a gateway depends on can be used at the moment: asked for real, through the same ports that the work goes through. */
import { Effect } from "effect"
import { kmsFinding, upWhenAnswered, type HealthChecks } from "../src/adapters/http/health.ts"
import { RequestLog } from "../src/journey/1-detected/request-log.port.ts"
import { Committees } from "../src/journey/4-shares-collected/committee.port.ts"
import { ShareNodes } from "../src/journey/4-shares-collected/share-node.port.ts"
import { RequestLedger } from "../src/ledger/request-ledger.port.ts"
import { Bus } from "../src/messaging/bus.port.ts"

/** Shorter than the whole check may take: one silent node must not make the others look silent. */
const DESCRIBE_MS_MAX = 1_000

const isAnswering = <A, E>(describe: Effect.Effect<A, E>) => Effect.isSuccess(Effect.timeout(describe, DESCRIBE_MS_MAX))

export const healthChecks = Effect.gen(function* () {
  const committees = yield* Committees
  const nodes = yield* ShareNodes
  const ledger = yield* RequestLedger
  const log = yield* RequestLog
  const bus = yield* Bus
  return {
    kms: Effect.gen(function* () {
      const committee = yield* committees.current
      const answers = yield* Effect.forEach(committee.nodes, (node) => isAnswering(nodes.describe(node)), {
        concurrency: "unbounded"
      })
      return kmsFinding({
        answering: answers.filter(Boolean).length,
        nodes: committee.nodes.length,
        threshold: committee.threshold
      })
    }),
    database: upWhenAnswered(ledger.ping),
    blockchain: Effect.map(log.latest, ({ number }) => ({ status: "up" as const, detail: `at block ${number}` })),
    nats: upWhenAnswered(bus.ping)
  } satisfies HealthChecks
})
