/** Cuts results into batches that nodes can check in time and that one transaction can carry. What has been attested together is submitted together, so a batch that no node
 * would take into its pool, or no block could hold, would keep all of its results from the chain for good. */
import {
  CALLBACK_GAS_PER_ATTESTATION_MAX,
  HANDLES_PER_ATTESTATION_MAX,
  RESPONSES_PER_ATTESTATION_MAX,
  RESULT_BYTES_PER_ATTESTATION_MAX
} from "../../domain/limits.ts"

export interface BatchCost {
  readonly handles: number
  readonly resultBytes: number
  readonly callbackGas: number
}

/** In order. One alone that is dearer than the limits stands alone: the steps before see to it that there is none. */
export const fitBatches = <Result>(
  results: ReadonlyArray<Result>,
  costOf: (result: Result) => BatchCost
): ReadonlyArray<ReadonlyArray<Result>> => {
  const batches: Array<Array<Result>> = []
  let [open, bytes, gas] = [0, 0, 0]
  for (const result of results) {
    const { handles, resultBytes, callbackGas } = costOf(result)
    const last = batches.at(-1)
    const fits =
      last !== undefined &&
      last.length < RESPONSES_PER_ATTESTATION_MAX &&
      open + handles <= HANDLES_PER_ATTESTATION_MAX &&
      bytes + resultBytes <= RESULT_BYTES_PER_ATTESTATION_MAX &&
      gas + callbackGas <= CALLBACK_GAS_PER_ATTESTATION_MAX
    if (fits) last.push(result)
    else batches.push([result])
    open = fits ? open + handles : handles
    bytes = fits ? bytes + resultBytes : resultBytes
    gas = fits ? gas + callbackGas : callbackGas
  }
  return batches
}
