/** The chain's ports as a gateway node has them: every question is a call to some endpoint and may fail like one. */
import { Context, Effect, Exit, Layer } from "effect"
import type { CiphertextRecord } from "../../../src/domain/ciphertext.ts"
import type { Committee } from "../../../src/domain/committee.ts"
import type { Handle } from "../../../src/domain/handle.ts"
import { toHex, type Hex } from "../../../src/domain/hex.ts"
import type { AttestedBatch } from "../../../src/domain/response.ts"
import { ChainUnavailable, type ReadBlock, RequestLog } from "../../../src/journey/1-detected/request-log.port.ts"
import { AccessList, type FinalityPolicy } from "../../../src/journey/2-acl-checked/access-list.port.ts"
import { CiphertextRegistry } from "../../../src/journey/3-ciphertext-fetched/ciphertext-registry.port.ts"
import { Committees, EpochUnusable } from "../../../src/journey/4-shares-collected/committee.port.ts"
import {
  LaneOutOfFunds,
  ResultContract,
  SubmissionRejected,
  TOO_MUCH_GAS,
  type Broadcast,
  withMargin
} from "../../../src/journey/6-submitted/result-contract.port.ts"
import type { Link } from "../remote-call.ts"
import { finalBlock, finalityOf, headOf, permissionOf, readBlockOf, settledBlock } from "./chain-questions.ts"
import type { Endpoint } from "./endpoint.ts"
import { ancestorAt, decodeLaneTx, encodeLaneTx, type Fulfilment, type LaneTx, type SimBlock } from "./sim-block.ts"
import { gasOf, revertOf, statusOf } from "./sim-contract.ts"

export interface EndpointWay {
  readonly endpoint: Endpoint
  readonly link: Link
}

export interface ChainPortsOptions {
  readonly chainId: bigint
  readonly lanes: ReadonlyArray<Hex>
  readonly committee: Committee
  readonly records: ReadonlyMap<Handle, CiphertextRecord>
  readonly aclFinality: FinalityPolicy
  readonly resultFinality: FinalityPolicy
  /** Which endpoint the next call goes to. */
  readonly choose: () => EndpointWay
  /** For a second reading: another endpoint than usual, where there is one. */
  readonly elsewhere: () => EndpointWay
  /** Calls once when this node hears of a new block; answers how to listen no more. */
  readonly onNextHead: (heard: () => void) => () => void
  /** Wei that an account was given before the first block. */
  readonly endowmentOf: (address: Hex) => bigint
  /** Called when a lane's bytes leave this node, whether or not they arrive. */
  readonly onBroadcast?: (tx: LaneTx) => void
}

/** Set while questions are asked together. */
const OneView = Context.Reference<EndpointWay | undefined>("portcullis/chaos/simulator/OneView", { defaultValue: () => undefined })

const TIP = 10n

export const fulfilmentOf = ({ attested, attestation, responses, proof }: AttestedBatch): Fulfilment => ({
  ...attested,
  attestation: toHex(attestation),
  responses: responses.map(({ requestId, result }) => ({ requestId, result: toHex(result) })),
  ...(proof && { proof: proof.map(toHex) })
})

const unavailable = (doing: string, cause: string) => Exit.fail(new ChainUnavailable({ doing, cause }))

/** Some of the logs may be missing: the bloom filter gives away a block without any, and nothing gives away one that has a few. */
const readBlock = (endpoint: Endpoint, number: number): Exit.Exit<ReadBlock | undefined, ChainUnavailable> => {
  const block = ancestorAt(endpoint.head, number)
  if (block === undefined || block.opened.length === 0) return Exit.succeed(block && readBlockOf(block))
  const read = readBlockOf(block)
  const requests = read.requests.filter(() => !endpoint.omitsLogs())
  return requests.length === 0
    ? unavailable("read a block", "no logs, though the bloom filter says that there are some")
    : Exit.succeed({ ...read, requests })
}

