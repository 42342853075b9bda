/** The journey's machine, held to what it promises: every state answers every event, no fact is skipped, an end is an end. */
import { getShortestPaths, getSimplePaths } from "@xstate/graph"
import fc from "fast-check"
import assert from "node:assert/strict"
import { describe, expect, test } from "vitest"
import { type AnyStateMachine, transition } from "xstate"
import { birth, contextOf, decide, MACHINE_VERSION, type Decision } from "../../machines/decide.ts"
import { decryptionRequestMachine } from "../../machines/decryption-request.machine.ts"
import { walk } from "../../machines/walk.ts"
import { ENDS, isEnd, JOURNEY, nextMilestone, type RequestState } from "../../src/domain/journey.ts"
import { WORK_TIMEOUT_MS } from "../../src/domain/limits.ts"
import type { RequestEvent } from "../../src/domain/outcome.ts"
import { anyEvent, ELSEWHERE, EVENTS, FACTS, HOME, RESUBMITTED } from "./request-events.ts"

const STATES: ReadonlyArray<RequestState> = [...JOURNEY, ...ENDS]
const roundTrip = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

/** One decision on a snapshot that has been to the database and back. */
const on = (snapshot: unknown, event: RequestEvent): Decision =>
  decide({ snapshot: roundTrip(snapshot), machineVersion: MACHINE_VERSION }, event)

const after = (snapshot: unknown, ...events: ReadonlyArray<RequestEvent>): unknown =>
  events.reduce((now, event) => {
    const decision = on(now, event)
    return decision.type === "decided" ? decision.snapshot : now
  }, snapshot)

const stateOf = (snapshot: unknown): RequestState => (snapshot as { value: RequestState }).value

/** How to get into each state from birth. */
const WAYS: Readonly<Record<RequestState, ReadonlyArray<RequestEvent>>> = {
  detected: [],
  "acl-checked": FACTS.slice(0, 1),
  "ciphertext-fetched": FACTS.slice(0, 2),
  "shares-collected": FACTS.slice(0, 3),
  "threshold-verified": FACTS.slice(0, 4),
  submitted: FACTS.slice(0, 5),
  finalized: FACTS,
  refused: [{ type: "refused", reason: "not-allowed", detail: "" }],
  expired: [{ type: "expired", detail: "too late" }],
  orphaned: [{ type: "orphaned", block: HOME }],
  cancelled: [{ type: "cancelled", by: "operator", why: "" }],
  halted: [{ type: "halted", reason: "bug", detail: "" }]
}
const inState = (state: RequestState): unknown => after(birth(HOME).snapshot, ...WAYS[state])

/** What must become of an event, from the rules in words; undefined: ignored. Written apart from the machine, on purpose. */
const expected = (state: RequestState, event: RequestEvent): RequestState | undefined => {
  if (event.type === "moved" && state === "orphaned") return "detected"
  // It halted at birth here; where else it goes on has tests of its own.
  if (event.type === "redriven") return state === "halted" ? "detected" : undefined
  const isAsIfUnderWay = state === "halted" && (event.type === "orphaned" || event.type === "moved")
  if (isEnd(state) && !isAsIfUnderWay) return undefined
  const isBeforeVerified = !isEnd(state) && JOURNEY.indexOf(state) < JOURNEY.indexOf("threshold-verified")
  switch (event.type) {
    case "refused":
    case "expired":
    case "halted":
      return event.type
    case "orphaned":
      return event.block.blockHash === HOME.blockHash ? "orphaned" : undefined
    case "moved":
      return event.anchor.blockHash === HOME.blockHash ? undefined : "detected"
    case "cancelled":
      return isBeforeVerified ? "cancelled" : undefined
    case "result-lost":
      return state === "threshold-verified" ? "shares-collected" : undefined
    case "submitted":
      return state === "submitted" && event !== RESUBMITTED ? undefined : "submitted"
    default:
      return !isEnd(state) && event.type === nextMilestone(state) ? event.type : undefined
  }
}

