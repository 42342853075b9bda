/**
 * The forms of JSON-RPC answers (Ethereum's Execution API), and nothing about what they say. An endpoint may answer anything:
 * what has not taken one of these forms is no answer, and must never be read as "none" or as zero.
 */
import { Schema, SchemaTransformation } from "effect"
import type { Hex } from "../../domain/hex.ts"

const LowerCase = Schema.declare((value): value is Hex => typeof value === "string")

const hexLike = (pattern: RegExp) =>
  Schema.String.check(Schema.isPattern(pattern)).pipe(
    Schema.decodeTo(
      LowerCase,
      SchemaTransformation.transform<Hex, string>({ decode: (text) => text.toLowerCase() as Hex, encode: (hex) => hex })
    )
  )

export const Bytes = hexLike(/^0x(?:[0-9a-fA-F]{2})*$/)
export const Hash = hexLike(/^0x[0-9a-fA-F]{64}$/)
export const Address = hexLike(/^0x[0-9a-fA-F]{40}$/)
const Bloom = hexLike(/^0x[0-9a-fA-F]{512}$/)

const QuantityText = Schema.String.check(Schema.isPattern(/^0x[0-9a-fA-F]{1,64}$/))

export const Quantity = QuantityText.pipe(
  Schema.decodeTo(
    Schema.BigInt,
    SchemaTransformation.transform<bigint, string>({ decode: BigInt, encode: (value) => `0x${value.toString(16)}` })
  )
)

/** A quantity that counts something: block numbers, nonces, seconds. */
export const Count = QuantityText.pipe(
  Schema.decodeTo(
    Schema.Int,
    SchemaTransformation.transform<number, string>({ decode: Number, encode: (value) => `0x${value.toString(16)}` })
  )
)

export const Block = Schema.Struct({
  number: Count,
  hash: Hash,
  parentHash: Hash,
  timestamp: Count,
  logsBloom: Bloom,
  gasLimit: Schema.optional(Quantity),
  /** Chains without EIP-1559 have none. */
  baseFeePerGas: Schema.optional(Quantity)
})

export const Log = Schema.Struct({
  address: Address,
  blockNumber: Count,
  blockHash: Hash,
  transactionHash: Hash,
  logIndex: Count,
  topics: Schema.Array(Hash),
  data: Bytes
})
export type Log = typeof Log.Type

export const Receipt = Schema.Struct({
  transactionHash: Hash,
  blockNumber: Count,
  blockHash: Hash,
  status: Count,
  gasUsed: Quantity,
  /** Chains without EIP-1559 may have none. */
  effectiveGasPrice: Schema.optional(Quantity),
  logs: Schema.Array(Log)
})
