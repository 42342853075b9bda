/** One question for everything that the ports ask of the chain, all about a world in which each has an answer. */
import { Effect, Result } from "effect"
import { accessListLayer } from "../../../src/adapters/ethereum/access-list.layer.ts"
import { ciphertextRegistryLayer } from "../../../src/adapters/ethereum/ciphertext-registry.layer.ts"
import { committeesLayer } from "../../../src/adapters/ethereum/committees.layer.ts"
import { requestLogLayer } from "../../../src/adapters/ethereum/request-log.layer.ts"
import { resultContractLayer } from "../../../src/adapters/ethereum/result-contract.layer.ts"
import type { Rpc } from "../../../src/adapters/ethereum/rpc.ts"
import type { Hex } from "../../../src/domain/hex.ts"
import type { AttestedBatch } from "../../../src/domain/response.ts"
import { RequestLog } from "../../../src/journey/1-detected/request-log.port.ts"
import { AccessList } from "../../../src/journey/2-acl-checked/access-list.port.ts"
import { CiphertextRegistry } from "../../../src/journey/3-ciphertext-fetched/ciphertext-registry.port.ts"
import { Committees } from "../../../src/journey/4-shares-collected/committee.port.ts"
import { ResultContract } from "../../../src/journey/6-submitted/result-contract.port.ts"
import type { Asked, EthereumWorld, Sent } from "./ethereum-world.ts"

export interface Staged {
  readonly open: Asked & Sent
  readonly done: Asked & Sent
  readonly fulfilledBy: Sent
  /** Fulfils `open`, if it is ever sent. */
  readonly batch: AttestedBatch
  /** Two requests stand in this block. */
  readonly twins: { readonly made: ReadonlyArray<Asked>; readonly sent: Sent }
}

export const LANE = 4

export const stage = async (world: EthereumWorld): Promise<Staged> => {
  const handle = await world.openHandle()
  const done = await world.requested([handle])
  const fulfilledBy = await world.fulfil(done.id)
  const made = [await world.factsOf([handle]), await world.factsOf([handle])]
  const [sent] = await world.inOneBlock(made.map((asked) => () => world.ask(asked)))
  const open = await world.requested([handle])
  return { open, done, fulfilledBy, twins: { made, sent: sent! }, batch: await world.batchOf([open.id]) }
}

export type Questions = Readonly<Record<string, Effect.Effect<unknown, { readonly _tag: string }>>>

/** Adapters that have not been asked anything yet, so that nothing is remembered. */
export const questionsTo = async (world: EthereumWorld, rpc: Rpc, staged: Staged): Promise<Questions> => {
  const { contracts } = world
  const wallet = world.wallet(LANE)
  const lane = world.address(LANE)
  const log = await world.open(RequestLog, requestLogLayer(rpc, contracts))
  const list = await world.open(AccessList, accessListLayer(rpc, contracts, { type: "latest" }))
  const registry = await world.open(CiphertextRegistry, ciphertextRegistryLayer(rpc, contracts))
  const committees = await world.open(Committees, committeesLayer(rpc, contracts))
  const results = await world.open(ResultContract, resultContractLayer(rpc, contracts, [wallet], { type: "latest" }))
  const { open, done, batch, fulfilledBy, twins } = staged
  // A nonce far ahead: the chain takes the transaction and never mines it.
  const fees = { maxFeePerGas: 10_000_000_000n, maxPriorityFeePerGas: 1n }
  const parked = Effect.flatMap(results.sign(lane, batch, { nonce: 50, gasLimit: 1_000_000n, fees }), ({ rawTx }) =>
    results.broadcast(rawTx)
  )
  return {
    "the newest block": log.latest,
    "the final block": log.finalized,
    "what two call final": log.finalAt(open.block.blockNumber),
    "a head": log.headAt(open.block.blockNumber),
    "a block of requests": log.readBlock(twins.sent.block.blockNumber),
    "the finality of a block": list.finality({ ...open.block, logIndex: 0 }),
    "the permission of a request": list.permission(open.id, open.facts),
    "the permission of a fulfilled request": list.permission(done.id, done.facts),
    "a ciphertext's record": registry.records(open.facts.handles),
    "a committee": committees.committee(1),
    "the current committee": committees.current,
    "a nonce": results.nonceOf(lane),
    "the fees": results.fees,
    "an estimate": results.estimate(lane, batch),
    "a broadcast": parked,
    "whether a transaction was mined": results.mined([fulfilledBy.txHash]),
    "statuses": results.statuses([open.id, done.id]),
    "the finality of a result": results.finality(fulfilledBy.block),
    "a fulfilment": results.fulfilment(done.id)
  }
}

export type Answers = Readonly<Record<string, unknown>>

/** Everything at once: an error is shown as its tag. */
export const askAll = async (questions: Questions): Promise<Answers> => {
  const asked = Object.entries(questions).map(async ([name, question]) => {
    const answer = await Effect.runPromise(Effect.result(question))
    return [name, Result.isSuccess(answer) ? answer.success : answer.failure._tag] as const
  })
  return Object.fromEntries(await Promise.all(asked))
}

export const only = (questions: Questions, ...names: ReadonlyArray<string>): Questions =>
  Object.fromEntries(names.map((name) => [name, questions[name]!]))

export const hashOfAnother = (hash: Hex): Hex => `0x${hash.slice(2).split("").toReversed().join("")}`
