/**
 * Several endpoints of one chain as one `Rpc` (reliability.md P10 to P12): the preferred one that is well answers, the next one
 * when it fails; bytes are offered to all. Which endpoint is well is found out in the background (endpoint-health.ts) and from
 * calls that fail. What belongs together is asked of one endpoint, because two of them stand at two blocks (the Arbitrum outage of
 * June 2023); what has to be agreed on is asked of two.
 */
import { Context, Deferred, Effect, Fiber, Option, Random, Result } from "effect"
import type { Hex } from "../../domain/hex.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import { CALL_POLICIES, type CallPolicy } from "../../resilience/call-policy.ts"
import { Guards, makeGuards } from "../../resilience/guards.ts"
import { monotonicMs } from "../../resilience/monotonic.ts"
import type { Disagreement, EndpointState, EndpointView } from "../../telemetry/chain-endpoints.port.ts"
import { together as mostUseful, type Offered } from "./broadcast.ts"
import { isUsable, judge, preference, type Sight } from "./endpoint-health.ts"
import { firstTwoThatAgree } from "./endpoint-agreement.ts"
import { makeRpc, type Rpc, type RpcOptions, type Settle } from "./rpc.ts"

/** How often all endpoints are looked at; jittered by a fifth, so that many gateways do not ask in step. */
const LOOK_EVERY_MS = 5_000
/** An endpoint that has not told its head by then is not the one to ask now. */
const LOOK_MS_MAX = 2_000
/** A silent endpoint is looked at less and less often: first and longest pause, full jitter between. */
const SILENT_FIRST_MS = 5_000
const SILENT_LONGEST_MS = 60_000
/** While there is another to ask: shorter than a call may take, long enough for the receipts of a full block. */
const NEXT_AFTER_MS = 3_000
/** An endpoint that has failed a call is asked last for this long: a look may not have seen what is wrong with it. */
const FAILED_MS = 1_000
/** How long a broadcast waits for a better answer than "used", "underpriced" or "no funds" from endpoints that are slower. */
const BROADCAST_GRACE_MS = 1_000

export interface PoolOptions extends RpcOptions {
  readonly lagBlocksMax: number
  /** How many endpoints must say the same of blocks, logs and the access list. */
  readonly agreement: 1 | 2
  /** Told after each look, and after each disagreement: the numbers of those that were outvoted, or of all when nobody was. */
  readonly onLook?: (view: ReadonlyArray<EndpointView>) => void
  readonly lookEveryMs?: number
  readonly nextAfterMs?: number
  readonly onDisagreement?: (about: Disagreement, numbers: ReadonlyArray<number>) => void
}

export interface EndpointPool {
  readonly rpc: Rpc
  readonly view: Effect.Effect<ReadonlyArray<EndpointView>>
}

interface Member {
  readonly number: number
  readonly host: string
  readonly rpc: Rpc
  readonly looks: Rpc
  sight: Sight
  state: EndpointState
  /** Looks in a row that saw nothing. */
  silences: number
  lookAtMs: number
  failedUntilMs: number
}

/** Whom everything is asked of at the moment. `isWitness`: its answers are compared with another's further out. */
interface Pin {
  readonly member: Member
  readonly isWitness: boolean
  /** Nobody else is left to ask. */
  readonly isLast: boolean
}
const Pinned = Context.Reference<Pin | undefined>("portcullis/adapters/ethereum/Pinned", { defaultValue: () => undefined })

const isUnavailable = (error: unknown): error is ChainUnavailable => error instanceof ChainUnavailable

/** Lives as long as its scope. URLs are the operator's order of preference. */
export const makeEndpointPool = Effect.fnUntraced(function* (urls: ReadonlyArray<string>, chainId: bigint, options: PoolOptions) {
  const members = yield* Effect.forEach(urls, (url, index) =>
    Effect.map(endpointAt(url, chainId, { ...options, name: `${new URL(url).host} #${index + 1}` }), ({ rpc, looks }): Member => ({
      number: index + 1,
      host: new URL(url).host,
      rpc,
      looks,
      sight: { type: "unseen" },
      state: "unknown",
      silences: 0,
      lookAtMs: 0,
      failedUntilMs: 0
    }))
  )
  yield* Effect.forkScoped(watch(members, chainId, options))
  return { rpc: poolOf(members, chainId, options), view: Effect.sync(() => viewOf(members)) } satisfies EndpointPool
})

