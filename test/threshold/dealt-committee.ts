/** A committee whose shares we hold, so that tests can be every node at once. */
import { randomBytes } from "node:crypto"
import { dealKey, type DealtKey } from "../../src/threshold/deal.ts"
import type { Bls12381Engine, G1Point } from "../../src/threshold/engine.ts"
import { hashIdentity, identityBytes } from "../../src/threshold/identity.ts"
import { makeShare } from "../../src/threshold/share.ts"
import { readSharedKey, type SharedKey } from "../../src/threshold/shared-key.ts"
import type { NodeShare } from "../../src/threshold/combine.ts"

export interface DealtCommittee {
  readonly dealt: DealtKey
  readonly key: SharedKey
  readonly secretOf: (nodeId: number) => Uint8Array
  readonly sharesOf: (nodeIds: ReadonlyArray<number>, hashed: G1Point) => Array<NodeShare>
}

export const aCommittee = (engine: Bls12381Engine, threshold: number, nodes: number): DealtCommittee => {
  const dealt = dealKey(engine, { threshold, nodes })
  const secretOf = (nodeId: number) => dealt.shares[nodeId - 1]!.secret
  return {
    dealt,
    key: readSharedKey(engine, dealt),
    secretOf,
    sharesOf: (nodeIds, hashed) => nodeIds.map((nodeId) => ({ nodeId, share: makeShare(engine, secretOf(nodeId), hashed) }))
  }
}

export const someBytes = (length: number): Uint8Array => new Uint8Array(randomBytes(length))

export const anIdentity = (handle: Uint8Array = someBytes(32)): Uint8Array =>
  identityBytes({ chainId: 31_337n, registry: new Uint8Array(20).fill(7), handle })

export const aHashedIdentity = (engine: Bls12381Engine, { dealt }: DealtCommittee, identity = anIdentity()): G1Point =>
  hashIdentity(engine, dealt.publicKey, identity)

/** One bit of a copy turned over. */
export const flipBit = (bytes: Uint8Array, bit: number): Uint8Array => bytes.with(bit >> 3, bytes[bit >> 3]! ^ (1 << (bit & 7)))

export const shuffled = <Item>(items: ReadonlyArray<Item>): Array<Item> =>
  items
    .map((item) => ({ item, order: Math.random() }))
    .toSorted((left, right) => left.order - right.order)
    .map(({ item }) => item)
