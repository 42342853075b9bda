/** The coordinator's short memory: what it saved last about each request, so that the next answer needs no query. Never trusted further
 * than the row version, which the ledger compares again. */
import type { RequestId } from "../../src/domain/request.ts"
import { isEnd } from "../../src/domain/journey.ts"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"

/** About 2 KiB each: 4 MiB in all. */
const REQUESTS_MAX = 2_000

export class RecentRequests {
  readonly #byId = new Map<RequestId, StoredRequest>()

  /** Whether what is remembered is enough to judge something told about `version`. Without a version only a fresh look will do. */
  has(id: RequestId, version: number | undefined): boolean {
    return version !== undefined && this.#byId.get(id)?.version === version
  }

  get(id: RequestId): StoredRequest | undefined {
    return this.#byId.get(id)
  }

  keep(requests: ReadonlyArray<StoredRequest>): void {
    for (const request of requests) {
      this.#byId.delete(request.id)
      if (!isEnd(request.state)) this.#byId.set(request.id, request)
    }
    for (const id of this.#byId.keys()) {
      if (this.#byId.size <= REQUESTS_MAX) break
      this.#byId.delete(id)
    }
  }

  forget(ids: ReadonlyArray<RequestId>): void {
    for (const id of ids) this.#byId.delete(id)
  }
}
