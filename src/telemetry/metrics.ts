/**
 * Every metric of the gateway as data: name, help, what its labels may say, and why it and its buckets are as they are.
 * Adapters make their instruments from this list and docs/generated/metrics.md is printed from it, so that a name is written
 * once.
 */
import { ALL_ROLES } from "../domain/cluster.ts"
import { ENDS, JOURNEY, STEPS } from "../domain/journey.ts"
import { COMMITTEE_NODES_MAX, RPC_ENDPOINTS_MAX, WORK_TIMEOUT_MS } from "../domain/limits.ts"
import { CACHES } from "./caches.ts"
import { DISAGREEMENTS } from "./chain-endpoints.port.ts"
import { type CounterName, COUNTERS, type GaugeName, GAUGES, LABELS } from "./telemetry.port.ts"

/**
 * What may stand in a label: one of a list, or text of a form of which only so many different ones are kept. All else is
 * "other".
 */
export type LabelRule = ReadonlyArray<string> | { readonly form: RegExp; readonly differentMax: number }

export interface Metric {
  readonly type: "counter" | "gauge" | "histogram"
  readonly name: `gateway_${string}`
  readonly help: string
  readonly labels: Readonly<Record<string, LabelRule>>
  /** Upper bounds in the unit of the name; histograms only. */
  readonly buckets?: ReadonlyArray<number>
  /** Why one looks at it, and why the buckets lie where they lie. */
  readonly because: string
}

const KINDS = ["public", "user"]
const STATES = [...JOURNEY, ...ENDS]
/** What a step can answer (domain/outcome.ts); `waiting`: a row will wake the request, there is nothing to say yet. */
const STEP_OUTCOMES = [...JOURNEY.slice(1), "finalized", "refused", "expired", "halted", "result-lost", "postponed", "waiting"]
const NODES = Array.from({ length: COMMITTEE_NODES_MAX }, (_, index) => String(index + 1))
const ENDPOINTS = Array.from({ length: RPC_ENDPOINTS_MAX }, (_, index) => String(index + 1))
const SHARE_OUTCOMES = ["answered", "NodeUnavailable", "NodeRefused", "AnswerInvalid"]
/** The refusals that are the access list's own; the others speak about the ciphertext, the key or the epoch. */
export const ACCESS_REASONS = ["not-allowed", "not-public", "not-delegated"]

/** Labels of the port's counters and gauges. A gateway has a few lanes and a dozen actors; the bound is for mistakes. */
const LABEL_RULES: Readonly<Record<(typeof LABELS)[keyof typeof LABELS], LabelRule>> = {
  node: NODES,
  lane: { form: /^0x[0-9a-fA-F]{40}$/, differentMax: 64 },
  actor: { form: /^[a-z0-9][a-z0-9-]{0,39}$/, differentMax: 64 },
  about: DISAGREEMENTS,
  endpoint: ENDPOINTS,
  dependency: { form: /^[a-z][a-z0-9-]{0,19}$/, differentMax: 16 },
  role: ALL_ROLES,
  cache: CACHES,
  subject: { form: /^[a-z]+(\.[a-z0-9-]{1,40}){1,3}$/, differentMax: 32 },
  state: JOURNEY,
  // As roles name it: by the fact that it establishes.
  step: STEPS
}

const labelsOf = (name: CounterName | GaugeName): Metric["labels"] => {
  const label = (LABELS as Partial<Record<string, keyof typeof LABEL_RULES>>)[name]
  return label === undefined ? {} : { [label]: LABEL_RULES[label] }
}

export const REQUESTS: Metric = {
  type: "counter",
  name: "gateway_decryption_requests_total",
  help: "Facts reached by decryption requests, the detection and the ends included",
  labels: { kind: KINDS, state: STATES },
  because:
    "The rate of each state is the throughput of the step before it; detected minus all ends is what is under way. A request " +
    "that a reorganisation moved is not counted as detected again. Any halted is our own mistake: page on it."
}

export const REQUEST_SECONDS: Metric = {
  type: "histogram",
  name: "gateway_decryption_duration_seconds",
  help: "From the detection of a request to its end",
  labels: { kind: KINDS, outcome: ENDS },
  buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 12, 30, 60, 120, 300, 900, 1_800],
  because:
    "What a user waits for. Below one second: chains that answer at once; 12: a block of Ethereum; 900: two of its epochs, " +
    "until a block is final; beyond 1,800 something is stuck."
}

export const ACL_DENIALS: Metric = {
  type: "counter",
  name: "gateway_acl_denials_total",
  help: "Requests refused because the access list said no",
  labels: { reason: ACCESS_REASONS },
  because: "A step up is somebody trying doors, or a contract deployed without its permissions."
}

