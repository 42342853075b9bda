/** The chain as a transaction lane sees it. Keys of sending accounts live here and nowhere else. */
import { Effect, Layer, Schema } from "effect"
import { dataLength, type TransactionLike, type Wallet } from "ethers"
import { lower, toHex, type Hex } from "../../domain/hex.ts"
import type { AttestedBatch } from "../../domain/response.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import type { FinalityPolicy } from "../../journey/2-acl-checked/access-list.port.ts"
import { type Fees, ResultContract, SubmissionRejected, TOO_MUCH_GAS, withMargin } from "../../journey/6-submitted/result-contract.port.ts"
import { meterHere } from "../../resilience/cache-meter.ts"
import type { Contracts } from "./addresses.ts"
import { Count, Quantity, Receipt } from "./answers.ts"
import { hashOf } from "./broadcast.ts"
import { type Finality, finalityOf } from "./finality.ts"
import { findFulfilment, fulfilledIn, statusOf } from "./fulfilment.ts"
import { gatewayInterface } from "./inspection.ts"
import { identical, requireBlock, type Rpc, type Settle } from "./rpc.ts"

/** Two full blocks of rising base fee before the transaction waits. */
const BASE_FEE_MULTIPLE = 2n

/** Wei for each unit of gas. What an endpoint says about the market is believed up to here: a transaction that pays less may wait, but an
 * endpoint that lies cannot empty a lane into a block producer's pocket. */
const FEE_MAX: bigint = 500n * 10n ** 9n

export const resultContractLayer = (
  rpc: Rpc,
  contracts: Contracts,
  wallets: ReadonlyArray<Wallet>,
  policy: FinalityPolicy,
  feeMax: bigint = FEE_MAX
) =>
  Layer.effect(
    ResultContract,
    Effect.map(meterHere("result-blocks"), (blocks) => contractOf(rpc, contracts, wallets, finalityOf(rpc, policy, blocks), feeMax))
  )

const contractOf = (rpc: Rpc, contracts: Contracts, wallets: ReadonlyArray<Wallet>, final: Finality, feeMax: bigint) => {
  const to = contracts.decryptionGateway
  const walletOf = new Map(wallets.map((wallet) => [lower(wallet.address), wallet]))
  const sender = (address: Hex): Wallet => {
    const wallet = walletOf.get(address)
    if (wallet === undefined) throw new TypeError(`no key for lane ${address}`)
    return wallet
  }
  const signed = (address: Hex, tx: Pick<TransactionLike, "nonce" | "to" | "data" | "gasLimit">, fees: Fees) =>
    Effect.promise(async () => {
      const rawTx = lower(await sender(address).signTransaction({ type: 2, chainId: rpc.chainId, ...tx, ...fees }))
      return { rawTx, txHash: hashOf(rawTx) }
    })
  return ResultContract.of({
    chainId: rpc.chainId,
    addresses: [...walletOf.keys()],
    together: rpc.together,
    latest: requireBlock(rpc, "latest"),
    nonceOf: (address) => rpc.ask("eth_getTransactionCount", [address, "latest"], Count),
    pendingNonceOf: (address) => rpc.ask("eth_getTransactionCount", [address, "pending"], Count),
    // By the block's hash: an endpoint that does not have the block errs instead of answering about another.
    finalNonceOf: (address) =>
      Effect.flatMap(final.newest, ({ hash }) => {
        const ask = rpc.ask("eth_getTransactionCount", [address, { blockHash: hash }], Count)
        return rpc.agreed({ about: "finalized", ask, settle: identical })
      }),
    balanceOf: (address) => rpc.ask("eth_getBalance", [address, "latest"], Quantity),
    fees: Effect.gen(function* () {
      const [head, tip] = yield* Effect.all([requireBlock(rpc, "latest"), rpc.ask("eth_maxPriorityFeePerGas", [], Quantity)], {
        concurrency: "unbounded"
      })
      const wanted = head.baseFeePerGas * BASE_FEE_MULTIPLE + tip
      return { maxFeePerGas: wanted < feeMax ? wanted : feeMax, maxPriorityFeePerGas: tip < feeMax ? tip : feeMax }
    }),
    estimate: (address, batch) => {
      const estimated = rpc.estimate({ from: address, to, data: fulfilmentData(batch) })
      const ask = Effect.all([estimated, requireBlock(rpc, "latest")], { concurrency: "unbounded" }).pipe(
        Effect.map(([gas, { gasLimit }]): Estimated => (isTooMuch(gas, gasLimit) ? { rejection: TOO_MUCH_GAS } : { gas })),
        Effect.catchTag("CallReverted", ({ data }) => Effect.succeed<Estimated>({ rejection: errorNameIn(data) }))
      )
      return Effect.flatMap(rpc.agreed({ about: "gas", ask, settle: sameEstimate }), (estimated) =>
        "gas" in estimated ? Effect.succeed(estimated.gas) : Effect.fail(new SubmissionRejected({ reason: estimated.rejection }))
      )
    },
    sign: (address, batch, { nonce, gasLimit, fees }) =>
      signed(address, { nonce, to, data: fulfilmentData(batch), gasLimit }, fees),
    signCancellation: (address, { nonce, gasLimit, fees }) => signed(address, { nonce, to: address, gasLimit }, fees),
    broadcast: rpc.broadcast,
    mined: (txHashes) =>
      Effect.gen(function* () {
        const receipts = yield* Effect.forEach(txHashes, (hash) => receiptOf(rpc, hash), { concurrency: "unbounded" })
        const receipt = receipts.find((candidate) => candidate !== null) ?? undefined
        return (
          receipt && {
            txHash: receipt.transactionHash,
            block: { blockNumber: receipt.blockNumber, blockHash: receipt.blockHash },
            isSuccess: receipt.status === 1,
            cost: receipt.gasUsed * (receipt.effectiveGasPrice ?? 0n),
            fulfilled: fulfilledIn(contracts, receipt.logs)
          }
        )
      }),
    statuses: (ids) => Effect.forEach(ids, (id) => statusOf(rpc, contracts, id), { concurrency: "unbounded" }),
    finality: final.of,
    fulfilment: (id) => Effect.map(findFulfilment(rpc, contracts, id), (found) => found && { ...found, isSuccess: true })
  })
}

