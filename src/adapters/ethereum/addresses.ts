/** Where the contracts stand on a chain, and what is known about them before anybody is asked. */
import type { Hex } from "../../domain/hex.ts"

export interface Contracts {
  readonly chainId: bigint
  readonly decryptionGateway: Hex
  readonly accessList: Hex
  readonly ciphertextRegistry: Hex
  readonly committeeRegistry: Hex
  /** Nothing of interest happened before this block. */
  readonly startBlock: number
}