export const STEP_SECONDS: Metric = {
  type: "histogram",
  name: "gateway_step_duration_seconds",
  help: "Time a step worked on the requests of one message, by the fact it works from and what came of it",
  labels: { step: JOURNEY, outcome: STEP_OUTCOMES },
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, WORK_TIMEOUT_MS / 1_000],
  because: "Six steps share 15 ms of added latency, so 0.0025 is a fair part; the last bound is when the work is sent out again."
}

export const STEP_ATTEMPTS: Metric = {
  type: "counter",
  name: "gateway_step_attempts_total",
  help: "Requests a step has worked on, by the fact it works from and what came of it",
  labels: { step: JOURNEY, outcome: STEP_OUTCOMES },
  because: "Attempts over facts reached is how often a step has to be repeated; postponed rises before latency does."
}

export const STATE_DWELL_SECONDS: Metric = {
  type: "histogram",
  name: "gateway_state_dwell_seconds",
  help: "Time a request stood in a state before the next fact, where this process saw both",
  labels: { state: JOURNEY },
  buckets: [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 12, 60, 300, 900],
  because:
    "Working, queueing and waiting together: where the latency of a request goes. Fine below 0.015 (the aim for all states " +
    "together), coarse where only the chain's finality is waited for."
}

export const SHARE_REPLY_SECONDS: Metric = {
  type: "histogram",
  name: "gateway_share_reply_seconds",
  help: "From asking one KMS node for a share until its answer was authenticated or given up",
  labels: { node: NODES, outcome: SHARE_OUTCOMES },
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4],
  because: "Names the slow or failing operator before requests suffer. The last bound is the time after which a node is given up."
}

