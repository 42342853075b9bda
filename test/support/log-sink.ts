/** Collects what a program logs instead of printing it, so that a test can look for what must not be there. */
import { type Layer, Logger } from "effect"

export interface LogSink {
  readonly layer: Layer.Layer<never>
  /** Everything logged so far, as text: messages, annotations and causes. */
  readonly text: () => string
}

export const logSink = (): LogSink => {
  const lines: Array<string> = []
  const sink = Logger.map(Logger.formatJson, (line) => {
    lines.push(line)
  })
  return { layer: Logger.layer([sink]), text: () => lines.join("\n") }
}
