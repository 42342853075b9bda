/** The chain as a transaction lane sees it. Keys of sending accounts live here and nowhere else. */
import { Effect, Layer } from "effect"
import { isError, keccak256, type Wallet } from "ethers"
import { lower, toHex, type Hex } from "../../domain/hex.ts"
import type { AttestedBatch } from "../../domain/response.ts"
import { ChainUnavailable } from "../../journey/1-detected/request-log.port.ts"
import type { FinalityPolicy } from "../../journey/2-acl-checked/access-list.port.ts"
import {
  LaneOutOfFunds,
  ResultContract,
  SubmissionRejected,
  type Broadcast,
  type RequestStatus
} from "../../journey/6-submitted/result-contract.port.ts"
import type { Contracts } from "./addresses.ts"
import { finalityOf } from "./finality.ts"
import { findFulfilment } from "./fulfilment.ts"
import { gatewayInterface } from "./inspection.ts"
import { requireBlock, type Rpc } from "./rpc.ts"

const STATUSES: ReadonlyArray<RequestStatus> = ["unknown", "requested", "fulfilled"]
/** Two full blocks of rising base fee before the transaction waits. */
const BASE_FEE_MULTIPLE = 2n

interface RawReceipt {
  readonly transactionHash: string
  readonly blockNumber: string
  readonly blockHash: string
  readonly status: string
}

export const resultContractLayer = (rpc: Rpc, contracts: Contracts, wallets: ReadonlyArray<Wallet>, policy: FinalityPolicy) => {
  const to = contracts.decryptionGateway
  const walletOf = new Map(wallets.map((wallet) => [lower(wallet.address), wallet]))
  const sender = (address: Hex): Wallet => {
    const wallet = walletOf.get(address)
    if (wallet === undefined) throw new TypeError(`no key for lane ${address}`)
    return wallet
  }
  return Layer.succeed(ResultContract, {
    chainId: rpc.chainId,
    addresses: [...walletOf.keys()],
    latest: requireBlock(rpc, "latest"),
    nonceOf: (address) => Effect.map(rpc.send("eth_getTransactionCount", [address, "latest"]), Number),
    fees: Effect.gen(function* () {
      const [head, tip] = yield* Effect.all([requireBlock(rpc, "latest"), rpc.send("eth_maxPriorityFeePerGas", [])], {
        concurrency: "unbounded"
      })
      const maxPriorityFeePerGas = BigInt(String(tip))
      return { maxFeePerGas: head.baseFeePerGas * BASE_FEE_MULTIPLE + maxPriorityFeePerGas, maxPriorityFeePerGas }
    }),
    estimate: (address, batch) =>
      Effect.tryPromise({
        try: async () => BigInt(await rpc.provider.send("eth_estimateGas", [{ from: address, to, data: fulfilmentData(batch) }])),
        catch: (cause) =>
          isError(cause, "CALL_EXCEPTION")
            ? new SubmissionRejected({ reason: gatewayInterface.parseError(cause.data ?? "0x")?.name ?? "reverts without a reason" })
            : new ChainUnavailable({ doing: "eth_estimateGas", cause })
      }),
    sign: (address, batch, { nonce, gasLimit, fees }) =>
      Effect.promise(async () => {
        const transaction = { type: 2, chainId: rpc.chainId, nonce, to, data: fulfilmentData(batch), gasLimit, ...fees }
        const rawTx = lower(await sender(address).signTransaction(transaction))
        return { rawTx, txHash: hashOf(rawTx) }
      }),
    broadcast: (rawTx) =>
      Effect.tryPromise({
        try: () => rpc.provider.send("eth_sendRawTransaction", [rawTx]) as Promise<string>,
        catch: (cause) => cause
      }).pipe(
        Effect.map((): Broadcast => "accepted"),
        Effect.catch((cause) => broadcastFailure(cause))
      ),
    mined: (txHashes) =>
      Effect.gen(function* () {
        const receipts = yield* Effect.forEach(txHashes, (hash) => rpc.send("eth_getTransactionReceipt", [hash]), {
          concurrency: "unbounded"
        })
        const receipt = receipts.find((candidate) => candidate !== null) as RawReceipt | undefined
        return receipt === undefined
          ? undefined
          : {
              txHash: lower(receipt.transactionHash),
              block: { blockNumber: Number(receipt.blockNumber), blockHash: lower(receipt.blockHash) },
              isSuccess: BigInt(receipt.status) === 1n
            }
      }),
    statuses: (ids) =>
      Effect.forEach(
        ids,
        (id) =>
          rpc.call(to, gatewayInterface.encodeFunctionData("statusOf", [id]), "latest").pipe(
            Effect.map((answer): RequestStatus => STATUSES[Number(answer)] ?? "unknown"),
            Effect.catchTag("CallReverted", (cause) => Effect.fail(new ChainUnavailable({ doing: "statusOf", cause })))
          ),
        { concurrency: "unbounded" }
      ),
    finality: finalityOf(rpc, policy).of,
    fulfilment: (id) => Effect.map(findFulfilment(rpc, contracts, id), (found) => found && { ...found, isSuccess: true })
  })
}

const hashOf = (rawTx: Hex): Hex => lower(keccak256(rawTx))

/** One result goes in with an empty proof, several as the whole batch. */
export const fulfilmentData = (batch: AttestedBatch): string => {
  const responses = batch.responses.map(({ requestId, result }) => ({ requestId, result: toHex(result) }))
  const attestation = toHex(batch.attestation)
  const [only] = responses
  return responses.length === 1
    ? gatewayInterface.encodeFunctionData("fulfil", [batch.attested, attestation, only, []])
    : gatewayInterface.encodeFunctionData("fulfilBatch", [batch.attested, attestation, responses])
}

/** geth's and anvil's sentences where ethers has no code for them; "already known" is what a second broadcast of the same bytes gets. */
const broadcastFailure = (cause: unknown): Effect.Effect<Broadcast, ChainUnavailable | LaneOutOfFunds> => {
  if (isError(cause, "NONCE_EXPIRED")) return Effect.succeed("nonce-used")
  if (isError(cause, "REPLACEMENT_UNDERPRICED")) return Effect.succeed("underpriced")
  if (isError(cause, "INSUFFICIENT_FUNDS")) return Effect.fail(new LaneOutOfFunds({ address: "the sending account" }))
  const said = (cause as { readonly error?: { readonly message?: string } }).error?.message ?? ""
  if (/already (?:known|imported)/i.test(said)) return Effect.succeed("accepted")
  if (/nonce too low/i.test(said)) return Effect.succeed("nonce-used")
  if (/underpriced/i.test(said)) return Effect.succeed("underpriced")
  if (/insufficient funds/i.test(said)) return Effect.fail(new LaneOutOfFunds({ address: "the sending account" }))
  return Effect.fail(new ChainUnavailable({ doing: "eth_sendRawTransaction", cause }))
}