/** Never rests: looks are how it is found out that somebody is well again, and are no more than one in some seconds. */
const LOOK_POLICY: CallPolicy = { ...CALL_POLICIES.rpc, failureRatioMax: Number.POSITIVE_INFINITY, slowRatioMax: Number.POSITIVE_INFINITY }

/** Two endpoints of one host have keys of their own, and limits: neither rests because the other is told to. Looks have guards of their own, so that neither they nor the work speak for each other. */
const endpointAt = Effect.fnUntraced(function* (url: string, chainId: bigint, options: PoolOptions) {
  const looks = makeRpc(url, chainId, { responseMsMax: LOOK_MS_MAX, policy: LOOK_POLICY })
  return { rpc: yield* makeRpc(url, chainId, options), looks: yield* Effect.provideService(looks, Guards, makeGuards()) }
})

const viewOf = (members: ReadonlyArray<Member>): ReadonlyArray<EndpointView> =>
  members.map(({ number, host, state, sight }) => ({
    number,
    host,
    state,
    head: sight.type === "seen" ? sight.head : undefined,
    finalized: sight.type === "seen" ? sight.finalized : undefined
  }))

/** All at the same time, so that their heads can be compared. */
const watch = (members: ReadonlyArray<Member>, chainId: bigint, options: PoolOptions) =>
  Effect.gen(function* () {
    const nowMs = yield* monotonicMs
    const due = members.filter(({ lookAtMs }) => lookAtMs <= nowMs)
    yield* Effect.forEach(due, lookAt, { concurrency: "unbounded", discard: true })
    const states = judge(members.map(({ sight }) => sight), { chainId, lagBlocksMax: options.lagBlocksMax })
    for (const [index, member] of members.entries()) member.state = states[index]!
    options.onLook?.(viewOf(members))
    yield* Effect.sleep((options.lookEveryMs ?? LOOK_EVERY_MS) * (0.8 + 0.4 * (yield* Random.next)))
  }).pipe(Effect.forever)

const lookAt = Effect.fnUntraced(function* (member: Member) {
  member.sight = yield* sightOf(member.looks)
  member.silences = member.sight.type === "silent" ? member.silences + 1 : 0
  const bound = member.silences < 2 ? 0 : Math.min(SILENT_LONGEST_MS, SILENT_FIRST_MS * 2 ** Math.min(member.silences, 10))
  member.lookAtMs = (yield* monotonicMs) + bound * (yield* Random.next)
})

const sightOf = (rpc: Rpc): Effect.Effect<Sight> =>
  Effect.all([rpc.send("eth_chainId", []), rpc.block("latest"), Effect.option(rpc.block("finalized"))], { concurrency: "unbounded" }).pipe(
    Effect.map(([chainId, latest, finalized]): Sight =>
      latest === undefined || typeof chainId !== "string" || !/^0x[0-9a-f]{1,64}$/i.test(chainId)
        ? { type: "silent" }
        : { type: "seen", chainId: BigInt(chainId), head: latest.number, finalized: Option.getOrUndefined(finalized)?.number }
    ),
    Effect.timeoutOrElse({ duration: LOOK_MS_MAX, orElse: () => Effect.succeed<Sight>({ type: "silent" }) }),
    Effect.catch(() => Effect.succeed<Sight>({ type: "silent" }))
  )

