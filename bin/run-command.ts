/** Runs a command that gives one answer: prints it for a person or (--json) for a program, and ends with 0 (as asked), 1 (it failed) or 2
 * (it was asked wrongly). What failed is one sentence on stderr, and what to do about it; secrets are never part of either. */
import { Cause, Effect, Exit, Schema, type Scope } from "effect"
import { redactText } from "../src/telemetry/redaction.ts"

export interface Answer {
  /** For a person, line by line. */
  readonly lines: ReadonlyArray<string>
  /** The same for a program; printed as one line. Undefined when the command has printed it as it went. */
  readonly json: unknown
  /** 0 unless said otherwise. */
  readonly exitCode?: 0 | 1
}

/** Every command has it. */
export interface CommandFlags {
  readonly json?: true
  readonly settings?: string
}

/** The command was asked in a way that cannot be meant. Nothing was done. */
export class UsageRejected extends Schema.TaggedError<UsageRejected>()("UsageRejected", { problems: Schema.Array(Schema.String) }) {
  override get message() {
    return this.problems.join("; ")
  }
}

/** The command was understood and could not be carried out. The sentence says what is known. */
export class CommandFailed extends Schema.TaggedError<CommandFailed>()("CommandFailed", {
  sentence: Schema.String,
  advice: Schema.optionalKey(Schema.String)
}) {
  override get message() {
    return this.sentence
  }
}

export const usage = (...problems: ReadonlyArray<string>): UsageRejected => new UsageRejected({ problems })
export const failed = (sentence: string, advice?: string): CommandFailed =>
  new CommandFailed({ sentence, ...(advice === undefined ? {} : { advice }) })

/** A promise whose rejection is kept as it is: the tagged errors of the client library and of this command. */
export const attempt = <A>(run: () => Promise<A>): Effect.Effect<A, unknown> => Effect.tryPromise({ try: run, catch: (error) => error })

/** A line of its own, for commands that print as they go. */
export const printLine = (line: string): void => void process.stdout.write(`${line}\n`)

export const runCommand = async (flags: CommandFlags, command: Effect.Effect<Answer, unknown, Scope.Scope>): Promise<void> => {
  // Whoever closes the pipe has read enough (`| head`).
  process.stdout.on("error", () => process.exit(0))
  const exit = await Effect.runPromiseExit(Effect.scoped(command))
  if (Exit.isSuccess(exit)) {
    const { lines, json, exitCode = 0 } = exit.value
    if (flags.json === true && json !== undefined) printLine(JSON.stringify(json))
    if (flags.json !== true) for (const line of lines) printLine(line)
    process.exit(exitCode)
  }
  const failure = failureOf(exit.cause)
  process.stderr.write(flags.json === true ? `${JSON.stringify({ error: failure.json })}\n` : `${failure.lines.join("\n")}\n`)
  process.exit(failure.exitCode)
}

interface Failure {
  readonly lines: ReadonlyArray<string>
  readonly json: { readonly tag: string; readonly message: string; readonly advice?: string; readonly problems?: ReadonlyArray<string> }
  readonly exitCode: 1 | 2
}

const failureOf = (cause: Cause.Cause<unknown>): Failure => {
  const error = cause.reasons.find(Cause.isFailReason)?.error
  if (error === undefined) {
    const pretty = Cause.pretty(cause)
    return { lines: [`portcullis: this is a bug of ours: ${pretty}`], json: { tag: "Defect", message: pretty }, exitCode: 1 }
  }
  const tag = tagOf(error)
  const message = sentenceOf(error)
  if (error instanceof UsageRejected && error.problems.length > 1) {
    const lines = [`portcullis: ${error.problems.length} things are not usable`, ...error.problems.map((problem) => `  - ${problem}`)]
    return { lines, json: { tag, message, problems: error.problems }, exitCode: 2 }
  }
  const advice = adviceOf(error)
  return {
    lines: [`portcullis: ${message}`, ...(advice === undefined ? [] : [`  ${advice}`])],
    json: { tag, message, ...(advice === undefined ? {} : { advice }) },
    exitCode: tag === "UsageRejected" || tag === "InputRejected" ? 2 : 1
  }
}

const tagOf = (error: unknown): string => String(fieldOf(error, "_tag") ?? "Failure")
const fieldOf = (error: unknown, name: string): unknown =>
  typeof error === "object" && error !== null ? (error as Readonly<Record<string, unknown>>)[name] : undefined

const OUT_OF_REACH: Readonly<Record<string, string>> = {
  ChainUnavailable: "the chain could not be asked",
  ChainUnreachable: "the chain could not be asked",
  LedgerUnavailable: "the database could not be asked",
  BusUnavailable: "NATS could not be asked",
  StoreUnavailable: "the object store could not be used"
}

/** What a failure says of itself; for those that name only what they were doing, the part and its own word for the reason. */
export const sentenceOf = (error: unknown): string => {
  const part = OUT_OF_REACH[tagOf(error)]
  if (part !== undefined) {
    const doing = fieldOf(error, "doing") ?? fieldOf(error, "location")
    const reason = reasonOf(fieldOf(error, "cause"))
    return `${part}${typeof doing === "string" ? ` (${redactText(doing)})` : ""}${reason === "" ? "" : `: ${reason}`}`
  }
  const message = fieldOf(error, "message")
  if (typeof message === "string" && message !== "") return redactText(message)
  const reason = fieldOf(error, "reason") ?? fieldOf(error, "detail")
  return `${tagOf(error)}${typeof reason === "string" ? `: ${redactText(reason)}` : ""}`
}

/** A driver's word for what happened: its code and the first line of its message, without addresses' credentials. */
const reasonOf = (cause: unknown): string => {
  if (typeof cause === "string") return redactText(cause)
  const inner = fieldOf(cause, "errors")
  if (Array.isArray(inner) && inner.length > 0) return reasonOf(inner[0])
  const message = fieldOf(cause, "shortMessage") ?? fieldOf(cause, "message")
  const code = fieldOf(cause, "code")
  const text = typeof message === "string" && message !== "" ? (message.split("\n")[0] ?? "") : typeof code === "string" ? code : ""
  return redactText(text)
}

const adviceOf = (error: unknown): string | undefined => {
  const advice = fieldOf(error, "advice")
  return typeof advice === "string" ? advice : undefined
}
