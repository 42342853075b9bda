/** Every bound that is part of the domain, with its unit and its reason. Their relations are asserted at start. */
import assert from "node:assert/strict"

/** Handles in one request. Bounds the work one transaction can cause; the contract enforces it too. */
export const HANDLES_PER_REQUEST_MAX = 32
/** Nodes in a committee. The contract's loops and the evidence file grow with it. */
export const COMMITTEE_NODES_MAX = 32
/** Results under one attestation: one transaction of about 0.5 M gas, far below any block limit. */
export const RESPONSES_PER_ATTESTATION_MAX = 32
/** All results under one attestation. Ethereum nodes pool no transaction above 128 KiB (geth's txMaxSize); what a batch adds to its results
 * (attestation, ids, offsets) stays below 8 KiB. */
export const RESULT_BYTES_PER_ATTESTATION_MAX = 96 * 1024
/** Gas of all callbacks under one attestation: with the rest of the largest batch and a lane's margin it stays below the 2^24 that a
 * transaction may use (EIP-7825). */
export const CALLBACK_GAS_PER_ATTESTATION_MAX = 8_000_000
/** Handles under one attestation: a node recomputes each before it signs (a few milliseconds for an encrypted key), and is given seconds. A
 * batch that takes it longer would be asked for again and again, whole. */
export const HANDLES_PER_ATTESTATION_MAX = 128
/** A whole ciphertext. Public plaintexts go on chain and are far smaller; user payloads may be documents. */
export const CIPHERTEXT_BYTES_MAX = 16 * 1024 * 1024
/** A public plaintext: it is paid for by the byte on chain and travels inside the attestation request. */
export const PUBLIC_PLAINTEXT_BYTES_MAX = 4_096
/** A public ciphertext: the plaintext plus the format's overhead (under 512 bytes). */
export const PUBLIC_CIPHERTEXT_BYTES_MAX = PUBLIC_PLAINTEXT_BYTES_MAX + 512
export const LOCATIONS_PER_CIPHERTEXT_MAX = 4
export const LOCATION_BYTES_MAX = 256
/** RPC endpoints of one chain: each is looked at every few seconds, and metrics have a series for each. */
export const RPC_ENDPOINTS_MAX = 8
/** Partitions of requests: the most coordinators that can share the work. A change needs a drained cluster. */
export const PARTITIONS = 8
/** Work items in one message: bounds redelivery after a crash and the memory of a step. */
export const ITEMS_PER_ENVELOPE_MAX = 64
/** A message: 64 outcomes with evidence of up to 32 handles each stay below it; NATS' own default limit is 1 MiB. */
export const ENVELOPE_BYTES_MAX = 512 * 1024
/** The sweeper looks this often; together with the work timeouts it bounds what a lost message costs. */
export const SWEEP_PERIOD_MS = 1_000
/** Work that has not been answered after this long is sent out again. Provisional: three times the slowest measured step at half load. */
export const WORK_TIMEOUT_MS = 10_000
/** Times one piece of work is given out without any answer before the request is halted as poisoned (claims count, not failures: it may be
 * killing the workers that take it). More than three minutes, so that an outage of all workers is not taken for poison too soon. */
export const CLAIMS_MAX = 20
/** First and longest pause before work is tried again (full jitter between). */
export const RETRY_FIRST_MS = 200
export const RETRY_LONGEST_MS = 15_000
/** A lease: long enough for a garbage collection and a slow disk, short enough for a takeover that users hardly notice. */
export const LEASE_MS = 10_000
export const LEASE_RENEW_MS = 2_500
/** We stop trusting a lease this long before the database would give it away: room for clocks that run at different speeds. */
export const LEASE_SAFETY_MS = 1_000
/** An event loop that shows no sign of life for this long is taken for dead: its leases are renewed no more, although its thread could. Far
 * longer than any computation of ours, short enough that its partitions do not wait for a human. */
export const LOOP_SILENT_MS_MAX = 30_000
/** A node says this often that it lives, and hears in the answer what operators have paused and whether it is to drain: one statement for the
 * whole process, and never longer than this (and the statement) until a pause is noticed. */
export const NODE_BEAT_MS = 1_000
/** A beat that takes longer is given up, so that the next one can be tried before the node is taken for dead. */
export const NODE_BEAT_TIMEOUT_MS = 2_000
/** A node that has been silent for this long is taken for dead. Its leases are free by then as well, unless only its event loop stands still. */
export const NODE_DEAD_AFTER_MS = 10_000
/** How long a node that is gone is still shown: one can look back at a rolling upgrade. */
export const NODE_REMEMBERED_MS = 3_600_000

assert(LEASE_RENEW_MS * 3 < LEASE_MS - LEASE_SAFETY_MS, "three renewals may fail before a lease is lost")
assert(SWEEP_PERIOD_MS < WORK_TIMEOUT_MS, "overdue work is noticed sooner than it becomes overdue again")
assert(NODE_BEAT_MS + 2 * NODE_BEAT_TIMEOUT_MS < NODE_DEAD_AFTER_MS, "two beats may fail before a node is taken for dead")
assert(LEASE_MS <= NODE_DEAD_AFTER_MS, "the leases of a process that died are free when it is called dead")