/** What an operator reads from each of the port's counters and gauges. */
const BECAUSE: Readonly<Record<CounterName | GaugeName, string>> = {
  messages_parked: "Should stand still: a version of ours that the others cannot read, or a stranger on the bus.",
  stale_decisions: "A few when partitions change hands; a steady rate means that two coordinators work on one partition.",
  unreadable_snapshots: "During a rolling upgrade; at any other time an old build was started among newer ones.",
  work_resent: "The sweeper did the bus's work: each costs a request the work timeout.",
  shares_asked: "Divided by requests verified: at rest k, and hedging adds to it.",
  shares_received: "Far below shares_asked: nodes are slow, refuse, or are gone; gateway_share_reply_seconds says which.",
  wrong_shares: "Every single one is a broken or lying operator: the evidence file is for them.",
  hedged_asks: "The price of low latency; above a tenth of shares_asked a node is slow all the time.",
  hedges_won: "Divided by hedged_asks: how often hedging helped. Near zero: it only costs the nodes work.",
  results_lost: "A failover lost the last commits, and the outcome came by the bus all the same. At any other time: who deletes rows?",
  lane_cancellations: "Each is money for nothing: a batch that the contract had come to reject, or a nonce that an endpoint had lied about.",
  lane_history_forgotten: "Zero for days while results are sent: the tables of the lanes grow. Is there a sender that reaches the database?",
  lane_reverts: "Should be zero: what would revert is noticed before it is sent. Each has paged.",
  batches_split: "Should be zero: one result makes a transaction fail that carries others too. Each result alone costs as much as a small batch.",
  batches_handed_on: "A lane's key is lost, its account is empty, or somebody else uses it; each may be paid for twice.",
  batches_over_budget: "A requester asks for more than the budget lets it have: raise it, or ask them.",
  fee_bumps: "The chain asks for more than the fee policy offers.",
  rescan_found: "Any: an endpoint hid something from the listener. Requests were late, not lost; look at the endpoints.",
  rpc_disagreements:
    "Should stand still. An endpoint lies, is on a fork, or leaves logs out; endpoints that lag add a few. The warning says which.",
  rpc_endpoint_state: "Above 0 for minutes: that endpoint is not used, or used last. All above 0: the gateway works on what is left.",
  reorgs: "Normal in small numbers on chains with late finality; many mean a bad RPC endpoint.",
  actor_restarts: "Defects of ours. Should be zero; the error log has the cause.",
  wire_attempts: "What the work really costs the others; wire_failures divided by it is how well they are.",
  wire_failures: "The first to rise when something outside fails; `GET /resilience` says which target and method.",
  calls_refused: "Calls that were spared a target that could not have answered; rising for minutes: see breakers_not_closed.",
  retries_spent: "Stays below a tenth of the successes by construction; near it something fails now and then, all the time.",
  retries_denied: "An outage: repeating would only add to it. The work itself comes back by the sweeper.",
  consumers_remade:
    "One now and then after the bus elects a leader: work was late by seconds. A steady rate: look at the NATS servers; docs/cluster.md.",
  cache_hits: "Divided by hits and misses together: how often nobody had to be asked. docs/resilience.md says what is usual.",
  cache_misses: "What is asked of the chain or of a store because of it.",
  cache_evictions: "Fast and steady while hits are few: the cache is too small for what is under way.",
  telemetry_dropped: "Should be zero: something is said that must not be written, or the log's disk or reader is stuck.",
  oldest_overdue_seconds: "Says that requests are not moving while every process looks well; page beyond 30.",
  paused_overdue_seconds: "Somebody wants it so. What is to be done when it is resumed grows with it, and deadlines go on.",
  work_owed: "More is asked than is answered: it is given out in turn, one for each requester. Rising for minutes: more workers (GET /autoscale).",
  work_given_out: "What a newcomer finds ahead of it; at its bound while work_owed is above 0.",
  owned_partitions: "Summed over all coordinators it is the number of partitions; less means that requests wait for an owner.",
  unreadable_requests: "They wait until a newer coordinator runs: finish the upgrade, or undo the rollback.",
  is_listener_leader: "Summed over all nodes it is one for each chain; less for longer than a lease means that nobody reads the chain.",
  cursor_block: "chain_head_block minus this is how far behind the listener is.",
  desired_workers: "What an autoscaler follows; every node with the role api says it, so take the maximum.",
  backlog_seconds: "Above 5 there are too few workers for this step, or what they work with is slow.",
  worker_rate: "What desired_workers is worked out from. Falling: workers are slower, or what all of them wait for is.",
  listener_held: "Requests wait on chain, and their deadlines go on: more workers, or find out what they wait for.",
  chain_head_block: "Standing still: the chain or the RPC endpoint has stopped.",
  heads_announced: "0 where PORTCULLIS_RPC_WS_URL is set: detection is later by up to the poll interval, and nothing else.",
  rescanned_block: "Standing still for longer than a pass takes: nothing is read a second time, and what was missed stays missed.",
  lane_open_slots: "Rising: transactions are not mined, because of fees, nonces or an empty account.",
  lane_standstill: "Page when it is 1 for all lanes of a chain: nothing leaves. For one of several it can wait for the morning.",
  lane_balance_gwei: "Alert well before it lasts for less than a day of lane_spend_gwei.",
  lane_spend_gwei: "Near the budget the lane is about to stand still: is it load, fees, or reverts?",
  lane_queue_batches: "Rising while lanes work: too few lanes, or a chain that is full.",
  lane_queue_oldest_seconds: "What a result waits for a lane; above the chain's block time something is in the way.",
  breakers_not_closed: "Zero at rest. Above zero for more than a minute: that dependency is down; docs/resilience.md.",
  cache_entries: "At its bound while evictions rise: full.",
  cache_bytes: "Of ciphertexts only: in memory up to 64 MiB, in files up to PORTCULLIS_CACHE_BYTES_MAX.",
  cluster_nodes:
    "Every node says what it hears, so take the maximum. 0 for a role: nobody does that part of the work. A node with the role worker counts " +
    "for each worker:<step> as well.",
  cluster_paused: "Above 0 an operator has stopped something on purpose: paused_overdue_seconds rises with it, and nobody need be paged.",
  parked_messages: "Every node says it, so take the maximum. Above 0 somebody has to look: docs/runbooks/parked.md.",
  reconciling: "1 for some seconds after a failover. Page when it stays 1 for a minute: nothing leaves; docs/runbooks/failover.md."
}

const declare = (name: CounterName | GaugeName, of: Pick<Metric, "type" | "name" | "help">): Metric => ({
  ...of,
  labels: labelsOf(name),
  because: BECAUSE[name]
})

export const COUNTER_METRICS = Object.fromEntries(
  Object.entries(COUNTERS).map(([name, help]) => [
    name,
    declare(name as CounterName, { type: "counter", name: `gateway_${name}_total`, help })
  ])
) as unknown as Readonly<Record<CounterName, Metric>>

export const GAUGE_METRICS = Object.fromEntries(
  Object.entries(GAUGES).map(([name, help]) => [
    name,
    declare(name as GaugeName, { type: "gauge", name: `gateway_${name}`, help })
  ])
) as unknown as Readonly<Record<GaugeName, Metric>>

export const METRICS: ReadonlyArray<Metric> = [
  REQUESTS,
  REQUEST_SECONDS,
  ACL_DENIALS,
  STEP_SECONDS,
  STEP_ATTEMPTS,
  STATE_DWELL_SECONDS,
  SHARE_REPLY_SECONDS,
  ...Object.values(COUNTER_METRICS),
  ...Object.values(GAUGE_METRICS)
]
