/** The last guard before anything is written: lets scalars through, cuts what could be a key, a share or a ciphertext, and drops the rest.
 * The types should have stopped it already; this holds for the day when a cast did not let them. It never throws. */
import type { LogData, Scalar } from "./telemetry.port.ts"

/** A line is read by people; a longer text is a payload. */
export const TEXT_CHARACTERS_MAX = 512
/** Beyond this a text is not even looked at. */
const LOOKED_AT_CHARACTERS_MAX = 65_536
/** The longest unbroken run that is let through: "0x" and 32 bytes, a hash or an id. Shares (48 bytes) and keys (96) are longer. */
export const RUN_CHARACTERS_MAX = 66
const ENTRIES_MAX = 32

/** Hex, base64 and base64url alike. */
const LONG_RUN = new RegExp(`[A-Za-z0-9+/]{${RUN_CHARACTERS_MAX + 1},}={0,2}|[A-Za-z0-9_-]{${RUN_CHARACTERS_MAX + 1},}`, "g")
/** Who connects, and with which password, as URLs have it before the host. */
const URL_CREDENTIALS = /([A-Za-z][A-Za-z0-9+.-]*:\/\/)\S*@/g
const KEY = /^[a-z][A-Za-z0-9]{0,31}$/
/** Names under which nothing in text form is ever written. */
const TELLING_KEY = /secret|password|passphrase|privatekey|mnemonic|seed|plaintext|sigma|token|credential|authorization|apikey|^share$/i
/** What every line has already. */
const RESERVED_KEYS: ReadonlySet<string> = new Set(["level", "time", "msg", "dropped"])

export interface Redacted {
  readonly data: LogData
  /** Entries that were not let through. */
  readonly dropped: number
}

export const redactText = (text: string): string => {
  if (text.length > LOOKED_AT_CHARACTERS_MAX) return `[${text.length} characters]`
  const short = text.replace(URL_CREDENTIALS, "$1").replace(LONG_RUN, (run) => `[${run.length} characters]`)
  return short.length > TEXT_CHARACTERS_MAX ? `${short.slice(0, TEXT_CHARACTERS_MAX).toWellFormed()}…` : short
}

export const redact = (data: LogData): Redacted => {
  const kept: Record<string, Scalar> = {}
  let dropped = 0
  for (const key of keysOf(data)) {
    const value = scalarAt(data, key)
    if (value === undefined || !KEY.test(key) || RESERVED_KEYS.has(key) || Object.keys(kept).length >= ENTRIES_MAX) dropped++
    else kept[key] = typeof value !== "string" ? value : TELLING_KEY.test(key) ? "[withheld]" : redactText(value)
  }
  return { data: kept, dropped }
}

/** Undefined for everything that is no scalar, and for what cannot even be read. */
const scalarAt = (data: LogData, key: string): Scalar | undefined => {
  try {
    const value: unknown = data[key]
    return value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : undefined
  } catch {
    return undefined
  }
}

/** A value that is no plain object has no entries; bytes would have one for each byte. */
const keysOf = (data: unknown): ReadonlyArray<string> => {
  try {
    if (typeof data !== "object" || data === null || ArrayBuffer.isView(data) || Array.isArray(data)) return []
    return Object.keys(data)
  } catch {
    return []
  }
}
