/** The directory store keeps the laws, and its own promises about links and files that are none. */
import { execFileSync } from "node:child_process"
import { chmod, mkdir, mkdtemp, readdir, rename, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { ciphertextStoreLayer } from "../../src/adapters/object-store/ciphertext-store.layer.ts"
import { ciphertextStoreLaws, readAll, tagOf } from "./ciphertext-store.laws.ts"

ciphertextStoreLaws("a directory store", async () => {
  const root = await mkdtemp(join(tmpdir(), "portcullis-store-"))
  return {
    layer: ciphertextStoreLayer([{ name: "main", kind: "directory", path: root }]),
    plant: async (key, bytes) => {
      await mkdir(dirname(join(root, key)), { recursive: true })
      await writeFile(join(root, key), bytes)
    },
    // As when a volume is not mounted.
    breakDown: () => rename(root, `${root}-gone`),
    close: async () => {
      await rm(root, { recursive: true, force: true })
      await rm(`${root}-gone`, { recursive: true, force: true })
    }
  }
})

let outside: string
let root: string
const layer = () => ciphertextStoreLayer([{ name: "main", kind: "directory", path: root }])
beforeAll(async () => {
  outside = await mkdtemp(join(tmpdir(), "portcullis-outside-"))
  root = join(outside, "store")
  await mkdir(join(root, "folder"), { recursive: true })
  await writeFile(join(outside, "secret"), "not yours")
  await writeFile(join(root, "inside"), "fine")
  // A name that begins like the store's: a careless prefix check would let it pass.
  await mkdir(`${root}-neighbour`)
  await writeFile(join(`${root}-neighbour`, "secret"), "not yours")
})
afterAll(() => rm(outside, { recursive: true, force: true }))

test.each([
  ["a link to a file outside", "link", () => join(outside, "secret")],
  ["a relative link outside", "relative", () => "../secret"],
  ["a link to a neighbour whose name begins alike", "neighbour", () => join(`${root}-neighbour`, "secret")]
])("%s is not followed", async (_what, key, target) => {
  await symlink(target(), join(root, key))
  expect(tagOf(await readAll(layer(), `store://main/${key}`))).toBe("LocationRefused")
})

test("a file below a linked folder is not reached", async () => {
  await symlink(outside, join(root, "up"))
  expect(tagOf(await readAll(layer(), "store://main/up/secret"))).toBe("LocationRefused")
})

test("a link that stays inside is followed, as is a link to the store itself", async () => {
  await symlink("inside", join(root, "alias"))
  expect(tagOf(await readAll(layer(), "store://main/alias"))).toBe("read")
  await symlink(root, join(outside, "mounted"))
  const linked = ciphertextStoreLayer([{ name: "main", kind: "directory", path: join(outside, "mounted") }])
  expect(tagOf(await readAll(linked, "store://main/inside"))).toBe("read")
})

test("a link into nothing is missing, and a circle of links is refused", async () => {
  await symlink(join(root, "nowhere"), join(root, "dangling"))
  expect(tagOf(await readAll(layer(), "store://main/dangling"))).toBe("ObjectMissing")
  await symlink("circle-b", join(root, "circle-a"))
  await symlink("circle-a", join(root, "circle-b"))
  expect(tagOf(await readAll(layer(), "store://main/circle-a"))).toBe("LocationRefused")
})

test("a folder and a pipe are no objects, and a pipe does not hold the step", async () => {
  execFileSync("mkfifo", [join(root, "pipe")])
  expect(tagOf(await readAll(layer(), "store://main/folder"))).toBe("LocationRefused")
  expect(tagOf(await readAll(layer(), "store://main/pipe"))).toBe("LocationRefused")
})

test("a file that may not be read is unavailable, not missing; to root there is no such file", async () => {
  await writeFile(join(root, "closed"), "x")
  await chmod(join(root, "closed"), 0)
  expect(tagOf(await readAll(layer(), "store://main/closed"))).toBe(process.getuid?.() === 0 ? "read" : "StoreUnavailable")
})

test("writing leaves nothing unfinished behind, also when it fails", async () => {
  const full = join(outside, "blocked")
  await mkdir(full)
  const bytes = new Uint8Array(5)
  const digest = "0x8855508aade16ec573d21e6a485dfd0a7624085c1a14b5ecdd6485de0c6839a4"
  await mkdir(join(full, "88", `${digest.slice(2)}.pct`), { recursive: true }) // a folder where the file must go
  const { directoryUpload } = await import("../../src/adapters/object-store/directory-upload.ts")
  await expect(directoryUpload("main", full).put(digest, bytes)).rejects.toMatchObject({ _tag: "StoreUnavailable" })
  expect(await readdir(join(full, "88"))).toEqual([`${digest.slice(2)}.pct`])
})
