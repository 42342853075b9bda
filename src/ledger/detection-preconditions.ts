/** What a caller of DetectionLedger must not get wrong, whatever keeps the ledger: each is a mistake of ours, found before anything is written. */
import assert from "node:assert/strict"
import type { DetectionLedger } from "./detection-ledger.port.ts"

type Found = Parameters<DetectionLedger["Service"]["birthMissed"]>[0]
type Step = Parameters<DetectionLedger["Service"]["advance"]>[0]

export const checkFound = ({ chainId, on, requests }: Found): void => {
  assert(
    requests.every(({ anchor, facts }) => anchor.blockNumber <= on.number && facts.chainId === chainId),
    "requests stand in the block that is named, or below it"
  )
  assert(new Set(requests.map(({ id }) => id)).size === requests.length, "a request is found once")
}

export const checkStep = ({ blocks, ancestor, requests, chainId }: Step): void => {
  assert(
    blocks.every((block, index) => block.number > (blocks[index - 1]?.number ?? ancestor)),
    "blocks ascend from the ancestor"
  )
  const hashes = new Set(blocks.map((block) => block.hash))
  assert(
    requests.every((request) => hashes.has(request.anchor.blockHash) && request.facts.chainId === chainId),
    "requests stand in the blocks of their step"
  )
  assert(new Set(requests.map((request) => request.id)).size === requests.length, "a request is seen once in a step")
}
