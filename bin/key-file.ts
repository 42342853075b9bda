/** Files with secrets, as commands read and write them: readable by their owner only, and nothing of their content, nor a name that might
 * be a secret given by mistake, is ever said. */
import { constants } from "node:fs"
import { open, readFile, writeFile } from "node:fs/promises"
import { Wallet } from "ethers"
import { TransportSecret } from "../src/client/portcullis-client.ts"
import { parseHex, toHex } from "../src/domain/hex.ts"
import { usage } from "./run-command.ts"

/** A key in hex, with room for a line break; anything larger is not a key. */
const KEY_FILE_BYTES_MAX = 256

/** Rejects with `UsageRejected`. */
export const readWallet = async (option: string, path: string): Promise<Wallet> => {
  const bytes = await readSecret(option, path, "a 0x-hex private key")
  try {
    return new Wallet(toHex(bytes))
  } catch {
    throw usage(`${option} must name a file with a 0x-hex private key: what it holds is not one`)
  } finally {
    bytes.fill(0)
  }
}

/** Rejects with `UsageRejected`. */
export const readTransportFile = async (path: string): Promise<TransportSecret> => {
  const bytes = await readSecret("--transport-file", path, "a transport secret")
  try {
    return TransportSecret.fromBytes(bytes)
  } catch {
    throw usage("--transport-file must name a file that `portcullis request user` has written: what it holds is not a transport secret")
  } finally {
    bytes.fill(0)
  }
}

/** Written before anybody is asked: without it a result could never be opened. Rejects with `UsageRejected` where a file is already. */
export const writeTransportFile = async (path: string, transport: TransportSecret): Promise<void> => {
  const bytes = transport.reveal()
  try {
    await writeNew("--transport-file", path, `${toHex(bytes)}\n`)
  } finally {
    bytes.fill(0)
  }
}

/** Mode 0600, and never over another file. */
export const writeNew = async (option: string, path: string, content: string | Uint8Array): Promise<void> => {
  try {
    await writeFile(path, content, { mode: 0o600, flag: "wx" })
  } catch (error) {
    throw usage(codeOf(error) === "EEXIST" ? `${option} names a file that exists: choose another name` : `${option} cannot be written (${codeOf(error)})`)
  }
}

/** Rejects with `UsageRejected`; the name is not repeated. */
export const readInput = async (option: string, path: string, bytesMax: number): Promise<Uint8Array> => {
  try {
    const file = await open(path, constants.O_RDONLY)
    try {
      const { size } = await file.stat()
      if (size > bytesMax) throw usage(`${option} names a file of ${size} bytes, at most ${bytesMax} are read`)
      return new Uint8Array(await file.readFile())
    } finally {
      await file.close()
    }
  } catch (error) {
    throw codeOf(error) === "" ? error : usage(`${option} names a file that cannot be read (${codeOf(error)})`)
  }
}

export const readJson = async (option: string, path: string): Promise<unknown> => {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw usage(`${option} names a file that cannot be read (${codeOf(error)})`)
  })
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw usage(`${option} names a file that is not JSON`)
  }
}

const readSecret = async (option: string, path: string, what: string): Promise<Uint8Array> => {
  const file = await open(path, constants.O_RDONLY).catch((error: unknown) => {
    throw usage(`${option} must name a file with ${what}: it cannot be read (${codeOf(error)})`)
  })
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw usage(`${option} must name a file with ${what}: that is not a file`)
    if ((stat.mode & 0o077) !== 0) throw usage(`${option} names a file that others can read: chmod 600`)
    if (stat.size > KEY_FILE_BYTES_MAX) throw usage(`${option} must name a file with ${what}: it is too large to be one`)
    const bytes = parseHex((await file.readFile("utf8")).trim(), 32)
    if (bytes === undefined) throw usage(`${option} must name a file with ${what}: 0x and 64 hex digits on one line`)
    return bytes
  } finally {
    await file.close()
  }
}

const codeOf = (error: unknown): string => {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : ""
  return typeof code === "string" ? code : ""
}