const poolOf = (members: ReadonlyArray<Member>, chainId: bigint, options: PoolOptions): Rpc => {
  const { agreement, onDisagreement, nextAfterMs = NEXT_AFTER_MS } = options
  let turn = 0

  /** Whom to ask, best first. */
  const ranked = Effect.map(monotonicMs, (nowMs) =>
    preference(members.map(({ state }) => state), (index) => members[index]!.failedUntilMs > nowMs).map((index) => members[index]!)
  )
  const failed = (member: Member) =>
    Effect.map(monotonicMs, (nowMs) => void (member.failedUntilMs = nowMs + FAILED_MS))

  /** Asks one after the other until one does not fail. Whatever is not an endpoint's failure is an answer. */
  const oneAfterTheOther = <A, E, R>(order: ReadonlyArray<Member>, ask: (pin: Pin) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    const [member, ...others] = order
    if (member === undefined) return Effect.fail(new ChainUnavailable({ doing: "choose an endpoint", cause: "none speaks for this chain" }) as E)
    return Effect.catch(ask({ member, isWitness: false, isLast: others.length === 0 }), (error) => {
      if (!isUnavailable(error)) return Effect.fail(error)
      return Effect.andThen(failed(member), others.length === 0 ? Effect.fail(error) : oneAfterTheOther(others, ask))
    })
  }

  /** One call to one endpoint. */
  const askOf = <A, E>({ member, isLast }: Pin, ask: (rpc: Rpc) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    isLast
      ? ask(member.rpc)
      : Effect.timeoutOrElse(ask(member.rpc), {
          duration: nextAfterMs,
          orElse: () => Effect.fail(new ChainUnavailable({ doing: "wait for an endpoint", cause: `no answer within ${nextAfterMs} ms` }) as E)
        })

  const route = <A, E>(ask: (rpc: Rpc) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.flatMap(Effect.service(Pinned), (pin) =>
      pin === undefined ? Effect.flatMap(ranked, (order) => oneAfterTheOther(order, (one) => askOf(one, ask))) : askOf(pin, ask)
    )

  const unlessPinned = <A, E, R>(work: Effect.Effect<A, E, R>, order: (best: ReadonlyArray<Member>) => ReadonlyArray<Member>) =>
    Effect.flatMap(Effect.service(Pinned), (pin) =>
      pin === undefined
        ? Effect.flatMap(ranked, (best) => oneAfterTheOther(order(best), (one) => Effect.provideService(work, Pinned, one)))
        : work
    )

  const agree = <A, R>(about: Disagreement, ask: Effect.Effect<A, ChainUnavailable, R>, settle: Settle<A>) =>
    Effect.flatMap(Effect.service(Pinned), (pin) =>
      pin?.isWitness === true
        ? ask
        : Effect.flatMap(ranked, (order) =>
            firstTwoThatAgree({
              about,
              order,
              settle,
              ask: (member) =>
                Effect.provideService(ask, Pinned, { member, isWitness: true, isLast: order.length <= 2 }).pipe(
                  Effect.tapError(() => failed(member))
                ),
              onDisagreement: (outvoted) => onDisagreement?.(about, outvoted.map(({ number }) => number))
            })
          )
    )

  return {
    chainId,
    witnesses: agreement,
    send: (method, params) => route((rpc) => rpc.send(method, params)),
    ask: (method, params, form) => route((rpc) => rpc.ask(method, params, form)),
    block: (tag) => route((rpc) => rpc.block(tag)),
    call: (to, data, at) => route((rpc) => rpc.call(to, data, at)),
    estimate: (tx) => route((rpc) => rpc.estimate(tx)),
    together: (work) => unlessPinned(work, (best) => best),
    elsewhere: (work) =>
      unlessPinned(work, (best) => {
        const others = best.slice(1).filter(({ state }) => state === "alive")
        const chosen = others[turn++ % Math.max(1, others.length)]
        return chosen === undefined ? best : [chosen, ...best.filter((member) => member !== chosen)]
      }),
    agreed: ({ about, ask, settle }) => (agreement === 1 ? unlessPinned(ask, (best) => best) : agree(about, ask, settle)),
    broadcast: (rawTx) => Effect.flatMap(ranked, (order) => offerToAll(order, rawTx))
  }
}

/** To everybody who is there, or, where nobody seems to be, to everybody. One that is slow holds up nobody: it hears of it all the same. */
const offerToAll = (order: ReadonlyArray<Member>, rawTx: Hex): Offered =>
  Effect.gen(function* () {
    const well = order.filter(({ state }) => isUsable(state))
    const asked = well.length === 0 ? order : well
    const accepted = yield* Deferred.make<void>()
    const someAnswer = yield* Deferred.make<void>()
    const answers: Array<Result.Result<Effect.Success<Offered>, Effect.Error<Offered>>> = []
    const offers = yield* Effect.forEach(asked, ({ rpc }) =>
      Effect.result(rpc.broadcast(rawTx)).pipe(
        Effect.flatMap((answer) => {
          answers.push(answer)
          if (Result.isSuccess(answer) && answer.success === "accepted") return Deferred.succeed(accepted, undefined)
          return Result.isFailure(answer) && isUnavailable(answer.failure) ? Effect.void : Deferred.succeed(someAnswer, undefined)
        }),
        Effect.forkDetach
      )
    )
    const everybody = Effect.forEach(offers, Fiber.await, { discard: true })
    const enough = Effect.andThen(Deferred.await(someAnswer), Effect.sleep(BROADCAST_GRACE_MS))
    yield* Effect.raceFirst(Deferred.await(accepted), Effect.raceFirst(everybody, enough))
    if (answers.length === 0) return yield* new ChainUnavailable({ doing: "eth_sendRawTransaction", cause: "there is no endpoint of this chain" })
    return yield* Effect.fromResult(mostUseful(answers))
  })
