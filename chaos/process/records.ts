/** What a run left behind: the states of the requests that were raised, and everything that the checkers look at. */
import { Effect, Layer } from "effect"
import pg from "pg"
import { readRecords } from "../../bin/verify/read-records.ts"
import type { Records } from "../../bin/verify/records.ts"
import type { PostgresAddress } from "../../src/adapters/embedded/postgres-server.ts"
import type { Contracts } from "../../src/adapters/ethereum/addresses.ts"
import { makeRpc } from "../../src/adapters/ethereum/rpc.ts"
import { auditLedgerLayer } from "../../src/adapters/postgres/audit-ledger.layer.ts"
import { detectionLedgerLayer } from "../../src/adapters/postgres/detection-ledger.layer.ts"
import { databaseLayer } from "../../src/adapters/postgres/pool.ts"
import type { NodeId } from "../../src/domain/committee.ts"
import { ENDS, isEnd, type End, type RequestState } from "../../src/domain/journey.ts"
import type { RequestId } from "../../src/domain/request.ts"
import type { Settled } from "../rig.ts"

const ANSWER_MS_MAX = 5_000
/** More than any campaign raises: everything is looked at. */
const ALL = 1_000_000

/** Past every proxy, and with the nodes' own logs. */
export const recordsOf = (
  chain: { readonly url: string; readonly contracts: Contracts },
  database: PostgresAddress,
  nodeLogs: ReadonlyArray<{ readonly node: NodeId; readonly path: string }>
): Promise<Records> =>
  Effect.gen(function* () {
    const rpc = yield* makeRpc(chain.url, chain.contracts.chainId)
    return yield* readRecords({ rpc, contracts: chain.contracts, finality: { type: "latest" }, blocks: ALL, newest: ALL, nodeLogs })
  }).pipe(
    Effect.provide(
      Layer.mergeAll(auditLedgerLayer, detectionLedgerLayer).pipe(
        Layer.provide(databaseLayer({ connection: database, applicationName: "chaos", connectionsMax: 1 }))
      )
    ),
    Effect.scoped,
    Effect.runPromise
  )

/** A connection for each question: the server comes and goes. */
export const statesOf = async (address: PostgresAddress, ids: ReadonlyArray<RequestId>): Promise<ReadonlyMap<RequestId, RequestState>> => {
  const client = new pg.Client({ ...address, application_name: "chaos", connectionTimeoutMillis: ANSWER_MS_MAX, query_timeout: ANSWER_MS_MAX })
  client.on("error", () => undefined)
  try {
    await client.connect()
    const text = "SELECT '0x' || encode(request_id, 'hex') AS id, state FROM request WHERE request_id = ANY($1)"
    const { rows } = await client.query<{ readonly id: RequestId; readonly state: RequestState }>(text, [
      ids.map((id) => Buffer.from(id.slice(2), "hex"))
    ])
    return new Map(rows.map(({ id, state }) => [id, state]))
  } finally {
    await client.end().catch(() => undefined)
  }
}

export const settledOf = (ids: ReadonlyArray<RequestId>, states: ReadonlyMap<RequestId, RequestState>): Settled => {
  const ended = Object.fromEntries(ENDS.map((end) => [end, 0])) as Record<End, number>
  const open: Array<Settled["open"][number]> = []
  for (const id of ids) {
    const state = states.get(id)
    if (state !== undefined && isEnd(state)) ended[state] += 1
    else open.push({ id, state })
  }
  return { ended, open }
}
