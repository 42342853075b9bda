/** The example in docs/client.md is the file docs/examples/decrypt-a-value.ts, and it runs. */
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { decryptAValue } from "../../docs/examples/decrypt-a-value.ts"
import { directoryUpload } from "../../src/adapters/object-store/directory-upload.ts"
import { keyOf, parseLocation } from "../../src/adapters/object-store/location.ts"
import type { Hex } from "../../src/domain/hex.ts"
import { Contract } from "ethers"
import { abi as registryAbi } from "../../src/adapters/ethereum/generated/CiphertextRegistry.ts"
import { answerAll, startCommitteeWorld, type CommitteeWorld } from "./committee-world.ts"

let world: CommitteeWorld
let directory: string
let stopAnswering: () => Promise<void>
beforeAll(async () => {
  world = await startCommitteeWorld()
  directory = await mkdtemp(join(tmpdir(), "portcullis-example-"))
  const registry = new Contract(world.addresses.ciphertextRegistry, registryAbi, world.chain.provider)
  stopAnswering = await answerAll(world, async (handle: Hex) => {
    const [location] = (await registry.getFunction("locationsOf")(handle)) as [string]
    const parsed = parseLocation(location)
    if ("fault" in parsed) throw new Error(parsed.fault)
    return new Uint8Array(await readFile(join(directory, parsed.key)))
  })
}, 60_000)
afterAll(async () => {
  await stopAnswering()
  await world.stop()
  await rm(directory, { recursive: true, force: true })
}, 60_000)

test("the documented example encrypts, registers, asks, verifies and opens", async () => {
  const upload = directoryUpload("main", directory)
  expect(await decryptAValue(world.chain.account(1), world.addresses.decryptionGateway, upload)).toEqual([
    "my bid: 42",
    "for my eyes only"
  ])
})

test("docs/client.md shows exactly that file", async () => {
  const root = join(import.meta.dirname, "../..")
  const [page, example] = await Promise.all(
    ["docs/client.md", "docs/examples/decrypt-a-value.ts"].map((path) => readFile(join(root, path), "utf8"))
  )
  expect(page).toContain(`\`\`\`ts\n${example!}\`\`\`\n`)
})

test("an upload lies where its digest says", async () => {
  const upload = directoryUpload("main", directory)
  const bytes = new TextEncoder().encode("x")
  const digest = "0x2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
  expect(await upload.put(digest, bytes)).toBe(`store://main/${keyOf(digest)}`)
  expect(new Uint8Array(await readFile(join(directory, keyOf(digest))))).toEqual(bytes)
})
