/** What gateway nodes say while they work: lines of the history, and the rare things that a campaign must have seen. */
import { Layer } from "effect"
import { Telemetry, type CounterName } from "../../src/telemetry/telemetry.port.ts"
import type { History, SometimesName } from "./history.ts"

const RARE: Partial<Record<CounterName, SometimesName>> = {
  stale_decisions: "stale write refused",
  lane_history_forgotten: "lane forgot what was final",
  work_resent: "message lost and resent",
  wrong_shares: "share liar found",
  hedged_asks: "node asked beyond the threshold"
}

export interface Alarm {
  readonly node: string
  readonly what: string
}

/** `died`: defects of ours, which nothing that we inject excuses. */
export const simTelemetry = (node: string, history: History, died: Array<Alarm>) =>
  Layer.succeed(Telemetry, {
    reached: ({ requestId, from, to, version }) => {
      if (to === "refused") history.sometimes("request refused")
      if (to === "expired") history.sometimes("request expired")
      if (to === "orphaned") history.sometimes("request orphaned")
      history.tell(node, `${requestId.slice(0, 10)} ${from ?? "new"} -> ${to} (${version})`)
    },
    step: () => undefined,
    count: (name, by = 1) => {
      const rare = RARE[name]
      if (rare !== undefined && by > 0) history.sometimes(rare)
    },
    gauge: () => undefined,
    shareReply: () => undefined,
    info: () => undefined,
    warn: (what, data) => {
      history.tell(node, `warns: ${what} ${JSON.stringify(data)}`)
    },
    error: (what, data) => {
      history.tell(node, `pages: ${what} ${JSON.stringify(data)}`)
      if ("defect" in data || what.includes("died") || what.includes("cannot be decided")) died.push({ node, what: `${what} ${JSON.stringify(data)}` })
    }
  })
