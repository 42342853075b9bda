/**
 * The tables as kysely sees them, for the questions asked in its words. The migrations are the truth; the laws show when these
 * differ.
 */
import type { Generated } from "kysely"
import type { Hex } from "../../domain/hex.ts"

export interface Tables {
  readonly request: {
    readonly request_id: Hex
    readonly number: Generated<bigint>
    readonly kind: "public" | "user"
    readonly handles: ReadonlyArray<Hex>
    readonly partition: number
    readonly state: string
    readonly version: number
    readonly detected_at: Date
    readonly ended_at: Date | null
  }
  readonly transition: {
    readonly request_number: bigint
    readonly request_id: Hex
    readonly seq: number
    readonly from_state: string | null
    readonly to_state: string
    readonly event: unknown
    readonly at: Date
    readonly worker: string
    readonly lease_epoch: bigint
    readonly hash: Hex
  }
  readonly wake: {
    readonly request_id: Hex
    readonly partition: number
    readonly version: number
    readonly due: Date
    readonly claims: number
    readonly reason: string | null
  }
  readonly signal: {
    readonly signal_id: Generated<bigint>
    readonly request_id: Hex
    readonly partition: number
    readonly subject: string
    readonly event: unknown
  }
  readonly lease: {
    readonly name: string
    readonly owner: string | null
    readonly epoch: bigint
    readonly until: Date
  }
  readonly evidence: {
    readonly evidence_id: Generated<bigint>
    readonly request_id: Hex
    readonly node_id: number
    readonly file: unknown
    readonly at: Date
  }
  readonly end_tally: {
    readonly tally_id: Generated<bigint>
    readonly state: string
    readonly n: bigint
  }
  readonly chain_cursor: {
    readonly chain_id: bigint
    readonly block_number: bigint
    readonly block_hash: Hex
    readonly parent_hash: Hex
  }
  readonly chain_block: {
    readonly chain_id: bigint
    readonly block_hash: Hex
    readonly block_number: bigint
    readonly parent_hash: Hex
    readonly is_canonical: boolean
  }
}
