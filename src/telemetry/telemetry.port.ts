/**
 * What is said about the work while it happens: one `info` line for each fact, a duration for each step, counters for what went
 * wrong. Values are plain scalars by type, so that bytes, keys and shares cannot be handed over by mistake; an adapter drops
 * whatever gets past the types. Nothing here ever fails or throws: to be seen must not cost the work itself.
 */
import { Context } from "effect"
import type { Milestone, RequestState } from "../domain/journey.ts"
import type { RequestEvent } from "../domain/outcome.ts"
import type { RequestId, RequestKind } from "../domain/request.ts"

export type Scalar = string | number | boolean | null
export type LogData = Readonly<Record<string, Scalar>>

export interface FactReached {
  readonly requestId: RequestId
  readonly kind: RequestKind
  readonly from: RequestState | null
  readonly to: RequestState
  readonly event: RequestEvent | { readonly type: "detected"; readonly blockNumber: number }
  readonly version: number
  /** Milliseconds since the request was detected, by the database's clock; 0 for the detection itself. */
  readonly sinceDetectedMs: number
}

/** Everything that is counted, with the reason one would look at it. Names become `gateway_<name>_total`. */
export const COUNTERS = {
  messages_parked: "Messages nobody could read; each is kept on decryption.parked",
  stale_decisions: "Decisions dropped because somebody else had decided first",
  unreadable_snapshots: "Outcomes about requests of a newer build, left for that build to decide",
  work_resent: "Work sent out again by the sweeper: messages or workers were lost",
  shares_asked: "Shares asked from KMS nodes",
  shares_received: "Authentic answers received from KMS nodes",
  wrong_shares: "Shares proved wrong; each left an evidence file",
  hedged_asks: "Further nodes asked because the first ones were slow",
  hedges_won: "Further nodes that answered in time to be counted",
  results_lost: "Verified results that the database does not have, and that are made again",
  fee_bumps: "Transactions replaced with a higher fee",
  lane_cancellations: "Nonces used up by a transaction that sends nothing, so that those above them could be mined",
  lane_reverts: "Fulfilments that were mined, reverted and final",
  lane_history_forgotten: "Rows, and signed bytes, of nonces that were final long ago and are forgotten",
  batches_split: "Batches whose results are sent one by one, because a transaction with all of them failed or would have",
  batches_handed_on: "Batches that another lane carries as well, because their own could not help them any more",
  batches_over_budget: "Times a batch was put off because everybody who asked for it had spent too much",
  reorgs: "Reorganisations walked back by the listener",
  actor_restarts: "Actors restarted by their supervisor",
  wire_attempts: "Attempts sent to what lies outside of this process, repetitions and hedges included",
  wire_failures: "Attempts that failed by no connection, no answer in time, or an answer that says overloaded or broken",
  calls_refused: "Calls not sent: their target rests after too many failures, or has too many under way",
  retries_spent: "Attempts repeated, paid from the retry budget",
  retries_denied: "Attempts not repeated, because the retry budget was empty",
  rescan_found: "Requests in final blocks that the listener had missed or misplaced and the re-scan found",
  rpc_disagreements: "Answers of RPC endpoints that contradicted another endpoint's, by what they were about",
  consumers_remade: "Consumers of the bus that stood still with messages waiting and were made again",
  cache_hits: "Answers that a cache gave, or that came with somebody else's question, by cache",
  cache_misses: "Answers that had to be asked for",
  cache_evictions: "Entries that had to go because of a cache's bounds of size and age",
  telemetry_dropped: "Values, labels and lines that were not written: a mistake of ours, or a log that cannot be written to"
} as const
export type CounterName = keyof typeof COUNTERS

