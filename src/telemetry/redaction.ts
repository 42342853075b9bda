/**
 * The last guard before anything is written: lets scalars through, cuts what could be a key, a share or a ciphertext, and drops
 * the rest. The types should have stopped it already; this holds for the day when a cast did not let them. It never throws.
 */
import type { LogData, Scalar } from "./telemetry.port.ts"

/** A line is read by people; a longer text is a payload. */
export const TEXT_CHARACTERS_MAX = 512
/** Beyond this a text is not even looked at: the credentials of URLs are found in time that grows with its square (3 ms here). */
const LOOKED_AT_CHARACTERS_MAX = 4_096
/** "0x" and 32 bytes: a hash or an id. Shares (48 bytes), keys (96) and ciphertexts are longer. */
const HEX_CHARACTERS_MAX = 66
/** 32 bytes are 43 characters of base64; words and identifiers of this length hardly exist. */
const RUN_CHARACTERS_MAX = 40
const ENTRIES_MAX = 32

/** Hex, base64 and base64url alike. */
const LONG_RUN = new RegExp(`[A-Za-z0-9+/]{${RUN_CHARACTERS_MAX},}={0,2}|[A-Za-z0-9_-]{${RUN_CHARACTERS_MAX},}`, "g")
const HEX_RUN = /^(?:0x)?[0-9a-fA-F]+$/
/** Who connects, and with which password, as URLs have it before the host. */
const URL_CREDENTIALS = /([A-Za-z][A-Za-z0-9+.-]*:\/\/)\S*@/g
const KEY = /^[a-z][A-Za-z0-9]{0,31}$/
/** Names under which nothing in text form is ever written. */
const TELLING_KEY =
  /secret|password|passphrase|privatekey|mnemonic|seed|plaintext|sigma|token|credential|authorization|apikey|^share$/i
/** What every line has already. */
const RESERVED_KEYS: ReadonlySet<string> = new Set(["level", "time", "msg", "dropped"])

export interface Redacted {
  readonly data: LogData
  /** Entries that were not let through. */
  readonly dropped: number
}

export const redactText = (text: string): string => {
  if (text.length > LOOKED_AT_CHARACTERS_MAX) return `[${text.length} characters]`
  if (text.length < RUN_CHARACTERS_MAX && !text.includes("://")) return text
  const anonymous = text.includes("://") ? text.replace(URL_CREDENTIALS, "$1") : text
  const short = anonymous.replace(LONG_RUN, (run) => (isHarmless(run) ? run : `[${run.length} characters]`))
  return short.length > TEXT_CHARACTERS_MAX ? `${short.slice(0, TEXT_CHARACTERS_MAX).toWellFormed()}…` : short
}

/** Hashes, and paths or names: encoded bytes of this length have capitals, small letters and digits. */
const isHarmless = (run: string): boolean =>
  run.length <= HEX_CHARACTERS_MAX && (HEX_RUN.test(run) || !(/[A-Z]/.test(run) && /[a-z]/.test(run) && /[0-9]/.test(run)))

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
    if (value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value
    return undefined
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
