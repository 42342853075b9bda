/**
 * Waits until the chain has a result. The contract's state is asked; events only say when to look, so a missed one costs a
 * moment.
 */
import { scheduler } from "node:timers/promises"
import { SocketProvider, type EventFilter, type Log } from "ethers"
import { fromHex, lower, type Hex } from "../domain/hex.ts"
import { resultHashOf } from "../domain/response.ts"
import { ChainUnreachable, ResultRejected } from "./client-errors.ts"
import { decodeResult } from "./decode-result.ts"
import { ask, asking, gatewayInterface, type Deployment } from "./deployment.ts"

export interface WaitOptions {
  /** Gives up after this. Default 120,000. */
  readonly timeoutMs?: number
  /** Looks this often. Default 1,000. */
  readonly pollMs?: number
  /** Blocks that must stand on the result, its own included. Default 1. */
  readonly confirmations?: number
  /** Where to look for events from; needed where endpoints refuse long ranges and this client did not raise the request. */
  readonly fromBlock?: number
  /** Aborting rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

export interface Fulfilled {
  readonly type: "fulfilled"
  readonly requestId: Hex
  /** abi.encode(bytes[]), compared with the hash that the contract recorded. */
  readonly result: Uint8Array
  /** One for each handle: the plaintexts of a public request, the encrypted keys of a user request. */
  readonly items: ReadonlyArray<Uint8Array>
  readonly txHash: Hex
  readonly blockNumber: number
}

/** Why a gateway does not answer, as the contracts see it. */
export type Denial =
  "handle-unknown" | "other-epoch" | "epoch-not-active" | "not-public" | "account-not-allowed" | "not-delegated" | "kind-unknown"

export type Waited =
  | Fulfilled
  /** Nothing yet; it may still come. `denial`: what the contracts have against it, where this client knows the request. */
  | { readonly type: "timed-out"; readonly requestId: Hex; readonly isKnown: boolean; readonly denial: Denial | undefined }
  /** Its deadline has passed: nothing will come. */
  | { readonly type: "expired"; readonly requestId: Hex; readonly denial: Denial | undefined }

/** What is known about a request beside its id. */
export interface Awaited {
  readonly requestId: Hex
  /** Unix seconds. */
  readonly deadline: number | undefined
  readonly handles: number | undefined
  readonly fromBlock: number
  readonly denial: () => Promise<Denial | undefined>
}

const TIMEOUT_MS = 120_000
const POLL_MS = 1_000
const STATUS_REQUESTED = 1n
const STATUS_FULFILLED = 2n
/** An endpoint may fail now and then; one that has failed this often in a row is reported. */
const FAILURES_MAX = 5

/** Rejects with `ResultRejected`, `ChainUnreachable` or the signal's reason. */
export const waitForResult = async (deployment: Deployment, awaited: Awaited, options: WaitOptions): Promise<Waited> => {
  const { requestId } = awaited
  const { timeoutMs = TIMEOUT_MS, pollMs = POLL_MS, confirmations = 1, signal } = options
  const timeout = AbortSignal.timeout(timeoutMs)
  const events = listen(deployment, requestId)
  let failures = 0
  let isKnown = false
  try {
    for (;;) {
      signal?.throwIfAborted()
      try {
        const [status] = await ask(deployment.gateway, "statusOf", requestId)
        isKnown = status === STATUS_REQUESTED || status === STATUS_FULFILLED
        if (status === STATUS_FULFILLED) {
          const found = await readResult(deployment, awaited, confirmations)
          if (found !== undefined) return found
        } else if (await isPast(deployment, awaited.deadline)) {
          return { type: "expired", requestId, denial: await awaited.denial() }
        }
        failures = 0
      } catch (error) {
        failures += 1
        if (!(error instanceof ChainUnreachable) || failures >= FAILURES_MAX) throw error
      }
      if (timeout.aborted) return { type: "timed-out", requestId, isKnown, denial: await awaited.denial() }
      await events.nextOr(pollMs, signal === undefined ? timeout : AbortSignal.any([timeout, signal]))
    }
  } finally {
    await events.stop()
  }
}

/**
 * The event's bytes, if the contract vouches for them. Undefined while the event is not there or too young (or has just been
 * reorganised away).
 */
const readResult = async (deployment: Deployment, awaited: Awaited, confirmations: number): Promise<Fulfilled | undefined> => {
  const { requestId } = awaited
  const log = await findLog(deployment, requestId, awaited.fromBlock)
  if (log === undefined) return undefined
  const head = await asking("read the block number", () => deployment.provider.getBlockNumber())
  if (head - log.blockNumber + 1 < confirmations) return undefined
  const result = fromHex(log.data)
  const [recorded] = await ask(deployment.gateway, "resultHashOf", requestId)
  // The contract keeps all but the last byte of the hash.
  if (lower(String(recorded)) !== resultHashOf(result).slice(0, -2)) {
    throw new ResultRejected({ requestId, reason: "not the result that the contract has recorded" })
  }
  const items = decodeResult(result)
  if (items === undefined) throw new ResultRejected({ requestId, reason: "not a list of items" })
  if (awaited.handles !== undefined && items.length !== awaited.handles) {
    throw new ResultRejected({ requestId, reason: "another number of items than handles" })
  }
  return { type: "fulfilled", requestId, result, items, txHash: lower(log.transactionHash), blockNumber: log.blockNumber }
}

const filterOf = ({ addresses }: Deployment, requestId: Hex) =>
  ({
    address: addresses.gateway,
    topics: [gatewayInterface.getEvent("DecryptionFulfilled")!.topicHash, requestId]
  }) satisfies EventFilter

const findLog = async (deployment: Deployment, requestId: Hex, fromBlock: number): Promise<Log | undefined> => {
  const filter = { ...filterOf(deployment, requestId), fromBlock, toBlock: "latest" }
  const [log] = await asking("find the result", () => deployment.provider.getLogs(filter))
  return log
}

/** By the chain's clock, as the contract reads it. */
const isPast = async ({ provider }: Deployment, deadline: number | undefined): Promise<boolean> => {
  if (deadline === undefined) return false
  const block = await asking("read the latest block", () => provider.getBlock("latest"))
  return block !== null && block.timestamp > deadline
}

/** Only a socket tells us of events by itself; over HTTP a subscription would be another poll. */
const listen = ({ provider, ...deployment }: Deployment, requestId: Hex) => {
  let wake = () => {}
  const onEvent = () => wake()
  const filter = filterOf({ provider, ...deployment }, requestId)
  const isPushed = provider instanceof SocketProvider
  if (isPushed) void provider.on(filter, onEvent).catch(() => {})
  return {
    /** Returns at the next event, after `ms`, or when the signal is aborted: never rejects. */
    nextOr: async (ms: number, signal: AbortSignal): Promise<void> => {
      const woken = new AbortController()
      wake = () => woken.abort()
      await scheduler.wait(ms, { signal: AbortSignal.any([signal, woken.signal]) }).catch(() => {})
    },
    stop: async (): Promise<void> => {
      if (!isPushed) return
      await provider.off(filter, onEvent).catch(() => {})
      // ethers says `eth_unsubscribe` without waiting for the answer: a socket that is closed meanwhile would reject where
      // nobody listens.
      await provider.send("eth_chainId", []).catch(() => {})
    }
  }
}
