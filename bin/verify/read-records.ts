/** Records of a live cluster. The order is what makes them comparable while everything moves: nodes' logs and the chain first, the ledger
 * last, so that whatever the first two show has already been written in the third. */
import { Effect } from "effect"
import type { Contracts } from "../../src/adapters/ethereum/addresses.ts"
import { Count } from "../../src/adapters/ethereum/answers.ts"
import { readChainAudit } from "../../src/adapters/ethereum/chain-audit.ts"
import { readCommittee } from "../../src/adapters/ethereum/committees.layer.ts"
import { finalityOf } from "../../src/adapters/ethereum/finality.ts"
import type { Rpc } from "../../src/adapters/ethereum/rpc.ts"
import type { NodeId } from "../../src/domain/committee.ts"
import type { FinalityPolicy } from "../../src/journey/2-acl-checked/access-list.port.ts"
import { AuditLedger } from "../../src/ledger/audit-ledger.port.ts"
import { DetectionLedger } from "../../src/ledger/detection-ledger.port.ts"
import { readNodeLog } from "./node-log.ts"
import { laneNameOf, type Records } from "./records.ts"

/** Newest slots of each lane that are looked at: a day at a transaction every ten seconds. */
const SLOTS_PER_LANE_MAX = 10_000

export interface AuditScope {
  readonly rpc: Rpc
  readonly contracts: Contracts
  readonly finality: FinalityPolicy
  /** How far back from the newest final block the chain is read. */
  readonly blocks: number
  /** How many of the newest requests are looked at besides those that have not ended and those in these blocks. */
  readonly newest: number
  readonly nodeLogs: ReadonlyArray<{ readonly node: NodeId; readonly path: string }>
}

export const readRecords = Effect.fnUntraced(function* ({ rpc, contracts, finality, blocks, newest, nodeLogs }: AuditScope) {
  const ledger = yield* AuditLedger
  const nodes = yield* Effect.forEach(nodeLogs, ({ node, path }) =>
    Effect.tryPromise({ try: () => readNodeLog(node, path), catch: (cause) => new NodeLogUnreadable(path, cause) })
  )
  const cursor = yield* DetectionLedger.use((detection) => detection.cursor(contracts.chainId))
  const { number: finalBlock, hash: finalHash } = yield* finalityOf(rpc, finality).newest
  const from = Math.max(contracts.startBlock, finalBlock - blocks + 1)
  const { requested, fulfilled } = yield* readChainAudit(rpc, contracts, from, finalBlock)
  const passed = requested.filter(({ blockNumber }) => cursor !== undefined && blockNumber <= cursor.number)
  const ids = [...passed, ...fulfilled].map(({ requestId }) => requestId)
  const requests = yield* ledger.requests([...ids, ...(yield* ledger.recentIds(newest))])
  const epochs = [...new Set(requests.map(({ stored }) => stored.facts.epoch))]
  const committees = yield* Effect.forEach(epochs, (epoch) => readCommittee(rpc, contracts, epoch))
  const lanes = (yield* ledger.lanes(SLOTS_PER_LANE_MAX)).filter(({ lane }) => lane.chainId === contracts.chainId)
  const finalNonces = yield* Effect.forEach(lanes, ({ lane }) =>
    Effect.map(rpc.ask("eth_getTransactionCount", [lane.address, { blockHash: finalHash }], Count), (nonce) => [laneNameOf(lane), nonce] as const)
  )
  return {
    chain: { requested: passed, fulfilled, finalBlock, finalNonces: new Map(finalNonces), cursorBlock: cursor?.number ?? null },
    // What was fulfilled before the blocks that were read is beyond what can be compared.
    requests: requests.filter(({ stored }) => stored.anchor.blockNumber >= from || stored.state !== "finalized"),
    lanes,
    nodes: nodeLogs.length === 0 ? null : nodes,
    lostUntilMs: yield* ledger.lostUntilMs,
    thresholds: new Map(committees.map(({ epoch, threshold }) => [epoch, threshold]))
  } satisfies Records
})

/** Found by its sentence: whoever gave the file can mend it. */
export class NodeLogUnreadable extends Error {
  constructor(path: string, cause: unknown) {
    super(`the answer log ${path} cannot be read (${String((cause as { readonly code?: unknown }).code ?? "unknown")})`)
  }
}
