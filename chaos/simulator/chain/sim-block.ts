/** What a simulated chain is made of: blocks that never change, each with the whole state after it, so that any endpoint can look from any
 * block and a reorganisation is nothing but another head. */
import { hash } from "node:crypto"
import type { Hex } from "../../../src/domain/hex.ts"
import type { BlockRef } from "../../../src/domain/outcome.ts"
import type { DecryptionRequest, RequestId } from "../../../src/domain/request.ts"
import type { Fees, Mined } from "../../../src/journey/6-submitted/result-contract.port.ts"

export interface RequestOnChain {
  readonly facts: DecryptionRequest
  readonly fulfilled: Mined | undefined
}

/** Somebody asks for a decryption. */
export interface RequestTx {
  readonly type: "request"
  readonly id: RequestId
  readonly facts: DecryptionRequest
}

/** An owner gives or takes back a permission: `public <handle>` or `<account> <handle>`. */
export interface PermitTx {
  readonly type: "permit"
  readonly key: string
  readonly isAllowed: boolean
}

/** A fulfilment, or whatever else a sending account signed. Its bytes are JSON, and nobody checks a signature: who has them has sent them. */
export interface LaneTx {
  readonly type: "lane"
  readonly hash: Hex
  readonly rawTx: Hex
  readonly chainId: bigint
  readonly from: Hex
  readonly to: Hex
  readonly nonce: number
  readonly gasLimit: bigint
  readonly fees: Fees
  /** Undefined for a transfer: it only uses up the nonce. */
  readonly fulfilment: Fulfilment | undefined
}

export interface Fulfilment {
  readonly root: Hex
  readonly count: number
  readonly epoch: number
  readonly expiry: number
  readonly attestation: Hex
  readonly responses: ReadonlyArray<{ readonly requestId: RequestId; readonly result: Hex }>
  /** Only of one response: from its leaf up to the root. */
  readonly proof?: ReadonlyArray<Hex>
}

export type Tx = RequestTx | PermitTx | LaneTx

export interface ChainState {
  readonly requests: ReadonlyMap<RequestId, RequestOnChain>
  readonly nonces: ReadonlyMap<Hex, number>
  readonly permissions: ReadonlySet<string>
  readonly mined: ReadonlyMap<Hex, Mined>
  /** Wei that each account has paid for gas. */
  readonly spent: ReadonlyMap<Hex, bigint>
}

export interface SimBlock {
  readonly number: number
  readonly hash: Hex
  readonly parentHash: Hex
  /** Unix seconds. */
  readonly timestamp: number
  readonly parent: SimBlock | undefined
  readonly baseFee: bigint
  readonly txs: ReadonlyArray<Tx>
  /** Requests that were opened in it, in log order. */
  readonly opened: ReadonlyArray<RequestTx>
  /** Every fulfilment that took effect in it. */
  readonly effects: ReadonlyArray<{ readonly requestId: RequestId; readonly txHash: Hex; readonly from: Hex; readonly result: Hex }>
  readonly state: ChainState
}

export const sha256Hex = (text: string): Hex => `0x${hash("sha256", text, "hex")}`

export const refOf = ({ number, hash: blockHash }: SimBlock): BlockRef => ({ blockNumber: number, blockHash })

/** The block at this height below `head`, or undefined above it. */
export const ancestorAt = (head: SimBlock, number: number): SimBlock | undefined => {
  if (number > head.number || number < 0) return undefined
  let block: SimBlock | undefined = head
  while (block !== undefined && block.number > number) block = block.parent
  return block
}

export const encodeLaneTx = (tx: Omit<LaneTx, "hash" | "rawTx" | "type">): { readonly rawTx: Hex; readonly txHash: Hex } => {
  const { maxFeePerGas, maxPriorityFeePerGas } = tx.fees
  const text = JSON.stringify({ ...tx, numbers: [tx.chainId, tx.gasLimit, maxFeePerGas, maxPriorityFeePerGas].map(String) }, withoutBigints)
  const rawTx: Hex = `0x${Buffer.from(text).toString("hex")}`
  return { rawTx, txHash: sha256Hex(rawTx) }
}

export const decodeLaneTx = (rawTx: Hex): LaneTx => {
  const { numbers, ...tx } = JSON.parse(Buffer.from(rawTx.slice(2), "hex").toString()) as Omit<LaneTx, "fees" | "chainId" | "gasLimit"> & {
    readonly numbers: readonly [string, string, string, string]
  }
  const [chainId, gasLimit, maxFeePerGas, maxPriorityFeePerGas] = numbers.map(BigInt) as [bigint, bigint, bigint, bigint]
  return { ...tx, type: "lane", hash: sha256Hex(rawTx), rawTx, chainId, gasLimit, fees: { maxFeePerGas, maxPriorityFeePerGas } }
}

const withoutBigints = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? undefined : value)
