/** How every machine here is driven: one event at a time, from plain data to plain data. No actor is created, so nothing can run
 * by itself. */
import type { AnyStateMachine, ContextFrom, EventFromLogic, InputFrom, SnapshotFrom } from "xstate"
import { initialTransition, transition, type Effect } from "./inert-scope.ts"

/** All that is kept of a machine between two events; XState derives the rest. Plain JSON. */
export interface Kept<State extends string, Context> {
  readonly value: State
  readonly context: Context
}

export type KeptOf<M extends AnyStateMachine> = Kept<Extract<SnapshotFrom<M>["value"], string>, ContextFrom<M>>

export interface Walked<M extends AnyStateMachine> {
  readonly kept: KeptOf<M>
  readonly effects: ReadonlyArray<Effect>
}

export const begin = <M extends AnyStateMachine>(machine: M, input: InputFrom<M>): Walked<M> => {
  const [snapshot, effects] = initialTransition(machine, input)
  return { kept: { value: snapshot.value, context: snapshot.context } as KeptOf<M>, effects }
}

export const walk = <M extends AnyStateMachine>(machine: M, kept: KeptOf<M>, event: EventFromLogic<M>): Walked<M> => {
  const [snapshot, effects] = transition(machine, machine.resolveState(kept), event)
  return { kept: { value: snapshot.value, context: snapshot.context } as KeptOf<M>, effects }
}

/** The context of a fresh machine. The place in which its transitions happen (inert-scope.ts) is made without input. */
export const fromInput =
  <Input, Context>(make: (input: Input) => Context) =>
  ({ input }: { readonly input: Input | undefined }): Context =>
    input === undefined ? ({} as Context) : make(input)

/** An action that does nothing here: its name and parameters are what `walk` answers, and the caller carries them out. */
export const named =
  <Params>() =>
  (_told: unknown, _params: Params): void => {}

/** The parameters of the one effect of this type, or undefined when there is none. */
export const effectOf = <Params>(effects: ReadonlyArray<Effect>, type: string): Params | undefined =>
  effects.find((effect) => effect.type === type)?.params as Params | undefined