export const GAUGES = {
  oldest_overdue_seconds: "Seconds since the most overdue wake-up was due, of what is not paused; page on this one",
  paused_overdue_seconds: "The same of what waits because an operator has paused its step",
  work_owed: "Messages that wait to be given out, in the partitions of this coordinator, by the state of their requests",
  work_given_out: "Requests given out and not answered yet, by this coordinator, by their state",
  owned_partitions: "Partitions this coordinator owns",
  unreadable_requests: "Overdue requests that only a newer build can read",
  is_listener_leader: "1 where this node's listener leads its chain, else 0",
  cursor_block: "Newest block read by the listener",
  desired_workers: "Workers that a step should have, as GET /autoscale says",
  backlog_seconds: "How long the oldest work for a step has waited to be given out, in the whole cluster",
  worker_rate: "Requests that one worker of a step was seen to be able to answer in a second; 0 before work has waited",
  listener_held: "1 while the listener reads no blocks, because too much is under way or has waited for too long",
  chain_head_block: "Newest block the chain has announced",
  heads_announced: "1 while a WebSocket announces new blocks, 0 while the listener only looks by itself",
  rescanned_block: "Newest final block that was read a second time",
  lane_open_slots: "Transactions of a lane that are not final yet",
  lane_standstill: "1 while a lane sends nothing new; the log and `portcullis lanes` say why",
  lane_balance_gwei: "Balance of a lane's account",
  lane_spend_gwei: "What a lane's mined transactions cost within the budget's window",
  lane_queue_batches: "Batches that wait for a lane",
  lane_queue_oldest_seconds: "How long the oldest of them has waited",
  breakers_not_closed: "Circuit breakers that rest or are probing",
  rpc_endpoint_state: "How an RPC endpoint is: 0 alive, 1 not looked at yet, 2 says nothing of finality, 3 behind, 4 silent, 5 another chain",
  cache_entries: "What a cache holds",
  cache_bytes: "Bytes that a cache of ciphertexts holds",
  cluster_nodes: "Nodes of the cluster that live and take work, by role, as this node hears",
  cluster_paused: "Switches that operators have set, as this node hears",
  parked_messages: "Messages kept apart because nobody could read them; `portcullis parked list` shows them",
  reconciling: "1 while lanes send nothing: the history of the database was not compared with the chain yet, or nobody has vouched for its last start"
} as const
export type GaugeName = keyof typeof GAUGES

/** What the `label` of a counter or gauge names; the others have none, and a label given to them is dropped. */
export const LABELS = {
  wrong_shares: "node",
  fee_bumps: "lane",
  lane_cancellations: "lane",
  lane_reverts: "lane",
  batches_split: "lane",
  batches_handed_on: "lane",
  lane_standstill: "lane",
  lane_balance_gwei: "lane",
  lane_spend_gwei: "lane",
  lane_open_slots: "lane",
  actor_restarts: "actor",
  wire_attempts: "dependency",
  wire_failures: "dependency",
  calls_refused: "dependency",
  retries_spent: "dependency",
  retries_denied: "dependency",
  breakers_not_closed: "dependency",
  rpc_disagreements: "about",
  rpc_endpoint_state: "endpoint",
  cluster_nodes: "role",
  desired_workers: "step",
  backlog_seconds: "step",
  consumers_remade: "subject",
  cache_hits: "cache",
  cache_misses: "cache",
  cache_evictions: "cache",
  cache_entries: "cache",
  cache_bytes: "cache",
  worker_rate: "step",
  work_owed: "state",
  work_given_out: "state"
} as const satisfies Partial<Record<CounterName | GaugeName, string>>

export class Telemetry extends Context.Service<
  Telemetry,
  {
    readonly reached: (fact: FactReached) => void
    /** `step` is named for the fact it works from; `outcome` is the outcome's type. */
    readonly step: (step: Milestone, outcome: string, seconds: number) => void
    readonly count: (name: CounterName, by?: number, label?: string) => void
    readonly gauge: (name: GaugeName, value: number, label?: string) => void
    readonly shareReply: (nodeId: number, outcome: string, seconds: number) => void
    /** Something an operator may have to do. */
    readonly warn: (what: string, data: LogData) => void
    /** Pages somebody. */
    readonly error: (what: string, data: LogData) => void
    readonly info: (what: string, data: LogData) => void
  }
>()("portcullis/telemetry/Telemetry") {}
