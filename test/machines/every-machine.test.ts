/** What all machines have in common: nothing in them can run by itself, every state is explained, every state answers every
 * event. */
import { describe, expect, test } from "vitest"
import type { AnyStateMachine, AnyStateNode } from "xstate"
import { blockCursorMachine } from "../../machines/block-cursor.machine.ts"
import { decryptionRequestMachine } from "../../machines/decryption-request.machine.ts"
import { kmsNodeMachine } from "../../machines/kms-node.machine.ts"
import { shareQuorumMachine } from "../../machines/share-quorum.machine.ts"
import { transactionLaneMachine } from "../../machines/transaction-lane.machine.ts"

const MACHINES: ReadonlyArray<AnyStateMachine> = [
  decryptionRequestMachine,
  blockCursorMachine,
  shareQuorumMachine,
  transactionLaneMachine,
  kmsNodeMachine
]

const on = (state: AnyStateNode): ReadonlyArray<string> => Object.keys((state.config as { on?: object }).on ?? {})

describe.each(MACHINES.map((machine) => [machine.id, machine] as const))("%s", (_id, machine) => {
  const states = Object.values(machine.root.states) as ReadonlyArray<AnyStateNode>
  const events = new Set(states.flatMap(on))

  test("starts nothing and waits for no clock", () => {
    for (const state of states) {
      expect(state.invoke).toEqual([])
      expect(state.after).toEqual([])
    }
  })

  test("explains every state to operators", () => {
    expect(machine.config.description).toMatch(/\.$/)
    for (const state of states) expect(state.description, state.key).toMatch(/^.{20,}\.$/)
  })

  test("answers every event in every state in which it can rest, if only by ignoring it", () => {
    for (const state of states) {
      if (state.always !== undefined && state.always.length > 0) continue
      expect(new Set(on(state)), state.key).toEqual(events)
    }
  })

  test("has no state that cannot be reached", () => {
    const transitions = states.flatMap((state) => [...state.transitions.values()].flat().concat(state.always ?? []))
    const reached = new Set(transitions.flatMap(({ target }) => target ?? []).map(({ key }) => key))
    for (const { key } of states) if (key !== machine.config.initial) expect(reached, key).toContain(key)
  })
})
