/** What this process knows of requests without a query: what its coordinator saved last about them. The coordinator decides on it, and steps in the
 * same process work on it. Never trusted further than the row version, which the ledger compares again, nor longer than the lease of the
 * request's partition under which it was learned: whoever has that lease writes every version. */
import { Context } from "effect"
import { isEnd } from "../../src/domain/journey.ts"
import type { RequestId } from "../../src/domain/request.ts"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"
import type { OwnedPartitions } from "./partitions.ts"

/** About 2 KiB each: 8 MiB in all. */
const REQUESTS_MAX = 4_000

interface Remembered {
  readonly request: StoredRequest
  readonly epoch: bigint
}

export class RecentRequests {
  readonly #byId = new Map<RequestId, Remembered>()
  readonly #epochOf: OwnedPartitions["epochOf"]

  constructor({ epochOf }: Pick<OwnedPartitions, "epochOf">) {
    this.#epochOf = epochOf
  }

  /** Whether what is remembered is enough to judge something told about `version`. Without a version only a fresh look will do. */
  has(id: RequestId, version: number | undefined): boolean {
    return version !== undefined && this.get(id)?.version === version
  }

  get(id: RequestId): StoredRequest | undefined {
    const known = this.#byId.get(id)
    return known !== undefined && known.epoch === this.#epochOf(known.request.partition) ? known.request : undefined
  }

  keep(requests: ReadonlyArray<StoredRequest>): void {
    for (const request of requests) {
      const epoch = this.#epochOf(request.partition)
      this.#byId.delete(request.id)
      if (epoch !== undefined && !isEnd(request.state)) this.#byId.set(request.id, { request, epoch })
    }
    if (this.#byId.size > REQUESTS_MAX) this.#forgetOldest()
  }

  /** Apart, because finding the oldest passes by all that was deleted before it. */
  #forgetOldest(): void {
    for (const id of this.#byId.keys()) {
      if (this.#byId.size <= REQUESTS_MAX) break
      this.#byId.delete(id)
    }
  }

  /** Read from the ledger: no newer than what was saved meanwhile. */
  learn(requests: ReadonlyArray<StoredRequest>): void {
    this.keep(requests.filter(({ id, version }) => (this.get(id)?.version ?? 0) < version))
  }

  forget(ids: ReadonlyArray<RequestId>): void {
    for (const id of ids) this.#byId.delete(id)
  }
}

/** Those of the coordinator in this process; where there is none, nothing is known and everything is read. */
export const Recent: Context.Reference<RecentRequests> = Context.Reference("portcullis/actors/Recent", {
  defaultValue: () => new RecentRequests({ epochOf: () => undefined })
})
