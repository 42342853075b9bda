/** What a check of the doctor finds: one line for a person, with what to do about it where something is to be done. */
import { styleText } from "node:util"
import { Cause, Effect } from "effect"
import { sentenceOf } from "../run-command.ts"

export interface Finding {
  /** The part that was looked at: `database`, `kms 2`. */
  readonly part: string
  /** `warn`: it works, and somebody should look at it. */
  readonly status: "ok" | "warn" | "FAIL"
  readonly detail: string
  /** What to do; nothing for `ok`. */
  readonly advice?: string
}

export const ok = (part: string, detail: string): Finding => ({ part, status: "ok", detail })
export const warn = (part: string, detail: string, advice: string): Finding => ({ part, status: "warn", detail, advice })
export const fail = (part: string, detail: string, advice: string): Finding => ({ part, status: "FAIL", detail, advice })

/** A check hangs no longer than this: every question inside it has a shorter limit of its own. */
const CHECK_MS_MAX = 15_000

/** A check that fails, dies or hangs has found something too. */
export const checked = <E, R>(
  part: string,
  advice: string,
  check: Effect.Effect<ReadonlyArray<Finding>, E, R>
): Effect.Effect<ReadonlyArray<Finding>, never, R> =>
  check.pipe(
    Effect.timeoutOrElse({ duration: CHECK_MS_MAX, orElse: () => Effect.succeed([fail(part, `no answer within ${CHECK_MS_MAX} ms`, advice)]) }),
    Effect.catchCause((cause) => {
      const failure = cause.reasons.find(Cause.isFailReason)
      return Effect.succeed([fail(part, failure === undefined ? Cause.pretty(cause) : sentenceOf(failure.error), advice)])
    })
  )

const PART_WIDTH = 10
const COLOURS = { ok: "green", warn: "yellow", FAIL: "red" } as const

export const findingLines = ({ part, status, detail, advice }: Finding): ReadonlyArray<string> => [
  `${styleText(COLOURS[status], status.padEnd(4))}  ${part.padEnd(PART_WIDTH)}  ${detail}`,
  ...(advice === undefined ? [] : [`${" ".repeat(6 + PART_WIDTH)}  -> ${advice}`])
]

/** By how much another clock differs from ours, once the time that its answer took is allowed for. */
export const skewFinding = (part: string, detail: string, skewMs: number, bounds: { readonly warnMs: number; readonly failMs: number }): Finding => {
  const said = `${detail}, clock ${skewMs >= 0 ? "+" : "-"}${Math.round(Math.abs(skewMs))} ms`
  if (Math.abs(skewMs) >= bounds.failMs) return fail(part, said, "Clocks disagree: run NTP (chrony, systemd-timesyncd) on both machines.")
  return Math.abs(skewMs) >= bounds.warnMs ? warn(part, said, "Clocks drift apart: see that NTP runs on both machines.") : ok(part, said)
}
