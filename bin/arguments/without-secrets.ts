/** What commander says about wrong usage repeats what was typed, and somebody may have typed a secret where none belongs. */

/** 32 bytes and more: private keys are as long as handles, and nobody misses a handle in an error. */
const LONG_HEX = /(?:0x)?[0-9a-fA-F]{64,}/g
const UNKNOWN_OPTION_VALUE = /(unknown option '--?[\w-]+)=[^']*'/
const EXTRA_ARGUMENTS = /(too many arguments[^:]*): .*\./s

export const withoutSecrets = (text: string): string =>
  text
    .replace(/^error: /, "portcullis: ")
    .replace(UNKNOWN_OPTION_VALUE, "$1'")
    .replace(EXTRA_ARGUMENTS, "$1.")
    .replace(LONG_HEX, "[hex]")
