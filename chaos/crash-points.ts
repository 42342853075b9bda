/**
 * The fifteen points at which a gateway must be able to die, each with the places of a simulated journey where exactly that happens, and
 * with the test that does it to real processes where there is one. test/chaos/crash-points.test.ts kills at every place of the journey;
 * this table says which of them the fifteen are, and what else goes wrong there.
 */

/** A place in the journey of one request: chaos/simulator/crash-sites.ts. The service that is called does not matter here. */
export interface CrashPlace {
  readonly moment: "before" | "after"
  readonly what: string
  /** How far the request is, and its transaction once it has one. */
  readonly during: string
}

/** What happens besides the death of one process: nothing, its result is reorganised away, the bus loses its store, an older copy of the
 * database takes over. `frozen`: it does not die but stands still for longer than a lease, and wakes up. */
export type CrashWith = "killed" | "block gone" | "bus wiped" | "older database" | "frozen"

export interface CrashPoint {
  readonly row: number
  readonly diesAfter: string
  readonly leaves: string
  readonly goesOn: string
  readonly with: CrashWith
  readonly places: ReadonlyArray<CrashPlace>
  /** The sentence of a test in test/system, or null: then only the simulator kills there. */
  readonly realProcess: { readonly file: string; readonly test: string } | null
}

const after = (what: string, during: string): CrashPlace => ({ moment: "after", what, during })
const before = (what: string, during: string): CrashPlace => ({ moment: "before", what, during })

const CRASHES = "test/system/crashes-and-outages.test.ts"
const EACH_FACT = {
  file: CRASHES,
  test: "killed with SIGKILL right after %s and started again finishes the request with one effect"
}