describe("every event in every state", () => {
  test("the machine has the states of the domain and no others", () => {
    expect(Object.keys(decryptionRequestMachine.states)).toEqual(STATES)
  })

  test("every state is explained to operators", () => {
    for (const state of Object.values(decryptionRequestMachine.states)) expect(state.description?.length).toBeGreaterThan(20)
  })

  for (const state of STATES) {
    test(`${state} answers each event as the rules say`, () => {
      const snapshot = inState(state)
      expect(stateOf(snapshot)).toBe(state)
      const answers = Object.keys(decryptionRequestMachine.root.states[state]?.config.on ?? {})
      for (const event of EVENTS) {
        expect(answers, "answered explicitly").toContain(event.type)
        const decision = on(snapshot, event)
        const to = expected(state, event)
        expect(decision.type === "decided" ? decision.to : undefined, `${event.type} in ${state}`).toBe(to)
        if (decision.type === "ignored" || to === undefined) continue
        expect(decision.from).toBe(state)
        expect(decision.dispatch).toBe(isEnd(to) ? null : to)
        expect(decision.wakeAfterMs).toBe(isEnd(to) ? null : WORK_TIMEOUT_MS)
        expect(decision.anchor).toEqual(event.type === "moved" ? event.anchor : undefined)
      }
    })
  }
})

const why = (state: RequestState) => contextOf({ snapshot: inState(state), machineVersion: MACHINE_VERSION }).known.end

describe("the journey", () => {
  test("goes through all six facts to finalized and keeps their evidence", () => {
    const end = inState("finalized")
    expect(contextOf({ snapshot: end, machineVersion: MACHINE_VERSION })).toEqual({
      anchor: HOME,
      known: {
        aclBlock: FACTS[0].block,
        digests: FACTS[1].digests,
        nodes: [1, 3],
        root: "0x0a",
        resultHash: "0x0b",
        liars: [2],
        submission: { txHash: FACTS[4].txHash, block: FACTS[4].block }
      }
    })
  })

  test("a request that moved starts again and remembers nothing of the old place", () => {
    for (const state of [...JOURNEY, "orphaned", "halted"] as const) {
      const moved = on(inState(state), { type: "moved", anchor: ELSEWHERE })
      expect(moved).toMatchObject({ to: "detected", dispatch: "detected", anchor: ELSEWHERE })
      expect(roundTrip(moved)).toMatchObject({ snapshot: { context: { anchor: ELSEWHERE, known: {} } } })
      expect(moved.type === "decided" && roundTrip(moved.snapshot)).toEqual(roundTrip(birth(ELSEWHERE).snapshot))
    }
  })

  test("a request whose old block came back starts again there", () => {
    expect(on(inState("orphaned"), { type: "moved", anchor: HOME })).toMatchObject({ to: "detected", anchor: HOME })
  })

  test("a result that is lost is made again from what was collected, and nothing of it is remembered", () => {
    const again = on(inState("threshold-verified"), { type: "result-lost" })
    expect(again).toMatchObject({ to: "shares-collected", dispatch: "shares-collected" })
    expect(again.type === "decided" && roundTrip(again.snapshot)).toEqual(roundTrip(inState("shares-collected")))
    expect(after(again.type === "decided" && again.snapshot, FACTS[3])).toEqual(inState("threshold-verified"))
  })

  test("an end says why", () => {
    expect(why("refused")?.reason).toBe("not-allowed")
    expect(why("cancelled")?.reason).toBe("cancelled by operator")
    expect(why("expired")?.reason).toBe("expired")
    expect(why("orphaned")?.detail).toContain("block 100")
    expect(why("halted")?.reason).toBe("bug")
  })
})

