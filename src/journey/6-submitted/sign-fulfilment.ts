/** threshold-verified -> submitted, first half: from an attested batch to signed bytes that can be stored before anybody sees them. */
import { Effect } from "effect"
import type { Hex } from "../../domain/hex.ts"
import type { AttestedBatch } from "../../domain/response.ts"
import { ResultContract, type Fees } from "./result-contract.port.ts"

/** Estimates are made on the latest block; by the time of mining a skipped entry may cost less and a callback a little more. */
const GAS_MARGIN_PERCENT = 25n
/** A replacement must pay at least 10 % more (geth's rule); 12.5 % keeps clear of rounding. */
const BUMP_PERMILLE = 1_125n

export const signFulfilment = Effect.fnUntraced(function* (address: Hex, batch: AttestedBatch, nonce: number, previous?: Fees) {
  const contract = yield* ResultContract
  const market = yield* contract.fees
  const fees = previous === undefined ? market : atLeast(bump(previous), market)
  const gas = yield* contract.estimate(address, batch)
  const gasLimit = gas + (gas * GAS_MARGIN_PERCENT) / 100n
  const signed = yield* contract.sign(address, batch, { nonce, gasLimit, fees })
  return { ...signed, gasLimit, fees }
})

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
