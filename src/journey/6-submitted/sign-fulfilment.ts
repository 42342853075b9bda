/** threshold-verified -> submitted, first half: from an attested batch to signed bytes that can be stored before anybody sees them. */
import { Effect } from "effect"
import type { Hex } from "../../domain/hex.ts"
import type { AttestedBatch } from "../../domain/response.ts"
import { ResultContract, type Fees, withMargin } from "./result-contract.port.ts"

/** A replacement must pay at least 10 % more (geth's rule); 12.5 % keeps clear of rounding. */
const BUMP_PERMILLE = 1_125n

/** What it costs to send nothing to oneself: 21,000 on Ethereum, more where a chain also charges for its data (what is not used is not paid). */
const CANCELLATION_GAS = 100_000n

export const signFulfilment = Effect.fnUntraced(function* (address: Hex, batch: AttestedBatch, nonce: number, previous?: Fees) {
  const contract = yield* ResultContract
  const fees = yield* feesAbove(previous)
  const gasLimit = withMargin(yield* contract.estimate(address, batch))
  const signed = yield* contract.sign(address, batch, { nonce, gasLimit, fees })
  return { ...signed, gasLimit, fees }
})

/** The last way out of a stuck nonce: it is used up, and what stands above it can be mined. */
export const signCancellation = Effect.fnUntraced(function* (address: Hex, nonce: number, previous?: Fees) {
  const contract = yield* ResultContract
  const fees = yield* feesAbove(previous)
  const signed = yield* contract.signCancellation(address, { nonce, gasLimit: CANCELLATION_GAS, fees })
  return { ...signed, gasLimit: CANCELLATION_GAS, fees }
})

const feesAbove = (previous: Fees | undefined) =>
  ResultContract.use(({ fees }) => Effect.map(fees, (market) => (previous === undefined ? market : atLeast(bump(previous), market))))

/** At least 12.5 % more on both caps, and strictly more even where a tip of nothing is usual: otherwise no replacement would be taken. */
export const bump = (fees: Fees): Fees => ({ maxFeePerGas: raised(fees.maxFeePerGas), maxPriorityFeePerGas: raised(fees.maxPriorityFeePerGas) })

const raised = (wei: bigint): bigint => {
  const more = (wei * BUMP_PERMILLE + 999n) / 1_000n
  return more > wei ? more : wei + 1n
}

const atLeast = (a: Fees, b: Fees): Fees => ({
  maxFeePerGas: a.maxFeePerGas > b.maxFeePerGas ? a.maxFeePerGas : b.maxFeePerGas,
  maxPriorityFeePerGas: a.maxPriorityFeePerGas > b.maxPriorityFeePerGas ? a.maxPriorityFeePerGas : b.maxPriorityFeePerGas
})
