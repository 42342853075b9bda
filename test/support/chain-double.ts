/** A chain in memory, as a KMS node sees it: for tests of nodes that need no EVM. Held to the same laws as the real one. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { Effect, Layer } from "effect"
import type { Committee } from "../../src/domain/committee.ts"
import { type Handle, handleOf } from "../../src/domain/handle.ts"
import { type Hex, toHex } from "../../src/domain/hex.ts"
import { type DecryptionRequest, requestIdOf, type RequestId, ZERO_ADDRESS } from "../../src/domain/request.ts"
import { ChainViewUnavailable, type Denial, type Inspection, NodeChainView } from "../../src/kms-node/node-chain-view.port.ts"
import { type ChainWorld, REQUEST_LIFETIME_SECONDS, type View } from "./chain-world.ts"

const random = (bytes: number): Hex => toHex(randomBytes(bytes))
const CONFIRMATIONS = 2

/** What is true since a block, oldest first. */
interface Since<T> {
  readonly block: number
  readonly value: T
}

interface Deed {
  readonly block: number
  readonly status: "requested" | "fulfilled"
}

export interface ChainDouble extends ChainWorld {
  readonly chainId: bigint
  /** Unix seconds of the newest block. */
  readonly now: () => number
  /** While true, nobody can reach the chain. */
  readonly breakDown: (isDown: boolean) => void
  /** How often it was asked about a request. */
  readonly inspections: () => number
  readonly layer: Layer.Layer<NodeChainView>
}

export const chainDouble = (committee: Committee, nowSeconds = 1_800_000_000): ChainDouble => {
  const chainId = 31_337n
  const [gateway, registry, owner, requester] = [random(20), random(20), random(20), random(20)]
  const digests = new Map<Handle, Hex>()
  const permissions = new Map<string, Since<boolean>>()
  const deeds = new Map<RequestId, Array<Deed>>()
  let block = 1
  let time = nowSeconds
  let isRetired = false
  let isDown = false
  let inspections = 0

  const handleFor = (salt: Hex) => handleOf({ chainId, registry, owner, salt })
  const mine = async (blocks: number) => {
    block += blocks
    time += blocks
  }
  const holds = (key: string, at: number): boolean => {
    const since = permissions.get(key)
    return since !== undefined && since.block <= at && since.value
  }
  const statusAt = (id: RequestId, at: number) => (deeds.get(id) ?? []).findLast((deed) => deed.block <= at)?.status

  const denialOf = (request: DecryptionRequest, at: number): Denial | undefined => {
    if (isRetired || request.epoch !== committee.epoch) return "epoch-retired"
    if (request.kind === "user" && request.account !== request.requester) return "not-delegated"
    for (const handle of request.handles) {
      if (!digests.has(handle)) return "unknown-request"
      if (request.kind === "public" && !holds(`public ${handle}`, at)) return "not-public"
      if (request.kind === "user" && !holds(`${request.account} ${handle}`, at)) return "not-allowed"
    }
    return undefined
  }

  const inspectAt = (request: DecryptionRequest, at: number): Inspection => {
    const id = requestIdOf(request)
    return {
      status: statusAt(id, at) ?? (statusAt(id, block) === undefined ? "unknown" : "unsettled"),
      isExpired: time > request.deadline,
      denial: denialOf(request, at),
      digests: request.handles.map((handle) => digests.get(handle))
    }
  }

  const viewUnder = (confirmations: number): View => ({
    chainId,
    gateway,
    registry,
    inspect: (request) =>
      Effect.suspend(() => {
        inspections += 1
        if (isDown) return Effect.fail(new ChainViewUnavailable({ doing: "inspect", cause: "cut off" }))
        return Effect.succeed(inspectAt(request, block - confirmations))
      }),
    committee: (epoch) =>
      Effect.suspend(() => {
        if (isDown) return Effect.fail(new ChainViewUnavailable({ doing: "committee", cause: "cut off" }))
        return Effect.succeed(epoch === committee.epoch ? committee : undefined)
      })
  })

  const permit = async (key: string) => {
    await mine(1)
    permissions.set(key, { block, value: true })
  }
  const make = async (request: DecryptionRequest) => {
    await mine(1)
    deeds.set(requestIdOf(request), [{ block, status: "requested" }])
    return request
  }
  const common = () => ({
    chainId,
    gateway,
    requester,
    epoch: committee.epoch,
    deadline: time + REQUEST_LIFETIME_SECONDS,
    callbackGas: 0,
    salt: random(32)
  })
  const view = viewUnder(0)

  return {
    chainId,
    view,
    settledView: viewUnder(CONFIRMATIONS),
    committee,
    owner,
    requester,
    layer: Layer.succeed(NodeChainView, view),
    now: () => time,
    breakDown: (down) => {
      isDown = down
    },
    inspections: () => inspections,
    mine,
    pass: async (seconds) => {
      time += seconds
      await mine(1)
    },
    handleFor,
    register: async (salt, digest) => {
      const handle = handleFor(salt)
      digests.set(handle, digest)
      await mine(1)
      return handle
    },
    allowPublic: (handle) => permit(`public ${handle}`),
    allow: (handle, account) => permit(`${account} ${handle}`),
    requestPublic: (handles) => make({ ...common(), kind: "public", account: ZERO_ADDRESS, handles, transportKey: "0x" }),
    requestUser: ({ handles, account, transportKey }) =>
      make({ ...common(), kind: "user", account: account ?? requester, handles, transportKey }),
    fulfil: async (request) => {
      const known = deeds.get(requestIdOf(request))
      assert(known !== undefined, "only a request that was made is fulfilled")
      await mine(1)
      known.push({ block, status: "fulfilled" })
    },
    retireEpoch: async () => {
      isRetired = true
      await mine(1)
    }
  }
}
