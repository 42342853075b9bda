/** Puts a whole file in its place or nothing: readers see the old bytes or the new ones, never a part, also after a power cut. */
import { randomUUID } from "node:crypto"
import { mkdir, open, rename, rm } from "node:fs/promises"
import { dirname, join } from "node:path"

/** Begins with a dot, which no key does: a file that is being written cannot be read by a location. */
export const UNFINISHED_PREFIX = ".unfinished-"

/** Creates the folder when it is not there. Rejects with the system's error; then no trace is left. */
export const replaceFile = async (
  path: string,
  bytes: Uint8Array,
  { isDurable }: { readonly isDurable: boolean }
): Promise<void> => {
  const folder = dirname(path)
  const created = await mkdir(folder, { recursive: true })
  const unfinished = join(folder, `${UNFINISHED_PREFIX}${randomUUID()}`)
  try {
    const file = await open(unfinished, "wx")
    try {
      await file.writeFile(bytes)
      if (isDurable) await file.sync()
    } finally {
      await file.close()
    }
    await rename(unfinished, path)
  } catch (error) {
    await rm(unfinished, { force: true })
    throw error
  }
  if (!isDurable) return
  await syncFolder(folder)
  if (created !== undefined) await syncFolder(dirname(created))
}

/** A rename is durable once its folder is. */
const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
