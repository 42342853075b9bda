/** An answer that two endpoints give: the first two are asked at once, further ones only when these fail or contradict each other. */
import { Effect, Result } from "effect"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import type { Disagreement } from "../../telemetry/chain-endpoints.port.ts"
import type { Settle, Settled } from "./rpc.ts"

/** Endpoints told different things about something of which only one can be true. Nothing is known, least of all "nothing happened". */
export interface EndpointsDisagree {
  readonly _tag: "EndpointsDisagree"
  readonly about: Disagreement
  /** Position of each in the operator's list. */
  readonly endpoints: ReadonlyArray<number>
}

interface Numbered {
  readonly number: number
}

interface Heard<M, A> {
  readonly member: M
  readonly answer: A
}

export const firstTwoThatAgree = Effect.fnUntraced(function* <M extends Numbered, A, R>(of: {
  readonly about: Disagreement
  /** Whom to ask, best first. */
  readonly order: ReadonlyArray<M>
  readonly ask: (member: M) => Effect.Effect<A, ChainUnavailable, R>
  readonly settle: Settle<A>
  /** Those whose answer was not the one that was believed; all of them when none was. */
  readonly onDisagreement: (outvoted: ReadonlyArray<M>) => void
}) {
  const { about, order, ask, settle, onDisagreement } = of
  const heard: Array<Heard<M, A>> = []
  const reasons: Array<string> = []
  for (let next = 0; next < order.length; next += next === 0 ? 2 : 1) {
    const asked = order.slice(next, next === 0 ? 2 : next + 1)
    const answers = yield* Effect.forEach(asked, (member) => Effect.result(ask(member)), { concurrency: 2 })
    for (const [index, answer] of answers.entries()) {
      const member = asked[index]!
      if (Result.isSuccess(answer)) heard.push({ member, answer: answer.success })
      else reasons.push(`endpoint ${member.number}: ${String(answer.failure.cause)}`)
    }
    const pair = agreeingPair(heard, settle)
    // An endpoint that never has a block would otherwise hold up everybody, though the others have it.
    if (pair === undefined || (pair.isProvisional === true && next + asked.length < order.length)) continue
    const outvoted = heard.filter(({ answer }) => settle(pair.agreed, answer) === undefined)
    if (outvoted.length > 0) onDisagreement(outvoted.map(({ member }) => member))
    return pair.agreed
  }
  if (heard.length < 2) {
    return yield* new ChainUnavailable({ doing: about, cause: [`${heard.length} of 2 endpoints answered`, ...reasons].join("; ") })
  }
  onDisagreement(heard.map(({ member }) => member))
  const cause: EndpointsDisagree = { _tag: "EndpointsDisagree", about, endpoints: heard.map(({ member }) => member.number) }
  return yield* new ChainUnavailable({ doing: about, cause })
})

/** Two that agree; if there are none and nobody contradicts anybody, two of which one knows of nothing. */
const agreeingPair = <M, A>(heard: ReadonlyArray<Heard<M, A>>, settle: Settle<A>): Settled<A> | undefined => {
  const pairs = heard.flatMap((other, index) => heard.slice(0, index).map((one) => settle(one.answer, other.answer)))
  const firm = pairs.find((pair) => pair !== undefined && pair.isProvisional !== true)
  return firm ?? (pairs.includes(undefined) ? undefined : pairs[0])
}
