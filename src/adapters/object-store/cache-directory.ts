/**
 * What an earlier run of this node left in its cache directory. Only names are believed here; contents are hashed when they are
 * asked for.
 */
import { readdir, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import type { Hex } from "../../domain/hex.ts"
import { isDigest, keyOf } from "./location.ts"
import { UNFINISHED_PREFIX } from "./replace-file.ts"

export interface FoundEntry {
  readonly digest: Hex
  readonly sizeBytes: number
  readonly usedAtMs: number
}

/** In order of use, the least recent first. Removes what was never finished. Rejects when the directory cannot be listed. */
export const findEntries = async (directory: string): Promise<ReadonlyArray<FoundEntry>> => {
  const found: Array<FoundEntry> = []
  for (const folder of await readdir(directory)) {
    if (!/^[0-9a-f]{2}$/.test(folder)) continue
    for (const name of await readdir(join(directory, folder)).catch(() => [])) {
      const path = join(directory, folder, name)
      if (name.startsWith(UNFINISHED_PREFIX)) await rm(path, { force: true }).catch(() => {})
      const digest: Hex = `0x${name.replace(/\.pct$/, "")}`
      if (!isDigest(digest) || keyOf(digest) !== `${folder}/${name}`) continue
      const { size, mtimeMs } = await stat(path).catch(() => ({ size: -1, mtimeMs: 0 }))
      if (size >= 0) found.push({ digest, sizeBytes: size, usedAtMs: mtimeMs })
    }
  }
  return found.toSorted((left, right) => left.usedAtMs - right.usedAtMs)
}
