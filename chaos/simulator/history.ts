/** What happened in one simulated history, in order: the lines of the trace, a digest that is the same exactly when the histories are the
 * same, what was injected, and which rare things were seen at all. */
import { createHash } from "node:crypto"
import type { EventLoop } from "./event-loop.ts"

/** Rare things that a campaign must have seen at least once (Antithesis calls them `sometimes`): a fault that never bites tests nothing. */
export const SOMETIMES = [
  "lease taken over",
  "leader for longer than a lease",
  "stale write refused",
  "answer from the ledger lost after its commit",
  "reorg seen",
  "request moved to another block",
  "request orphaned",
  "result reorganised away",
  "share liar found",
  "attestation liar found",
  "node asked beyond the threshold",
  "nonce replaced",
  "lane forgot what was final",
  "transaction forgotten by the pool",
  "chain stood still",
  "broadcast already known",
  "nonce already used",
  "message lost and resent",
  "message delivered twice",
  "verdict on a message lost",
  "bus rolled back",
  "bus wiped",
  "duplicate effect refused",
  "process killed with work under way",
  "frozen process woke up",
  "clock skewed",
  "object store failed",
  "endpoint lagged",
  "endpoint on a branch that was left",
  "standby promoted",
  "request refused",
  "request expired",
  "batch of several results"
] as const
export type SometimesName = (typeof SOMETIMES)[number]

export interface HistoryLine {
  readonly atMs: number
  readonly who: string
  readonly what: string
}

export class History {
  private readonly loop: EventLoop
  private readonly startMs: number
  private readonly hash = createHash("sha256")
  private digested: string | undefined
  readonly lines: Array<HistoryLine> = []
  readonly seen = new Map<SometimesName, number>()
  /** Faults that no verb names: those that the simulator places by itself. */
  readonly injectedBesides = new Map<string, number>()

  constructor(loop: EventLoop) {
    this.loop = loop
    this.startMs = loop.nowMs
  }

  onLine: (line: HistoryLine) => void = () => undefined

  tell(who: string, what: string): void {
    const line = { atMs: this.loop.nowMs - this.startMs, who, what }
    this.lines.push(line)
    this.onLine(line)
    this.hash.update(`${this.loop.nowMicros} ${who} ${what}\n`)
  }

  sometimes(name: SometimesName): void {
    this.seen.set(name, (this.seen.get(name) ?? 0) + 1)
  }

  inject(fault: string, detail: string): void {
    this.injectedBesides.set(fault, (this.injectedBesides.get(fault) ?? 0) + 1)
    this.tell("faults", `${fault} ${detail}`)
  }

  get digest(): string {
    return (this.digested ??= this.hash.digest("hex"))
  }
}