describe("paths through the machine", () => {
  const options = {
    input: { anchor: HOME },
    events: EVENTS,
    limit: 20_000,
    stopWhen: (state: { readonly value: unknown }) => state.value === "finalized"
  }

  test("every state is reached, and each shortest path walks with a JSON round trip between any two steps", () => {
    const paths = getShortestPaths(decryptionRequestMachine, options)
    expect(new Set(paths.map((path) => path.state.value))).toEqual(new Set(STATES))
    for (const path of paths) {
      const snapshot = path.steps.slice(1).reduce((now, step) => after(now, step.event as RequestEvent), birth(HOME).snapshot)
      expect(roundTrip(snapshot)).toEqual(roundTrip({ value: path.state.value, context: path.state.context }))
    }
  })

  test("every way to success without detours passes all six facts", () => {
    const paths = getSimplePaths(decryptionRequestMachine, {
      ...options,
      events: FACTS,
      toState: (state) => state.value === "finalized"
    })
    // Straight on, or with the discovery that somebody has fulfilled the request already.
    const ways = paths.map((path) => path.steps.slice(1).map((step) => step.event.type))
    expect(ways.toSorted((a, b) => b.length - a.length)).toEqual([
      ["acl-checked", "ciphertext-fetched", "shares-collected", "threshold-verified", "submitted", "finalized"],
      ["acl-checked", "ciphertext-fetched", "shares-collected", "submitted", "finalized"],
      ["acl-checked", "ciphertext-fetched", "submitted", "finalized"],
      ["acl-checked", "submitted", "finalized"],
      ["submitted", "finalized"]
    ])
  })
})

const walkAll = (
  events: ReadonlyArray<RequestEvent>,
  check: (before: unknown, event: RequestEvent, decision: Decision) => void
): void => {
  let snapshot = birth(HOME).snapshot
  for (const event of events) {
    const decision = on(snapshot, event)
    check(snapshot, event, decision)
    if (decision.type === "decided") snapshot = decision.snapshot
  }
}

describe("whatever happens, in whatever order", () => {
  const histories = fc.array(anyEvent, { maxLength: 40 })

  test("no end is ever left, but orphaned when the request reappears, and halted by an operator or by the chain", () => {
    fc.assert(
      fc.property(histories, (events) =>
        walkAll(events, (before, event, decision) => {
          const from = stateOf(before)
          if (!isEnd(from) || decision.type === "ignored") return
          const ways: Readonly<Record<string, ReadonlyArray<string>>> = { orphaned: ["moved"], halted: ["moved", "orphaned", "redriven"] }
          expect(ways[from]).toContain(event.type)
          if (event.type === "moved") expect(decision.to).toBe("detected")
        })
      ),
      { numRuns: 300 }
    )
  })

  test("no fact is skipped: forward is one step at a time, or to submitted when the chain already has the result", () => {
    fc.assert(
      fc.property(histories, (events) =>
        walkAll(events, (before, event, decision) => {
          if (event.type === "result-lost" || decision.type === "ignored" || isEnd(decision.to) || decision.to === "submitted") return
          const from = stateOf(before)
          if (decision.to === "detected" || decision.to === from || event.type === "redriven") return
          expect(isEnd(from) ? undefined : nextMilestone(from)).toBe(decision.to)
        })
      ),
      { numRuns: 300 }
    )
  })

  test("what may be on its way to the chain is never made anew before somebody has seen that nothing carries it", () => {
    const isOnItsWay = (snapshot: unknown): boolean => {
      const { root, submission } = contextOf({ snapshot, machineVersion: MACHINE_VERSION }).known
      return root !== undefined || submission !== undefined
    }
    fc.assert(
      fc.property(histories, (events) =>
        walkAll(events, (before, event, decision) => {
          if (decision.type === "ignored" || isEnd(decision.to) || !isOnItsWay(before) || event.type === "moved") return
          if (event.type === "result-lost") return expect(decision.to).toBe("shares-collected")
          expect(["threshold-verified", "submitted"]).toContain(decision.to)
        })
      ),
      { numRuns: 300 }
    )
  })

  test("success is only ever reached through submitted", () => {
    fc.assert(
      fc.property(histories, (events) =>
        walkAll(events, (before, _event, decision) => {
          if (decision.type === "decided" && decision.to === "finalized") expect(stateOf(before)).toBe("submitted")
        })
      ),
      { numRuns: 300 }
    )
  })

  test("the same event twice decides once", () => {
    fc.assert(
      fc.property(histories, anyEvent, (events, event) => {
        const before = after(birth(HOME).snapshot, ...events)
        const once = on(before, event)
        if (once.type === "ignored") return
        expect(on(once.snapshot, event)).toEqual({ type: "ignored" })
      }),
      { numRuns: 500 }
    )
  })

  test("work is given out exactly when a request is under way after a decision", () => {
    fc.assert(
      fc.property(histories, (events) =>
        walkAll(events, (_before, _event, decision) => {
          if (decision.type === "ignored") return
          expect(decision.dispatch).toBe(isEnd(decision.to) ? null : decision.to)
          expect(decision.wakeAfterMs === null).toBe(isEnd(decision.to))
        })
      ),
      { numRuns: 200 }
    )
  })
})

