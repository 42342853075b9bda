/** Records as a cluster that did everything right would leave them, made by the machine itself; tests then spoil one thing. */
import type { RequestEvent, TransitionView } from "../../src/domain/outcome.ts"
import { birth, decide, MACHINE_VERSION } from "../../machines/decide.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { isEnd, type RequestState } from "../../src/domain/journey.ts"
import type { AuditedRequest } from "../../src/ledger/audit-ledger.port.ts"
import { GENESIS, transitionDigest, transitionHash } from "../../src/ledger/hash-chain.ts"
import type { Records } from "../../bin/verify/records.ts"
import { FACTS, HOME } from "../machines/request-events.ts"

export const word = (n: number): Hex => `0x${n.toString(16).padStart(64, "0")}`

/** What the machine ignores leaves no transition. */
export const aRequest = (n: number, events: ReadonlyArray<RequestEvent> = FACTS): AuditedRequest => {
  const id = word(n)
  let snapshot = birth(HOME).snapshot
  let tail: Hex = GENESIS
  const history: Array<TransitionView> = []
  const record = (from: RequestState | null, to: RequestState, event: TransitionView["event"]) => {
    const row = { seq: history.length + 1, from, to, event, worker: "g1" }
    const atMs = 1_000 * row.seq
    tail = transitionHash(tail, transitionDigest({ requestId: id, ...row }), atMs)
    history.push({ ...row, atMs, hash: tail })
  }
  record(null, "detected", { type: "detected", anchor: HOME })
  for (const event of events) {
    const decision = decide({ snapshot, machineVersion: MACHINE_VERSION }, event)
    if (decision.type === "ignored") continue
    snapshot = decision.snapshot
    record(decision.from, decision.to, event)
  }
  const state = history.at(-1)!.to
  return {
    stored: {
      id,
      facts: {
        chainId: 1n,
        gateway: word(0),
        kind: "public",
        requester: word(0),
        account: word(0),
        epoch: 1,
        deadline: 0,
        callbackGas: 0,
        salt: word(n),
        handles: [word(n)],
        transportKey: "0x"
      },
      anchor: HOME,
      partition: 0,
      state,
      version: history.length,
      machineVersion: MACHINE_VERSION,
      snapshot,
      chainTail: tail,
      detectedAtMs: 1_000
    },
    history,
    overdueMs: isEnd(state) ? null : -5_000,
    asked: history.some(({ to }) => to === "shares-collected") ? { nodes: [1, 3], budget: 3 } : null
  }
}

/** The same request with another history, under hashes that fit: as whoever can write to the database might leave it. */
export const retold = (request: AuditedRequest, rows: ReadonlyArray<Omit<TransitionView, "seq" | "hash">>): AuditedRequest => {
  const { id: requestId, state } = request.stored
  let chainTail: Hex = GENESIS
  const history = rows.map((row, index) => {
    const one = { ...row, seq: index + 1 }
    chainTail = transitionHash(chainTail, transitionDigest({ requestId, ...one }), row.atMs)
    return { ...one, hash: chainTail }
  })
  return { ...request, history, stored: { ...request.stored, version: history.length, state: history.at(-1)?.to ?? state, chainTail } }
}

export const trueRecords = (requests: ReadonlyArray<AuditedRequest>): Records => {
  const fulfilled = requests.flatMap(({ stored: { id }, history }) => {
    const last = history.at(-1)?.event
    return last?.type === "finalized" ? [{ requestId: id, txHash: last.txHash, blockNumber: last.block.blockNumber }] : []
  })
  const answered = requests.filter(({ asked }) => asked !== null)
  return {
    chain: {
      requested: requests.map(({ stored: { id } }) => ({ requestId: id, blockNumber: HOME.blockNumber })),
      fulfilled,
      finalBlock: 200,
      finalNonces: new Map([["lane 1/0xaa", 8]]),
      cursorBlock: 200
    },
    requests,
    lanes: [
      {
        lane: { chainId: 1n, address: "0xaa" },
        nextNonce: 9,
        slots: [7, 8].map((nonce) => ({
          nonce,
          root: word(nonce),
          attempts: [0, 1].map((attemptNo) => ({ attemptNo, root: word(nonce), txHash: word(100 * nonce + attemptNo) }))
        }))
      }
    ],
    nodes: [1, 3].map((node) => ({ node, answers: answered.map(({ stored: { id } }) => ({ requestId: id, atMs: 4_000 })) })),
    lostUntilMs: null,
    thresholds: new Map([[1, 2]])
  }
}