export const chainPorts = (options: ChainPortsOptions) => {
  const ask = <A, E = never>(doing: string, look: (endpoint: Endpoint) => Exit.Exit<A, E | ChainUnavailable>) =>
    Effect.flatMap(OneView, (view) => {
      const { endpoint, link } = view ?? options.choose()
      return link.call<A, E | ChainUnavailable, ChainUnavailable>(
        doing,
        () => {
          const refusal = endpoint.refusal()
          return refusal === undefined ? look(endpoint) : unavailable(doing, `${endpoint.name}: ${refusal}`)
        },
        () => unavailable(doing, "no answer in time")
      )
    })
  const see = <A>(doing: string, look: (endpoint: Endpoint) => A) => ask<A>(doing, (endpoint) => Exit.succeed(look(endpoint)))
  const finalForOne = (number: number, way: EndpointWay) =>
    Effect.provideService(
      see("read a final block", ({ head, finalizedNumber }) => {
        const block = ancestorAt(head, number)
        return block && finalizedNumber >= number ? headOf(block) : undefined
      }),
      OneView,
      way
    )
  const { chainId, committee } = options
  const balanceAt = ({ state }: SimBlock, address: Hex): bigint => options.endowmentOf(address) - (state.spent.get(address) ?? 0n)

  return Layer.mergeAll(
    Layer.succeed(RequestLog, {
      chainId,
      latest: see("read the newest block", ({ head }) => headOf(head)),
      finalized: see("read the final block", (endpoint) => headOf(finalBlock(endpoint))),
      finalAt: (number) =>
        Effect.suspend(() => Effect.all([options.choose(), options.elsewhere()].map((way) => finalForOne(number, way)))),
      headAt: (number) =>
        see("read a header", ({ head }) => {
          const block = ancestorAt(head, number)
          return block && headOf(block)
        }),
      nextHead: Effect.callback<void>((resume) => {
        const stopListening = options.onNextHead(() => resume(Effect.void))
        return Effect.sync(stopListening)
      }),
      readBlock: (number) => ask("read a block", (endpoint) => readBlock(endpoint, number)),
      readElsewhere: (number) =>
        Effect.suspend(() =>
          Effect.provideService(
            ask("read a block again", (endpoint) => readBlock(endpoint, number)),
            OneView,
            options.elsewhere()
          )
        )
    }),
    Layer.succeed(AccessList, {
      finality: (anchor) => see("ask for finality", (endpoint) => finalityOf(endpoint, options.aclFinality, anchor)),
      permission: (id, request) =>
        ask("ask the access list", (endpoint) => {
          const permission = permissionOf(endpoint, options.aclFinality, id, request)
          return permission === undefined ? unavailable("ask the access list", "these contents have another id") : Exit.succeed(permission)
        })
    }),
    Layer.succeed(CiphertextRegistry, {
      records: (handles) => see("read registrations", () => handles.map((handle) => options.records.get(handle)))
    }),
    Layer.succeed(Committees, {
      committee: (epoch) =>
        ask<Committee, EpochUnusable>("read a committee", () =>
          epoch === committee.epoch ? Exit.succeed(committee) : Exit.fail(new EpochUnusable({ epoch, reason: "nobody registered it" }))
        ),
      current: see("read the newest committee", () => committee)
    }),
    Layer.succeed(ResultContract, {
      chainId,
      addresses: options.lanes,
      together: (questions) => Effect.suspend(() => Effect.provideService(questions, OneView, options.choose())),
      latest: see("read the newest block", ({ head }) => headOf(head)),
      nonceOf: (address) => see("read a nonce", ({ head }) => head.state.nonces.get(address) ?? 0),
      pendingNonceOf: (address) =>
        see("read a pending nonce", ({ head, chain }) => chain.pendingNonce(address, head.state.nonces.get(address) ?? 0)),
      finalNonceOf: (address) =>
        see("read a final nonce", (endpoint) => settledBlock(endpoint, options.resultFinality).state.nonces.get(address) ?? 0),
      balanceOf: (address) => see("read a balance", ({ head }) => balanceAt(head, address)),
      fees: see("read the market", ({ chain }) => ({ maxFeePerGas: chain.baseFee * 2n + TIP, maxPriorityFeePerGas: TIP })),
      estimate: (_address, batch) =>
        ask<bigint, SubmissionRejected>("estimate", ({ head, chain }) => {
          const call = fulfilmentOf(batch)
          const reason = revertOf(chain.options.rules, head.state, head.timestamp, call)
          if (reason !== undefined) return Exit.fail(new SubmissionRejected({ reason }))
          const gas = gasOf(call)
          return withMargin(gas) <= chain.gasPerBlock ? Exit.succeed(gas) : Exit.fail(new SubmissionRejected({ reason: TOO_MUCH_GAS }))
        }),
      sign: (address, batch, tx) =>
        Effect.sync(() => encodeLaneTx({ ...tx, chainId, from: address, to: batch.gateway, fulfilment: fulfilmentOf(batch) })),
      signCancellation: (address, tx) =>
        Effect.sync(() => encodeLaneTx({ ...tx, chainId, from: address, to: address, fulfilment: undefined })),
      broadcast: (rawTx) =>
        Effect.suspend(() => {
          const tx = decodeLaneTx(rawTx)
          options.onBroadcast?.(tx)
          return ask<Broadcast, LaneOutOfFunds>("broadcast", (endpoint) => {
            const isPayable = balanceAt(endpoint.head, tx.from) >= tx.gasLimit * tx.fees.maxFeePerGas
            if (!isPayable) return Exit.fail(new LaneOutOfFunds({ address: tx.from }))
            const answer = endpoint.broadcast(tx)
            if (answer === undefined) return unavailable("broadcast", "no answer in time")
            return Exit.succeed(answer === "already-known" ? "accepted" : answer)
          })
        }),
      mined: (hashes) =>
        see("look for receipts", ({ head }) => hashes.map((hash) => head.state.mined.get(hash)).find((mined) => mined !== undefined)),
      statuses: (ids) => see("ask for statuses", ({ head }) => ids.map((id) => statusOf(head.state.requests.get(id)))),
      finality: (block) => see("ask for finality", (endpoint) => finalityOf(endpoint, options.resultFinality, block)),
      fulfilment: (id) => see("look for a fulfilment", ({ head }) => head.state.requests.get(id)?.fulfilled)
    })
  )
}
