/** Collects those who want to know a request's status at the same block at the same time, and asks once for all of them. */
import { Effect } from "effect"
import type { Hex } from "../../domain/hex.ts"
import type { RequestId } from "../../domain/request.ts"
import type { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import { monotonicMs } from "../../resilience/monotonic.ts"
import { SingleFlight } from "../../resilience/single-flight.ts"
import type { Inspection } from "./inspection.ts"
import { STATUSES_MAX, statusesAt } from "./many-statuses.ts"
import type { BlockHeader, Rpc } from "./rpc.ts"

type Status = Inspection["status"]

/** After a failure nobody is collected for as long: an endpoint may not know such questions, and must not seem broken because of them. */
const REST_MS = 60_000

interface Round {
  readonly name: string
  readonly at: BlockHeader
  readonly ids: Set<RequestId>
}

export class StatusDesk {
  readonly #rpc: Rpc
  readonly #gateway: Hex
  readonly #flights = new SingleFlight<ReadonlyMap<RequestId, Status>, ChainUnavailable>()
  #rounds = 0
  #open: Round | undefined
  #restsUntilMs = 0

  constructor(rpc: Rpc, gateway: Hex) {
    this.#rpc = rpc
    this.#gateway = gateway
  }

  /** Undefined when it was not told: ask in another way. */
  statusOf(id: RequestId, at: BlockHeader): Effect.Effect<Status | undefined> {
    return Effect.flatMap(monotonicMs, (nowMs) => {
      if (nowMs < this.#restsUntilMs) return Effect.succeed(undefined)
      const round = this.#roundAt(at)
      round.ids.add(id)
      // One turn of the scheduler, in which the others of the herd come.
      const ask = Effect.andThen(Effect.yieldNow, Effect.suspend(() => this.#close(round)))
      return Effect.catch(
        Effect.map(this.#flights.share(round.name, ask), (statuses) => statuses.get(id)),
        () => Effect.sync(() => void (this.#restsUntilMs = nowMs + REST_MS))
      )
    })
  }

  #roundAt(at: BlockHeader): Round {
    if (this.#open === undefined || this.#open.at.hash !== at.hash || this.#open.ids.size >= STATUSES_MAX) {
      this.#open = { name: String(++this.#rounds), at, ids: new Set() }
    }
    return this.#open
  }

  #close(round: Round) {
    if (this.#open === round) this.#open = undefined
    return statusesAt(this.#rpc, this.#gateway, [...round.ids], round.at)
  }
}
