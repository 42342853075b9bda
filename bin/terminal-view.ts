/** The journey as lines on a terminal: one line for each fact, a colour for each request's end, widths that stay put. */
import { styleText } from "node:util"
import { isEnd, JOURNEY } from "../src/domain/journey.ts"
import type { FactReached } from "../src/telemetry/telemetry.port.ts"

const WIDTH = Math.max(...JOURNEY.map((milestone) => milestone.length))

/** `   1.2 s  0x3f9a…c2  public  ●●●○○○  ciphertext-fetched` and what there is to know about it. */
export const factLine = (fact: FactReached, sinceStartMs: number): string => {
  const time = `${(sinceStartMs / 1_000).toFixed(2).padStart(7)} s`
  const id = `${fact.requestId.slice(0, 8)}…${fact.requestId.slice(-4)}`
  const took = fact.from === null ? "" : styleText("dim", `+${fact.sinceDetectedMs} ms`)
  return [styleText("dim", time), id, fact.kind.padEnd(6), progress(fact), colour(fact, fact.to.padEnd(WIDTH)), detail(fact), took].join("  ")
}

const progress = ({ to }: FactReached): string => {
  if (to === "finalized") return styleText("green", "●".repeat(JOURNEY.length))
  if (isEnd(to)) return styleText("yellow", "×".padEnd(JOURNEY.length))
  const reached = JOURNEY.indexOf(to) + 1
  return styleText("cyan", "●".repeat(reached)) + styleText("dim", "○".repeat(JOURNEY.length - reached))
}

const colour = ({ to }: FactReached, text: string): string => {
  if (to === "finalized") return styleText("green", text)
  if (to === "halted") return styleText("red", text)
  return isEnd(to) ? styleText("yellow", text) : text
}

/** The evidence that a person wants to see at a glance. */
const detail = ({ event }: FactReached): string => {
  switch (event.type) {
    case "detected":
      return `block ${event.blockNumber}`
    case "acl-checked":
      return `allowed at block ${event.block.blockNumber}`
    case "ciphertext-fetched":
      return `${event.digests.length} ciphertext${event.digests.length === 1 ? "" : "s"}, digest right`
    case "shares-collected":
      return `from nodes ${event.nodes.join(", ")}`
    case "threshold-verified":
      return event.liars.length === 0 ? `attested under ${event.root.slice(0, 10)}…` : `node ${event.liars.join(", ")} lied; attested all the same`
    case "submitted":
      return `tx ${event.txHash.slice(0, 10)}… in block ${event.block.blockNumber}`
    case "finalized":
      return `block ${event.block.blockNumber} is final`
    case "refused":
    case "halted":
      return `${event.reason}: ${event.detail}`
    case "expired":
      return event.detail
    case "orphaned":
      return `block ${event.block.blockNumber} left the chain`
    case "moved":
      return `now in block ${event.anchor.blockNumber}`
    case "cancelled":
      return `by ${event.by}: ${event.why}`
    case "result-lost":
      return "the result is made again"
    case "redriven":
      return `redriven by ${event.by}: ${event.why}`
  }
}
