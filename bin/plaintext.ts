/** A decrypted value as a terminal may show it: text where it is text, hex where it is not, and never a control character. */
import { toHex } from "../src/domain/hex.ts"

const PRINTABLE = /^[^\p{Cc}\p{Cf}\p{Co}\p{Cs}]*$/u

/** Undefined when the bytes are not printable UTF-8. */
export const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes)
    return PRINTABLE.test(text) ? text : undefined
  } catch {
    return undefined
  }
}

export const shownPlaintext = (bytes: Uint8Array): string => {
  const text = textOf(bytes)
  return text === undefined || text === "" ? toHex(bytes) : JSON.stringify(text)
}

/** For a program: hex always, text where it is text. */
export const plaintextJson = (bytes: Uint8Array) => ({ hex: toHex(bytes), ...(textOf(bytes) === undefined ? {} : { text: textOf(bytes) }) })