export const CRASH_POINTS: ReadonlyArray<CrashPoint> = [
  {
    row: 1,
    diesAfter: "a block was read, before anything of it was committed",
    leaves: "nothing new; the cursor has not moved",
    goesOn: "the block is read again",
    with: "killed",
    places: [after("read a block", "not detected yet"), before("advance-cursor", "not detected yet")],
    realProcess: null
  },
  {
    row: 2,
    diesAfter: "the request was committed, before its message was published",
    leaves: "request and owed message",
    goesOn: "the sweeper pays the message, or gives the work out",
    with: "killed",
    places: [after("advance-cursor", "detected"), before("publish on decryption.detected.do", "detected")],
    realProcess: EACH_FACT
  },
  {
    row: 3,
    diesAfter: "the message was published, before it was no longer owed",
    leaves: "the message, and that it is owed (the first of a request) or due again (the others)",
    goesOn: "it is published again; the version has moved on, so it changes nothing",
    with: "killed",
    places: [
      after("publish on decryption.detected.do", "detected"),
      before("settle", "detected"),
      after("publish on decryption.ciphertext-fetched.do", "ciphertext-fetched"),
      after("publish on decryption.threshold-verified.do", "threshold-verified")
    ],
    realProcess: EACH_FACT
  },
  {
    row: 4,
    diesAfter: "a partition or lane was claimed",
    leaves: "the lease, until its time is over",
    goesOn: "it expires and another owner starts the next epoch",
    with: "killed",
    places: [after("claim-leases", "not asked yet")],
    realProcess: EACH_FACT
  },
  {
    row: 5,
    diesAfter: "it was recorded whom to ask, before anybody was asked",
    leaves: "the nodes that may have been asked",
    goesOn: "the same nodes are asked",
    with: "killed",
    places: [after("intend-asks", "ciphertext-fetched"), before("share", "ciphertext-fetched")],
    realProcess: null
  },
  {
    row: 6,
    diesAfter: "a node answered, before the answer was heard",
    leaves: "the same, and the node's own log",
    goesOn: "it is asked again under the same id and answers with the same bytes",
    with: "killed",
    places: [after("share", "ciphertext-fetched")],
    realProcess: null
  },
  {
    row: 7,
    diesAfter: "shares were kept, before anybody counted them",
    leaves: "the shares",
    goesOn: "they are counted from the rows",
    with: "killed",
    places: [
      after("keep-shares", "ciphertext-fetched"),
      before("publish on decryption.outcome", "ciphertext-fetched"),
      before("save", "ciphertext-fetched")
    ],
    realProcess: null
  },
  {
    row: 8,
    diesAfter: "the threshold was verified, before a nonce was taken",
    leaves: "the attested results, and the state",
    goesOn: "the batch is queued and pulled by a lane",
    with: "killed",
    places: [
      after("keep-results", "shares-collected"),
      after("save", "threshold-verified"),
      after("lane-enqueue", "threshold-verified"),
      before("lane-take", "threshold-verified")
    ],
    realProcess: EACH_FACT
  },
  {
    row: 9,
    diesAfter: "nonce and signed bytes were committed, before the broadcast",
    leaves: "the signed bytes under their nonce",
    goesOn: "the same bytes are broadcast",
    with: "killed",
    places: [
      after("lane-take", "threshold-verified, transaction signed"),
      before("broadcast", "threshold-verified, transaction signed")
    ],
    realProcess: null
  },
  {
    row: 10,
    diesAfter: "the broadcast, before it was written down",
    leaves: "the signed bytes, and perhaps a transaction in the pool",
    goesOn: "the same bytes are broadcast again; that they are known is no failure",
    with: "killed",
    places: [
      after("broadcast", "threshold-verified, transaction signed"),
      before("lane-save", "threshold-verified, transaction signed")
    ],
    realProcess: null
  },
  {
    row: 11,
    diesAfter: "it was mined, before that was written down",
    leaves: "the chain has the result",
    goesOn: "its receipt is found under one of its hashes",
    with: "killed",
    places: [
      after("look for receipts", "threshold-verified, transaction broadcast"),
      before("lane-save", "threshold-verified, transaction broadcast"),
      before("save", "threshold-verified, transaction mined")
    ],
    realProcess: null
  },
  {
    row: 12,
    diesAfter: "it was mined and written down, and its block is gone when the next process starts",
    leaves: "a result that is not on chain any more",
    goesOn: "finality is watched; the same bytes are sent again",
    with: "block gone",
    places: [
      after("lane-save", "threshold-verified, transaction mined"),
      after("save", "submitted, transaction mined"),
      after("ask for finality", "submitted, transaction mined")
    ],
    realProcess: { file: "test/system/reorganisations.test.ts", test: "that takes back the transaction with the result brings the same bytes again" }
  },
  {
    row: 13,
    diesAfter: "commits that the promoted database has not seen",
    leaves: "the chain and the KMS nodes are ahead of the ledger",
    goesOn: "blocks are read again, the nonce is compared with the chain, what is done on chain is done",
    with: "older database",
    // Not between access check and threshold: C4 dates the check by the ledger, which has lost it there, and would blame the nodes.
    places: [
      after("advance-cursor", "detected"),
      after("broadcast", "threshold-verified, transaction signed"),
      after("save", "submitted, transaction mined")
    ],
    realProcess: null
  },
  {
    row: 14,
    diesAfter: "a message, with the store of the bus",
    leaves: "the ledger; no message",
    goesOn: "the sweeper gives the work out again",
    with: "bus wiped",
    places: [
      after("publish on decryption.detected.do", "detected"),
      after("publish on decryption.outcome", "acl-checked"),
      after("publish on decryption.threshold-verified.do", "threshold-verified")
    ],
    realProcess: { file: "test/system/process-campaign.test.ts", test: "loses nothing, doubles nothing and leaks nothing" }
  },
  {
    row: 15,
    diesAfter: "nothing: it stands still for longer than its lease, in the middle of a write, and wakes up",
    leaves: "two who believe that they own the work",
    goesOn: "what the first writes names an epoch that has passed, and is not written",
    with: "frozen",
    places: [
      before("save", "detected"),
      before("intend-asks", "ciphertext-fetched"),
      before("save", "shares-collected"),
      before("lane-take", "threshold-verified"),
      before("broadcast", "threshold-verified, transaction signed")
    ],
    realProcess: { file: CRASHES, test: "taken over by another when it is frozen writes nothing more when it wakes up" }
  }
]
