/** The programs of this machine behind the words of images. Nothing is downloaded; what is missing is said, with what to do. */
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { findNatsServer, NATS_SERVER_MISSING } from "../server-programs.ts"

export const CLI = fileURLToPath(new URL("../../bin/portcullis.js", import.meta.url))

export type Found = { readonly words: ReadonlyArray<string> } | { readonly missing: string }

const onPath = (name: string): string | undefined =>
  (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, name)).find(existsSync)

export const programFor = (word: string): Found => {
  switch (word) {
    case "portcullis":
      return { words: [process.execPath, CLI] }
    case "node":
      return { words: [process.execPath] }
    case "nats-server": {
      const found = findNatsServer(process.env)
      return found === undefined ? { missing: NATS_SERVER_MISSING } : { words: [found] }
    }
    case "anvil": {
      const manifest = createRequire(import.meta.url).resolve("@foundry-rs/anvil-linux-amd64/package.json")
      return { words: [join(manifest, "../bin/anvil")] }
    }
    default: {
      const found = onPath(word)
      return found === undefined ? { missing: `${word} is not installed on this machine` } : { words: [found] }
    }
  }
}

/** The words of a plan with the program of this machine. */
export const programWords = ([word = "", ...words]: ReadonlyArray<string>): ReadonlyArray<string> => {
  const found = programFor(word)
  if ("missing" in found) throw new TypeError(found.missing)
  return [...found.words, ...words]
}

/** What a process gets besides the environment of its plan: from ours only what finds programs, and what Node has compiled before. */
export const surroundings = (): Readonly<Record<string, string>> => {
  const { PATH = "", HOME = "/", NODE_COMPILE_CACHE } = process.env
  return { PATH, HOME, ...(NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }) }
}

/** Scripts call `portcullis` by its name: a folder for the PATH in which it is this checkout's. */
export const folderWithPortcullis = (folder: string): string => {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, "portcullis")
  writeFileSync(path, `#!/bin/sh\nexec '${process.execPath}' '${CLI}' "$@"\n`)
  chmodSync(path, 0o755)
  return folder
}
