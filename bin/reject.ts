/** Bad input ends a command with every problem listed, before anything was started. */
import type { SettingsRejected } from "./settings.ts"

export const orReject = <A extends object>(value: A | SettingsRejected): A => {
  if (!("_tag" in value) || value._tag !== "SettingsRejected") return value as A
  const { problems } = value as SettingsRejected
  process.stderr.write(`portcullis: ${problems.length === 1 ? "a setting is" : `${problems.length} settings are`} not usable\n`)
  for (const problem of problems) process.stderr.write(`  - ${problem}\n`)
  process.exit(2)
}
