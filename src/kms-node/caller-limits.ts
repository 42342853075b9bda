/**
 * How much of a node's time one caller may take: a bucket of handles that refills with time, and a number of calls at once. Pure:
 * time comes in as an argument. A caller that nobody has heard of for long is forgotten.
 */
import assert from "node:assert/strict"

export interface CallerLimitOptions {
  /** Handles per second, in the long run. */
  readonly handlesPerSecond: number
  /** Handles at once after a silence; at least what one call may cost. */
  readonly handlesBurst: number
  readonly concurrentCalls: number
}

/** About what one core derives with the fast engine; 32 results of 32 handles are the dearest call. */
export const CALLER_LIMITS: CallerLimitOptions = { handlesPerSecond: 1_500, handlesBurst: 3_000, concurrentCalls: 512 }

/**
 * Callers that are remembered: certificates of the operator's own authority, so few; the bound is against a flood of plaintext
 * peers.
 */
const CALLERS_MAX = 1_024
/** When too many calls are open at once: about how long one takes. */
const BUSY_RETRY_MS = 50

interface Account {
  handles: number
  atMs: number
  calls: number
}

export type Admission = { readonly release: () => void } | { readonly retryAfterMs: number }

export const callerLimits = (options: CallerLimitOptions) => {
  assert(options.handlesPerSecond > 0 && options.handlesBurst > 0 && options.concurrentCalls > 0, "limits are positive")
  const accounts = new Map<string, Account>()

  const forgetOne = (): void => {
    for (const [caller, account] of accounts) {
      if (account.calls > 0) continue
      accounts.delete(caller)
      return
    }
  }

  const accountOf = (caller: string, nowMs: number): Account | undefined => {
    const known = accounts.get(caller)
    if (known !== undefined) {
      accounts.delete(caller) // to the end: the first one is the longest silent
      accounts.set(caller, known)
      return known
    }
    if (accounts.size >= CALLERS_MAX) forgetOne()
    if (accounts.size >= CALLERS_MAX) return undefined
    const account = { handles: options.handlesBurst, atMs: nowMs, calls: 0 }
    accounts.set(caller, account)
    return account
  }

  /**
   * `handles` is what the call will cost. A call dearer than the burst is paid from a full bucket, so that it is not refused for
   * ever.
   */
  return (caller: string, handles: number, nowMs: number): Admission => {
    const account = accountOf(caller, nowMs)
    if (account === undefined || account.calls >= options.concurrentCalls) return { retryAfterMs: BUSY_RETRY_MS }
    const refilled = account.handles + (Math.max(0, nowMs - account.atMs) * options.handlesPerSecond) / 1_000
    account.handles = Math.min(options.handlesBurst, refilled)
    account.atMs = nowMs
    const cost = Math.min(Math.max(1, handles), options.handlesBurst)
    if (account.handles < cost) {
      return { retryAfterMs: Math.ceil(((cost - account.handles) * 1_000) / options.handlesPerSecond) }
    }
    account.handles -= cost
    account.calls += 1
    let isOpen = true
    return {
      release: () => {
        if (isOpen) account.calls -= 1
        isOpen = false
      }
    }
  }
}
