/** Bad input ends a command with every problem listed, before anything was started. */
import type { SettingsRejected } from "./settings.ts"

export const orReject = <A extends object>(value: A | SettingsRejected, { json = false }: { readonly json?: boolean } = {}): A => {
  if (!("_tag" in value) || value._tag !== "SettingsRejected") return value as A
  const { problems } = value as SettingsRejected
  process.stderr.write(json ? `${JSON.stringify({ error: { tag: "SettingsRejected", message: titleOf(problems), problems } })}\n` : textOf(problems))
  process.exit(2)
}

const titleOf = (problems: ReadonlyArray<string>): string =>
  `${problems.length === 1 ? "a setting is" : `${problems.length} settings are`} not usable`

const textOf = (problems: ReadonlyArray<string>): string =>
  [`portcullis: ${titleOf(problems)}`, ...problems.map((problem) => `  - ${problem}`), ""].join("\n")
