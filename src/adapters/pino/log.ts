/**
 * One line of JSON for each thing said, through pino. Everything passes the redaction first. Writing never blocks and never
 * fails the gateway: what a full disk or a stopped reader cannot take is dropped and counted, within a bounded buffer.
 */
import { Effect, Schema, type Scope } from "effect"
import { openSync } from "node:fs"
import { type DestinationStream, pino, stdTimeFunctions } from "pino"
import type { Fate } from "../../domain/fate.ts"
import { redact, redactText } from "../../telemetry/redaction.ts"
import type { LogData } from "../../telemetry/telemetry.port.ts"

export type LogLevel = "info" | "warn" | "error"

export interface Log {
  readonly write: (level: LogLevel, what: string, data: LogData) => void
}

export interface LogOptions {
  /** The least important level that is written. */
  readonly level: "debug" | LogLevel | "silent"
  readonly to: "stdout" | "stderr" | { readonly path: string } | { readonly write: (line: string) => void }
  /** Stands on every line, for example which worker is speaking. */
  readonly always?: LogData
  /** Something was not written. */
  readonly onDropped: (count: number) => void
}

/** The log file cannot be opened for appending. Nothing was written; an operator must name another or mend the folder. */
export class LogNotOpened extends Schema.TaggedError<LogNotOpened>()("LogNotOpened", {
  path: Schema.String,
  code: Schema.String
}) {
  readonly fate: Fate = "halt"
  override get message() {
    return `the log file ${this.path} cannot be opened: ${this.code}`
  }
}

/** What may wait for a slow reader: about 30,000 lines, some seconds at full load. */
const WAITING_BYTES_MAX = 8 * 1024 * 1024
/** A shutdown does not wait longer for a reader that has stopped. */
const END_TIMEOUT_MS = 2_000

/** Lines that wait are written before the scope closes. */
export const openLog = Effect.fnUntraced(function* (options: LogOptions): Effect.fn.Return<Log, LogNotOpened, Scope.Scope> {
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) }
    },
    yield* destination(options)
  )
  const always = redact(options.always ?? {}).data
  return {
    write: (level, what, data) => {
      if (!logger.isLevelEnabled(level)) return
      const { data: kept, dropped } = redact(data)
      if (dropped > 0) options.onDropped(dropped)
      const text = typeof what === "string" ? redactText(what) : "[not a text]"
      logger[level]({ ...always, ...kept, ...(dropped > 0 ? { dropped } : {}) }, text)
    }
  }
})

const destination = Effect.fnUntraced(function* ({ to, onDropped }: LogOptions) {
  if (typeof to === "object" && "write" in to) return to satisfies DestinationStream
  return yield* Effect.acquireRelease(
    Effect.map(typeof to === "object" ? openFile(to.path) : Effect.succeed(to === "stdout" ? 1 : 2), (fd) => {
      const stream = pino.destination({ dest: fd, sync: false, maxLength: WAITING_BYTES_MAX })
      let isReaderGone = false
      stream.on("drop", () => onDropped(1))
      // pino stops writing when the reader has gone (EPIPE); after all else, such as a full disk, the next line tries again.
      stream.on("error", (error: NodeJS.ErrnoException) => {
        isReaderGone ||= error.code === "EPIPE"
        onDropped(1)
      })
      return { stream, isReaderGone: () => isReaderGone }
    }),
    ({ stream, isReaderGone }) => (isReaderGone() ? Effect.void : end(stream))
  ).pipe(Effect.map(({ stream }) => stream))
})

type Stream = ReturnType<typeof pino.destination>

/**
 * Writes what waits, then closes the file; gives up on one that cannot be written. Never closes it under a write that is on its
 * way.
 */
const end = (stream: Stream): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    stream.once("close", () => resume(Effect.void))
    stream.once("error", () => stream.destroy())
    stream.end()
  }).pipe(Effect.timeoutOrElse({ duration: END_TIMEOUT_MS, orElse: () => Effect.void }))

const openFile = (path: string): Effect.Effect<number, LogNotOpened> =>
  Effect.try({
    try: () => openSync(path, "a", 0o640),
    catch: (error) => new LogNotOpened({ path, code: (error as NodeJS.ErrnoException).code ?? "unknown" })
  })
