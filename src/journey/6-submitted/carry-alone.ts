/** threshold-verified -> submitted, where one transaction cannot carry a whole batch: each result goes alone, with the proof that it stands under the
 * attested root, so that what is wrong with one of them does not keep the others from the chain. */
import type { Hex } from "../../domain/hex.ts"
import type { RequestId } from "../../domain/request.ts"
import type { AttestedBatch } from "../../domain/response.ts"
import { partsOf } from "../../threshold/part-of-batch.ts"
import type { RequestStatus } from "./result-contract.port.ts"

/** What the contract says of an attestation it says to each result under it: alone they would fare no better, and cost more. */
const ABOUT_THE_ATTESTATION: ReadonlySet<string> = new Set([
  "AttestationExpired",
  "EpochNotActive",
  "InvalidAttestation",
  "ResponseCountMismatch",
  "RootMismatch"
])

export const isAboutAttestation = (reason: string): boolean => ABOUT_THE_ATTESTATION.has(reason)

export interface CarriedAlone {
  readonly name: Hex
  readonly requestId: RequestId
  /** The contract still waits for it, and so does somebody here. */
  readonly isWanted: boolean
}

/** None where the batch cannot be taken apart. `statuses` are those of its responses, in their order. */
export const carryAlone = (
  batch: AttestedBatch,
  statuses: ReadonlyArray<RequestStatus>,
  asked: ReadonlyArray<RequestId>
): ReadonlyArray<CarriedAlone> =>
  partsOf(batch).map(({ name, requestId }, index) => ({
    ...{ name, requestId },
    isWanted: statuses[index] === "requested" && asked.includes(requestId)
  }))
