/**
 * The answer log as a file of JSON lines, only ever appended to. Entries that arrive while a write is under way go out together
 * in the next one. The newest answers are kept in memory by request, so that a node that would contradict itself notices. About
 * 350 bytes for each answer: rotate it by copying and truncating (logrotate's `copytruncate`); the node never needs what is older
 * than an hour.
 */
import type { FileHandle } from "node:fs/promises"
import { open } from "node:fs/promises"
import { Effect, Layer, Schema } from "effect"
import type { Fate } from "../../domain/fate.ts"
import type { Hex } from "../../domain/hex.ts"
import type { RequestId } from "../../domain/request.ts"
import { AnswerContradicts, type AnswerEntry, AnswerLog, AnswerLogUnavailable } from "../../kms-node/answer-log.port.ts"

/** Requests that are remembered: at 100 a second the last quarter of an hour, far beyond any retry; about 20 MB. */
const REMEMBERED_MAX = 100_000
/** How much of the file's end is read at start to remember them again. */
const TAIL_BYTES_MAX = 32 * 1024 * 1024

export interface AnswerLogOptions {
  readonly path: string
  /**
   * Whether an entry must also survive the loss of power (one fdatasync for each write). Without it, it survives the end of the
   * process.
   */
  readonly isSynced?: boolean
}

/** The file cannot be opened for appending, so the node would have to give out shares that nobody could count. */
export class AnswerLogNotOpened extends Schema.TaggedError<AnswerLogNotOpened>()("AnswerLogNotOpened", {
  path: Schema.String,
  cause: Schema.Defect()
}) {
  readonly fate: Fate = "halt"
}

interface Tail {
  readonly entries: ReadonlyArray<{ readonly requestId: RequestId; readonly sharesHash: Hex }>
  /** The last line has no end: the process died while it wrote. */
  readonly isTorn: boolean
}

const shareOf = (line: string): Tail["entries"] => {
  try {
    const entry: unknown = JSON.parse(line)
    if (typeof entry !== "object" || entry === null || !("type" in entry) || entry.type !== "share") return []
    if (!("requestId" in entry) || !("sharesHash" in entry)) return []
    const { requestId, sharesHash } = entry
    return typeof requestId === "string" && typeof sharesHash === "string"
      ? [{ requestId: requestId as Hex, sharesHash: sharesHash as Hex }]
      : []
  } catch {
    return []
  }
}

const readTail = async (file: FileHandle): Promise<Tail> => {
  const { size } = await file.stat()
  const from = Math.max(0, size - TAIL_BYTES_MAX)
  const bytes = Buffer.alloc(size - from)
  await file.read(bytes, 0, bytes.length, from)
  const text = bytes.toString("utf8")
  return { entries: text.split("\n").flatMap(shareOf), isTorn: text.length > 0 && !text.endsWith("\n") }
}

interface Waiting {
  readonly line: string
  readonly done: (written: Effect.Effect<void, AnswerLogUnavailable>) => void
}

/** Writes what has gathered, one write at a time. */
const writer = (file: FileHandle, isSynced: boolean, wasTorn: boolean) => {
  let waiting: Array<Waiting> = []
  let isTorn = wasTorn
  let writing: Promise<void> | undefined

  const writeAll = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      let written: Effect.Effect<void, AnswerLogUnavailable> = Effect.void
      try {
        await file.appendFile(`${isTorn ? "\n" : ""}${batch.map(({ line }) => line).join("")}`)
        isTorn = false
        if (isSynced) await file.datasync()
      } catch (cause) {
        isTorn = true
        written = Effect.fail(new AnswerLogUnavailable({ cause }))
      }
      for (const { done } of batch) done(written)
    }
    writing = undefined
  }

  return {
    append: (entry: AnswerEntry) =>
      Effect.callback<void, AnswerLogUnavailable>((resume) => {
        waiting.push({ line: `${JSON.stringify(entry)}\n`, done: resume })
        writing ??= writeAll()
      }),
    close: async (): Promise<void> => {
      await writing
      await file.close()
    }
  }
}

export const fileAnswerLogLayer = ({ path, isSynced = false }: AnswerLogOptions): Layer.Layer<AnswerLog, AnswerLogNotOpened> =>
  Layer.effect(
    AnswerLog,
    Effect.gen(function* () {
      const remembered = new Map<RequestId, Hex>()
      const remember = (requestId: RequestId, sharesHash: Hex): void => {
        const oldest = remembered.keys().next()
        if (remembered.size >= REMEMBERED_MAX && oldest.done !== true) remembered.delete(oldest.value)
        remembered.set(requestId, sharesHash)
      }
      const { append } = yield* Effect.acquireRelease(
        Effect.tryPromise({
          try: async () => {
            const file = await open(path, "a+", 0o600)
            const tail = await readTail(file)
            for (const { requestId, sharesHash } of tail.entries) remember(requestId, sharesHash)
            return writer(file, isSynced, tail.isTorn)
          },
          catch: (cause) => new AnswerLogNotOpened({ path, cause })
        }),
        ({ close }) => Effect.promise(close)
      )
      return {
        record: (entry) =>
          Effect.suspend((): Effect.Effect<void, AnswerLogUnavailable | AnswerContradicts> => {
            if (entry.type === "share") {
              const earlier = remembered.get(entry.requestId)
              if (earlier !== undefined && earlier !== entry.sharesHash) {
                return Effect.fail(new AnswerContradicts({ requestId: entry.requestId }))
              }
              if (earlier === undefined) remember(entry.requestId, entry.sharesHash)
            }
            return append(entry)
          })
      }
    })
  )
