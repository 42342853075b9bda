/**
 * A store in a directory. Nothing outside of it is ever read, wherever a link may point, and nothing that is not a plain file.
 */
import { constants } from "node:fs"
import { mkdir, open, realpath, type FileHandle } from "node:fs/promises"
import { dirname, join, sep } from "node:path"
import { Effect, Stream } from "effect"
import { LocationRefused, ObjectMissing, StoreUnavailable } from "../../journey/3-ciphertext-fetched/ciphertext-store.port.ts"
import { keyOf, locationOf } from "./location.ts"
import type { ObjectStore } from "./object-store.ts"
import { replaceFile } from "./replace-file.ts"

/** What is read at once, so that a large object never stands in memory as a whole on our account. */
const CHUNK_BYTES = 64 * 1024

export const directoryStore = (name: string, path: string): ObjectStore => ({
  read: (location, key) =>
    Stream.unwrap(
      Effect.map(
        Effect.acquireRelease(
          Effect.tryPromise({ try: () => openObject(path, key, location), catch: (error) => readFault(location, error) }),
          (file) => Effect.promise(() => file.close())
        ),
        (file) => chunksOf(file, location)
      )
    ),
  write: (digest, bytes) =>
    Effect.tryPromise({
      try: async () => {
        const target = join(path, keyOf(digest))
        await mkdir(dirname(target), { recursive: true })
        if (!isInside(await realpath(path), await realpath(dirname(target)))) throw new LeadsOutside()
        await replaceFile(target, bytes, { isDurable: true })
      },
      catch: (cause) => new StoreUnavailable({ location: locationOf(name, digest), cause })
    })
})

class LeadsOutside extends TypeError {}

/**
 * Opens by the path without links, and without following one that appears at the last moment; O_NONBLOCK, so that a pipe cannot
 * hold us.
 */
const openObject = async (root: string, key: string, location: string): Promise<FileHandle> => {
  const realRoot = await realpath(root).catch((cause: unknown) => {
    // A store that is not there (not mounted, say) has not answered that the object is missing.
    throw new StoreUnavailable({ location, cause })
  })
  const realFile = await realpath(join(realRoot, key))
  if (!isInside(realRoot, realFile)) throw new LocationRefused({ location, reason: "leads out of the store" })
  const file = await open(realFile, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  if ((await file.stat()).isFile()) return file
  await file.close()
  throw new LocationRefused({ location, reason: "is not a plain file" })
}

const isInside = (root: string, path: string): boolean => path.startsWith(root.endsWith(sep) ? root : root + sep)

type ReadFault = StoreUnavailable | ObjectMissing | LocationRefused

const readFault = (location: string, error: unknown): ReadFault => {
  if (error instanceof StoreUnavailable || error instanceof LocationRefused) return error
  const code = error instanceof Error && "code" in error ? error.code : undefined
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return new ObjectMissing({ location })
    // What O_NOFOLLOW says of a link, O_NONBLOCK of a socket or device, and the system of a name that is too long.
    case "ELOOP":
    case "ENXIO":
    case "ENAMETOOLONG":
      return new LocationRefused({ location, reason: `cannot be opened (${code})` })
    default:
      return new StoreUnavailable({ location, cause: error })
  }
}

/** Every chunk is a buffer of its own: who takes it may keep it. */
const chunksOf = (file: FileHandle, location: string): Stream.Stream<Uint8Array, StoreUnavailable> =>
  Stream.unfold(0, (position) =>
    Effect.tryPromise({
      try: async () => {
        const { bytesRead, buffer } = await file.read(new Uint8Array(CHUNK_BYTES), 0, CHUNK_BYTES, position)
        return bytesRead === 0 ? undefined : ([buffer.subarray(0, bytesRead), position + bytesRead] as const)
      },
      catch: (cause) => new StoreUnavailable({ location, cause })
    })
  )
