/** How every machine here is driven: one event at a time, from plain data to plain data. No actor is created, so nothing can run
 * by itself. */
import {
  initialTransition,
  transition,
  type AnyStateMachine,
  type ContextFrom,
  type EventFromLogic,
  type InputFrom,
  type SnapshotFrom
} from "xstate"

/** All that is kept of a machine between two events; XState derives the rest. Plain JSON. */
export interface Kept<State extends string, Context> {
  readonly value: State
  readonly context: Context
}

export type KeptOf<M extends AnyStateMachine> = Kept<Extract<SnapshotFrom<M>["value"], string>, ContextFrom<M>>

/** A named action of the machine with its parameters: what the caller must do once it has saved the snapshot. */
export interface Effect {
  readonly type: string
  readonly params: unknown
}

export interface Walked<M extends AnyStateMachine> {
  readonly kept: KeptOf<M>
  readonly effects: ReadonlyArray<Effect>
}

export const begin = <M extends AnyStateMachine>(machine: M, input: InputFrom<M>): Walked<M> => {
  // XState makes the input's presence depend on the machine's type, which a generic caller cannot show.
  const [snapshot, effects] = initialTransition<AnyStateMachine>(machine, input)
  return { kept: { value: snapshot.value, context: snapshot.context } as KeptOf<M>, effects }
}

export const walk = <M extends AnyStateMachine>(machine: M, kept: KeptOf<M>, event: EventFromLogic<M>): Walked<M> => {
  const [snapshot, effects] = transition<AnyStateMachine>(machine, machine.resolveState(kept), event)
  return { kept: { value: snapshot.value, context: snapshot.context } as KeptOf<M>, effects }
}

/** The context of a fresh machine. For every transition XState also makes an actor without input and throws it away; a context
 * that fails on that would cost more than the transition, for the failure's stack. */
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