/** Gas of one transaction on Ethereum (EIP-7825), whatever a block holds. */
const TRANSACTION_GAS_MAX = 2n ** 24n

const isTooMuch = (gas: bigint, ofBlock: bigint | undefined): boolean =>
  withMargin(gas) > (ofBlock === undefined || ofBlock > TRANSACTION_GAS_MAX ? TRANSACTION_GAS_MAX : ofBlock)

type Estimated = { readonly gas: bigint } | { readonly rejection: string }

/** Two nodes at two blocks differ by a callback's whims, never by so much. Too little gas would be paid for in vain, again and again. */
const GAS_APART_MAX = 2n

const sameEstimate: Settle<Estimated> = (one, other) => {
  if ("rejection" in one) return "rejection" in other ? { agreed: one } : undefined
  if ("rejection" in other) return undefined
  const [less, more] = one.gas < other.gas ? [one, other] : [other, one]
  return more.gas <= less.gas * GAS_APART_MAX ? { agreed: more } : undefined
}

const SELECTOR_BYTES = 4

const errorNameIn = (data: string): string =>
  (dataLength(data) < SELECTOR_BYTES ? null : gatewayInterface.parseError(data))?.name ?? "reverts without a reason"

const receiptOf = (rpc: Rpc, hash: Hex) =>
  Effect.flatMap(rpc.ask("eth_getTransactionReceipt", [hash], Schema.NullOr(Receipt)), (receipt) =>
    receipt === null || receipt.transactionHash === hash
      ? Effect.succeed(receipt)
      : Effect.fail(new ChainUnavailable({ doing: "eth_getTransactionReceipt", cause: "the receipt of another transaction" }))
  )

/** One result goes in with the proof that it stands under the root (an empty one when it is the root), several as the whole batch. */
export const fulfilmentData = (batch: AttestedBatch): string => {
  const responses = batch.responses.map(({ requestId, result }) => ({ requestId, result: toHex(result) }))
  const attestation = toHex(batch.attestation)
  const [only] = responses
  return responses.length === 1
    ? gatewayInterface.encodeFunctionData("fulfil", [batch.attested, attestation, only, (batch.proof ?? []).map(toHex)])
    : gatewayInterface.encodeFunctionData("fulfilBatch", [batch.attested, attestation, responses])
}