test("decisions in one lasting place are XState's own, however many came before", () => {
  const own = (snapshot: unknown, event: RequestEvent) => {
    const machine: AnyStateMachine = decryptionRequestMachine
    const [{ value, context }, effects] = transition(machine, machine.resolveState(snapshot as never), event)
    return { value, context, dispatch: effects.map(({ type, params }) => ({ type, params })) }
  }
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 20 }), (events) => {
      let snapshot = birth(HOME).snapshot
      for (const event of events) {
        const { kept, effects } = walk(decryptionRequestMachine, snapshot as never, event)
        expect({ ...kept, dispatch: effects }).toEqual(own(snapshot, event))
        snapshot = kept
      }
    })
  )
})

const REDRIVEN: RequestEvent = { type: "redriven", by: "operator", why: "mended" }

describe("a halted request that an operator redrives", () => {
  const halted: RequestEvent = { type: "halted", reason: "bug", detail: "" }
  const knownOf = (snapshot: unknown) => contextOf({ snapshot, machineVersion: MACHINE_VERSION }).known

  test.each([
    ["detected", "detected"],
    ["acl-checked", "acl-checked"],
    ["ciphertext-fetched", "ciphertext-fetched"],
    ["shares-collected", "shares-collected"],
    // A transaction may be on its way: the chain is asked before anything else.
    ["threshold-verified", "threshold-verified"],
    ["submitted", "submitted"]
  ] as const)("in %s goes on from %s, and is not halted any more", (state, to) => {
    const decision = on(after(inState(state), halted), REDRIVEN)
    expect(decision).toMatchObject({ type: "decided", from: "halted", to, dispatch: to, wakeAfterMs: WORK_TIMEOUT_MS })
    assert(decision.type === "decided")
    expect(knownOf(decision.snapshot)).toEqual(knownOf(inState(to)))
  })

  test("goes on with what somebody else has submitted", () => {
    const found = after(inState("acl-checked"), FACTS[4], halted)
    expect(on(found, REDRIVEN)).toMatchObject({ to: "submitted" })
  })

  test("is made anew once nothing can carry its old result, and ends well", () => {
    const back = after(inState("threshold-verified"), halted, REDRIVEN, { type: "result-lost" })
    expect(stateOf(back)).toBe("shares-collected")
    expect(knownOf(back)).toEqual(knownOf(inState("shares-collected")))
    expect(stateOf(after(back, ...FACTS.slice(3)))).toBe("finalized")
  })

  test("follows the chain while it is halted, as every other that the chain may take back", () => {
    const gone = after(inState("shares-collected"), halted, { type: "orphaned", block: HOME })
    expect(stateOf(gone)).toBe("orphaned")
    expect(on(gone, REDRIVEN)).toEqual({ type: "ignored" })
    expect(on(gone, { type: "moved", anchor: ELSEWHERE })).toMatchObject({ to: "detected", anchor: ELSEWHERE })
  })
})
