/** The name of one encrypted value on chain (protocol.md section 3). */
import { addressWord, bytes32Word, keccak, keccakText, uintWord } from "./abi-words.ts"
import type { Hex } from "./hex.ts"

export type Handle = Hex

const TAG = keccakText("portcullis/native/v1/handle")

/** Bound to its owner, so that nobody else can register it first. */
export const handleOf = (of: { readonly chainId: bigint; readonly registry: Hex; readonly owner: Hex; readonly salt: Hex }): Handle =>
  keccak(bytes32Word(TAG), uintWord(of.chainId), addressWord(of.registry), addressWord(of.owner), bytes32Word(of.salt))
