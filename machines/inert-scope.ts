/** XState's pure functions, without what they make anew for each call: `initialTransition` and `transition` (XState 5.32) build an actor, a system and
 * a first snapshot every time, only to have something to point to, and that takes nearly four times as long as deciding does. Machines here
 * are never run as actors, so one such place serves each machine for good. test/machines/decryption-request.test.ts compares the results. */
import { createActor, type ActorScope, type AnyMachineSnapshot, type AnyStateMachine } from "xstate"

/** A named action of the machine with its parameters: what the caller must do once it has saved the snapshot. */
export interface Effect {
  readonly type: string
  readonly params: unknown
}

interface Place {
  readonly scope: ActorScope<AnyMachineSnapshot, never>
  effects: Array<Effect>
}

const places = new WeakMap<AnyStateMachine, Place>()

const nothing = (): void => undefined

const placeOf = (machine: AnyStateMachine): Place => {
  const known = places.get(machine)
  if (known !== undefined) {
    known.effects = []
    return known
  }
  const self = createActor(machine)
  const actionExecutor = ({ type, params }: Effect): void => void place.effects.push({ type, params })
  const scope = { self, system: self.system, id: "", sessionId: "", logger: nothing, defer: nothing, emit: nothing, stopChild: nothing, actionExecutor }
  const place: Place = { scope: scope as unknown as Place["scope"], effects: [] }
  places.set(machine, place)
  return place
}

export const initialTransition = (machine: AnyStateMachine, input: unknown): readonly [AnyMachineSnapshot, ReadonlyArray<Effect>] => {
  const place = placeOf(machine)
  const snapshot = machine.getInitialSnapshot(place.scope as never, input as never)
  return [snapshot, place.effects]
}

export const transition = (
  machine: AnyStateMachine,
  snapshot: AnyMachineSnapshot,
  event: { readonly type: string }
): readonly [AnyMachineSnapshot, ReadonlyArray<Effect>] => {
  const place = placeOf(machine)
  const next = machine.transition(snapshot, event, place.scope as never)
  return [next, place.effects]
}
