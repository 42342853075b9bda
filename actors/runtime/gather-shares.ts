/** Hosts share-quorum for one request: asks whom it says, tells it what came, until k authentic answers are held or can no longer be had.
 * The intent to ask is in the ledger before anybody is asked (I7). */
import { Duration, Effect, Queue, Result } from "effect"
import { nextQuorum, openQuorum, type QuorumEvent, type QuorumStep } from "../../machines/share-quorum.machine.ts"
import type { Committee, NodeId } from "../../src/domain/committee.ts"
import { WORK_TIMEOUT_MS } from "../../src/domain/limits.ts"
import type { RefusalReason } from "../../src/domain/outcome.ts"
import type { RequestId } from "../../src/domain/request.ts"
import type { ShareAnswer } from "../../src/domain/share.ts"
import { askForShare } from "../../src/journey/4-shares-collected/ask-for-share.ts"
import { AnswerInvalid, NodeUnavailable, type NodeError } from "../../src/journey/4-shares-collected/share-node.port.ts"
import { ShareLedger } from "../../src/ledger/share-ledger.port.ts"
import type { StoredRequest } from "../../src/ledger/stored-request.ts"
import { monotonicMs } from "../../src/resilience/monotonic.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"
import type { NodeBeliefs } from "../kms-node.actor.ts"
import { placeOf } from "./supervise.ts"

export interface Gathered {
  readonly isReached: boolean
  /** Every authentic answer that is held, earlier ones first. */
  readonly answers: ReadonlyArray<ShareAnswer>
  readonly failures: ReadonlyArray<NodeError>
}

export interface Holding {
  /** Answers kept earlier, without those of nodes that lied about this request. */
  readonly held: ReadonlyArray<ShareAnswer>
  readonly rejected: ReadonlyArray<NodeId>
}

/** What the ledger holds for these requests. */
export const holdings = Effect.fnUntraced(function* (ids: ReadonlyArray<RequestId>) {
  const ledger = yield* ShareLedger
  const [shares, rejected] = yield* Effect.all([ledger.sharesOf(ids), ledger.rejectedNodes(ids)], { concurrency: 2 })
  return (id: RequestId): Holding => {
    const liars = rejected.get(id) ?? []
    return { held: (shares.get(id) ?? []).filter(({ nodeId }) => !liars.includes(nodeId)), rejected: liars }
  }
})

/** By then the request's work is given out anew. Nodes that were slow and fell silent could keep a round going for as long as there are hedges to
 * pay for, and a gateway that drains waits for its rounds. */
const ROUND_MS_MAX = WORK_TIMEOUT_MS

type Heard = { readonly node: NodeId; readonly answer: Result.Result<ShareAnswer, NodeError> } | "hedge-due"

export const gatherShares = Effect.fnUntraced(function* (
  request: StoredRequest,
  committee: Committee,
  { held, rejected }: Holding,
  beliefs: NodeBeliefs
) {
  const answers = new Map(held.map((answer) => [answer.nodeId, answer]))
  const failures: Array<NodeError> = []
  const opening = {
    threshold: committee.threshold,
    committeeSize: committee.nodes.length,
    ranked: beliefs.rank(committee).filter((node) => !rejected.includes(node)),
    budget: committee.nodes.length, // the access check is final before this step begins
    held: [...answers.keys()],
    askedBefore: []
  }
  const telemetry = yield* Telemetry
  let step = openQuorum(opening)
  if (step.ask.length === 0) return gathered(step, answers, failures)
  yield* Effect.scoped(
    Effect.gen(function* () {
      const inbox = yield* Queue.unbounded<Heard>()
      const hedges = new Set<NodeId>()
      yield* ask(step.ask, request, committee, beliefs, inbox)
      while (isOpen(step)) {
        const heard = yield* Queue.take(inbox)
        if (heard === "hedge-due" && !beliefs.mayHedge()) continue
        if (heard !== "hedge-due") {
          if (Result.isSuccess(heard.answer)) answers.set(heard.node, heard.answer.success)
          else failures.push(heard.answer.failure)
          if (hedges.has(heard.node) && Result.isSuccess(heard.answer)) telemetry.count("hedges_won")
        }
        step = nextQuorum(step.snapshot, eventOf(heard))
        if (heard === "hedge-due" && step.ask.length > 0) {
          beliefs.hedged(step.ask.length)
          for (const node of step.ask) hedges.add(node)
          telemetry.count("hedged_asks", step.ask.length)
        }
        yield* ask(step.ask, request, committee, beliefs, inbox)
      }
    })
  ).pipe(Effect.timeoutOption(Duration.millis(ROUND_MS_MAX)))
  yield* ShareLedger.use((ledger) => ledger.keep([...answers.values()].filter((answer) => !held.includes(answer))))
  return gathered(step, answers, failures)
})

