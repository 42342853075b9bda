/** From the text of an option to its value, or the end of its sentence "option ... is invalid.". */
import { type Command, InvalidArgumentError, Option } from "commander"
import { lower, parseHex } from "../../src/domain/hex.ts"
import { COMMITTEE_NODES_MAX } from "../../src/domain/limits.ts"
import type { RequestId } from "../../src/domain/request.ts"

export const whole =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < least || value > most) throw new InvalidArgumentError(`It takes a whole number from ${least} to ${most}.`)
    return value
  }

export const requestId = (text: string): RequestId => {
  if (parseHex(text, 32) === undefined) throw new InvalidArgumentError("It takes a request id: 0x and 64 hex digits.")
  return lower(text)
}

/** For an option that may be given several times. */
export const also = (text: string, earlier: ReadonlyArray<string> = []): ReadonlyArray<string> => [...earlier, text]

export const endpoints = (text: string): ReadonlyArray<string> =>
  text.split(",").map((endpoint) => {
    const trimmed = endpoint.trim()
    const port = /^(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):(\d{1,5})$/.exec(trimmed)?.[1]
    if (port === undefined || Number(port) < 1 || Number(port) > 65_535) throw new InvalidArgumentError("It takes host:port, several separated by commas.")
    return trimmed
  })

/** Kept for ever in the audit log, in one line. */
const REASON_CHARACTERS_MAX = 200

export const reason = (text: string): string => {
  if (text.trim() === "" || text.length > REASON_CHARACTERS_MAX || /\p{Cc}/u.test(text)) {
    throw new InvalidArgumentError(`It takes one line of at most ${REASON_CHARACTERS_MAX} characters.`)
  }
  return text
}

export const stores = (text: string, earlier: ReadonlyArray<string> = []): ReadonlyArray<string> => {
  if (!/^[a-z0-9-]+=[^,]+$/.test(text)) throw new InvalidArgumentError("It takes name=/directory or name=https://base.")
  return [...earlier, text]
}

/** A file that belongs to one node of the committee. */
export const nodeFile = (
  text: string,
  earlier: ReadonlyArray<{ readonly node: number; readonly path: string }> = []
): ReadonlyArray<{ readonly node: number; readonly path: string }> => {
  const [, node, path] = /^(\d{1,2})=(.+)$/.exec(text) ?? []
  if (node === undefined || path === undefined || Number(node) < 1 || Number(node) > COMMITTEE_NODES_MAX) {
    throw new InvalidArgumentError("It takes node=file, e.g. 1=/var/log/portcullis/answers.jsonl.")
  }
  return [...earlier, { node: Number(node), path }]
}

/** Every command has these two. */
export const withCommonOptions = (command: Command): Command =>
  command
    .option("--json", "answer in JSON, one line; failures too (on stderr)")
    .option("--settings <file>", "file with settings, one NAME=value in each line; the environment wins")

export const withChainOptions = (command: Command): Command =>
  command
    .option("--gateway <address>", "the DecryptionGateway contract (default: from PORTCULLIS_DEPLOYMENT_FILE)")
    .option("--rpc <url>", "JSON-RPC endpoint (default: PORTCULLIS_RPC_URL)")

export const keyFileOption = () =>
  new Option("--key-file <file>", "file of mode 0600 with the account's private key (default: PORTCULLIS_ACCOUNT_KEY_FILE)")

export const storeOption = () =>
  new Option("--store <name=where>", "object store: name=/directory or name=https://base; may be repeated (default: PORTCULLIS_STORES)")
    .argParser(stores)
