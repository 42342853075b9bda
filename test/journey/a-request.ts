/** Requests, records and committees for tests of single steps: well-formed, and otherwise of no meaning. */
import { randomBytes } from "node:crypto"
import type { Committee } from "../../src/domain/committee.ts"
import { toHex, type Hex } from "../../src/domain/hex.ts"
import type { BlockRef } from "../../src/domain/outcome.ts"
import { requestIdOf, ZERO_ADDRESS, type Anchor, type DecryptionRequest, type RequestId } from "../../src/domain/request.ts"

export const someHex = (bytes: number): Hex => toHex(randomBytes(bytes))

export const aRequest = (of: Partial<DecryptionRequest> = {}): DecryptionRequest => ({
  chainId: 31_337n,
  gateway: `0x${"6a".repeat(20)}`,
  kind: "public",
  requester: someHex(20),
  account: ZERO_ADDRESS,
  epoch: 1,
  deadline: 2_000_000_000,
  callbackGas: 0,
  salt: someHex(32),
  handles: [someHex(32)],
  transportKey: "0x",
  ...of
})

export const aDetected = (
  of: Partial<DecryptionRequest> = {}
): { readonly id: RequestId; readonly facts: DecryptionRequest; readonly anchor: Anchor } => {
  const facts = aRequest(of)
  return { id: requestIdOf(facts), facts, anchor: { blockNumber: 7, blockHash: someHex(32), logIndex: 0 } }
}

export const aBlock = (blockNumber = 42): BlockRef => ({ blockNumber, blockHash: someHex(32) })

/** Keys are random bytes: for steps that never look into them. */
export const aCommitteeRecord = (threshold: number, nodes: number, of: Partial<Committee> = {}): Committee => ({
  epoch: 1,
  suiteId: someHex(32),
  threshold,
  nodes: Array.from({ length: nodes }, (_, index) => ({
    id: index + 1,
    identity: someHex(20),
    endpoint: `127.0.0.1:${7_001 + index}`,
    decryptionKey: someHex(96),
    attestationKey: someHex(96)
  })),
  decryptionKey: someHex(96),
  attestationKey: someHex(96),
  scheme: "bls",
  isRetired: false,
  ...of
})
