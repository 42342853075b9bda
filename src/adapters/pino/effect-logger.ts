/** What adapters say through Effect's own logger goes the way of everything else that is said: redacted, one line of JSON, counted. */
import { Cause, Effect, Layer, Logger } from "effect"
import type { LogData, Scalar } from "../../telemetry/telemetry.port.ts"
import { Telemetry } from "../../telemetry/telemetry.port.ts"

/** Replaces Effect's console logger for everything built on top of it. */
export const effectLoggerLayer: Layer.Layer<never, never, Telemetry> = Layer.unwrap(
  Effect.map(Telemetry, (telemetry) =>
    Logger.layer([
      Logger.make(({ message, logLevel, cause }) => {
        const { what, data } = saidIn(message, cause)
        if (logLevel === "Error" || logLevel === "Fatal") telemetry.error(what, data)
        else if (logLevel === "Warn") telemetry.warn(what, data)
        else if (logLevel === "Info") telemetry.info(what, data)
      })
    ])
  )
)

/** The first text is what is said; scalars of objects beside it are its data; of a cause only the kinds of failure are told. */
const saidIn = (message: unknown, cause: Cause.Cause<unknown>): { readonly what: string; readonly data: LogData } => {
  const parts = Array.isArray(message) ? (message as ReadonlyArray<unknown>) : [message]
  const what = parts.find((part) => typeof part === "string") ?? "said without words"
  const data: Record<string, Scalar> = {}
  for (const part of parts) {
    if (typeof part !== "object" || part === null) continue
    for (const [name, value] of Object.entries(part)) if (isScalar(value)) data[name] = value
  }
  if (cause.reasons.length > 0) data["cause"] = cause.reasons.map(nameOf).join(", ")
  return { what, data }
}

const isScalar = (value: unknown): value is Scalar => value === null || ["string", "number", "boolean"].includes(typeof value)

const nameOf = (reason: Cause.Reason<unknown>): string => {
  const thrown = Cause.isFailReason(reason) ? reason.error : Cause.isDieReason(reason) ? reason.defect : undefined
  if (thrown === undefined) return "interrupted"
  return thrown instanceof Error ? thrown.name : typeof thrown
}
