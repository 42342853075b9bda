/** A disk that can be filled: a small tmpfs over a folder. Needs the right to mount; without it the fault is refused and not faked. */
import { execFile } from "node:child_process"
import { rm, statfs, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { CannotInject, type Undo } from "../rig.ts"

const run = promisify(execFile)
const FILLER = ".filler"
const CHUNK_BYTES = 1024 * 1024

export class SmallDisk {
  readonly folder: string

  /** The folder is empty and nobody uses it yet. */
  static async over(folder: string, mebibytes: number): Promise<SmallDisk> {
    try {
      await run("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m,mode=0700`, "tmpfs", folder])
    } catch {
      throw new CannotInject("fill-disk", `a tmpfs cannot be mounted over ${folder} here; it takes root`)
    }
    return new SmallDisk(folder)
  }

  private constructor(folder: string) {
    this.folder = folder
  }

  async fill(): Promise<Undo> {
    const file = join(this.folder, FILLER)
    const free = async () => {
      const { bavail, bsize } = await statfs(this.folder)
      return bavail * bsize
    }
    for (let left = await free(); left > 0; left = await free()) {
      const isFull = await writeFile(file, Buffer.alloc(Math.min(left, CHUNK_BYTES)), { flag: "a" }).then(() => false, () => true)
      if (isFull) break
    }
    return () => rm(file, { force: true })
  }

  async unmount(): Promise<void> {
    await run("umount", ["-l", this.folder])
  }
}