/** `starved`: everybody who may be asked has failed; only a later round can help. */
const isOpen = ({ snapshot }: QuorumStep): boolean => snapshot.value === "asking" || snapshot.value === "judging"

const eventOf = (heard: Heard): QuorumEvent => {
  if (heard === "hedge-due") return { type: "hedge-due" }
  const { node, answer } = heard
  return Result.isSuccess(answer)
    ? { type: "heard", node }
    : { type: "failed", node, isFinal: answer.failure._tag !== "NodeUnavailable", isNo: isAboutTheRequest(answer.failure) }
}

/** What nodes say about a request itself: a "no", once so many agree that k others can no longer be found. */
const ABOUT_THE_REQUEST: ReadonlySet<string> = new Set<RefusalReason>([
  "not-allowed",
  "not-public",
  "not-delegated",
  "epoch-retired",
  "transport-key-invalid"
])

export const isAboutTheRequest = (failure: NodeError): boolean => failure._tag === "NodeRefused" && ABOUT_THE_REQUEST.has(failure.reason)

const gathered = (step: QuorumStep, answers: ReadonlyMap<NodeId, ShareAnswer>, failures: ReadonlyArray<NodeError>): Gathered => ({
  isReached: step.snapshot.value === "reached",
  answers: [...answers.values()],
  failures
})

const ask = Effect.fnUntraced(function* (
  nodes: ReadonlyArray<NodeId>,
  request: StoredRequest,
  committee: Committee,
  beliefs: NodeBeliefs,
  inbox: Queue.Queue<Heard>
) {
  if (nodes.length === 0) return
  const ledger = yield* ShareLedger
  const intended = yield* ledger.intend([{ requestId: request.id, nodes, budget: committee.nodes.length }])
  const granted = new Set(intended.get(request.id))
  for (const node of nodes) {
    if (granted.has(node)) yield* Effect.forkScoped(askOne(node, request, committee, beliefs, inbox))
    else yield* Queue.offer(inbox, { node, answer: Result.fail(overBudget(node)) })
  }
})

/** The ledger knows of asks that this process does not: what it does not grant is not asked. */
const overBudget = (nodeId: NodeId) => new NodeUnavailable({ nodeId, reason: "the budget of shares is used up", retryAfterMs: 0 })

const askOne = Effect.fnUntraced(function* (
  node: NodeId,
  request: StoredRequest,
  committee: Committee,
  beliefs: NodeBeliefs,
  inbox: Queue.Queue<Heard>
) {
  const telemetry = yield* Telemetry
  const askedMs = yield* monotonicMs
  telemetry.count("shares_asked")
  beliefs.asked(committee, node)
  // Each node is waited for as long as it usually takes; one that is always slow is no reason to wait longer for the others.
  yield* Queue.offer(inbox, "hedge-due").pipe(
    Effect.delay(Duration.millis(beliefs.hedgeAfterMs(committee, [node]))),
    Effect.forkChild
  )
  const answer = yield* askForShare(committee, node, request.id, request.facts).pipe(
    // What a node sends can trip a bug of ours; then it costs that node's answer, never the request's chance to be answered by others.
    Effect.catchDefect((defect) => {
      telemetry.error("asking a KMS node died", { requestId: request.id, node, defect: placeOf(defect) })
      return Effect.fail(new AnswerInvalid({ nodeId: node, reason: "could not be handled" }))
    }),
    Effect.result
  )
  const tookMs = (yield* monotonicMs) - askedMs
  if (Result.isSuccess(answer)) {
    telemetry.count("shares_received")
    telemetry.shareReply(node, "answered", tookMs / 1_000)
    beliefs.answered(committee, node, tookMs)
  } else {
    telemetry.shareReply(node, answer.failure._tag, tookMs / 1_000)
    beliefs.failed(committee, node, answer.failure)
  }
  yield* Queue.offer(inbox, { node, answer })
})
