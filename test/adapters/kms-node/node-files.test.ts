/**
 * What a node keeps on disk: it opens under its own key and name only, and says clearly what is wrong otherwise, without a
 * secret.
 */
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, Schema } from "effect"
import fc from "fast-check"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { dealFiles, KEY_FILE, nodeDirectory } from "../../../src/adapters/kms-node/deal-files.ts"
import { fileShareVaultLayer, IDENTITY_FILE, shareFileName } from "../../../src/adapters/kms-node/file-share-vault.layer.ts"
import { localKeyEncryptionKeyLayer } from "../../../src/adapters/local-keys/key-encryption-key.layer.ts"
import { fromHex } from "../../../src/domain/hex.ts"
import { KeyEncryptionKey } from "../../../src/keys/key-encryption-key.port.ts"
import { recoverIdentity } from "../../../src/kms-node/identity-signature.ts"
import { openShare, ShareFile } from "../../../src/kms-node/sealed-files.ts"
import { type EpochSecrets, ShareVault } from "../../../src/kms-node/share-vault.port.ts"
import { shareMatches } from "../../../src/threshold/deal.ts"
import { dealCommittee, type DealtCommittee } from "../../support/kms-committee.ts"

let dealt: DealtCommittee
let work: string
let directory: string

beforeAll(async () => {
  dealt = await dealCommittee()
})
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), "portcullis-files-"))
  cpSync(dealt.directory, work, { recursive: true })
  directory = nodeDirectory(work, 1)
  return () => rmSync(work, { recursive: true })
})
afterAll(() => dealt.remove())

const vaultAt = (path: string, keyPath = join(path, KEY_FILE)) =>
  fileShareVaultLayer({ directory: path }).pipe(Layer.provide(localKeyEncryptionKeyLayer({ path: keyPath })))
type Vault = ShareVault["Service"]
const using = <A, E>(ask: (vault: Vault) => Effect.Effect<A, E>, layer = vaultAt(directory)) =>
  Effect.runPromise(Effect.flatMap(ShareVault, ask).pipe(Effect.provide(layer)))
const failing = (ask: (vault: Vault) => Effect.Effect<unknown, unknown>, layer = vaultAt(directory)) =>
  Effect.runPromise(Effect.flatMap(ShareVault, ask).pipe(Effect.provide(layer), Effect.flip)) as Promise<{
    _tag: string
    message: string
  }>
const first = (vault: Vault) => vault.secrets(1)

test("what was dealt opens to the shares and identity of the committee record", () =>
  using((vault) =>
    Effect.gen(function* () {
      const secrets = (yield* vault.secrets(1))!
      const node = dealt.committee.nodes[0]!
      expect([vault.nodeId, vault.identity, vault.epochs]).toEqual([1, node.identity, [1]])
      expect(shareMatches(dealt.engine, secrets.decryption, fromHex(node.decryptionKey))).toBe(true)
      expect(shareMatches(dealt.engine, secrets.attestation, fromHex(node.attestationKey))).toBe(true)
      const digest = `0x${"12".repeat(32)}` as const
      expect(recoverIdentity(digest, vault.signDigest(digest))).toBe(node.identity)
      expect(yield* vault.secrets(2)).toBeUndefined()
    })
  ))

test("an epoch that two calls meet at once is opened once", () =>
  using((vault) =>
    Effect.gen(function* () {
      const [left, right] = yield* Effect.all([vault.secrets(1), vault.secrets(1)], { concurrency: "unbounded" })
      expect(left).toBe(right)
    })
  ))

test("secrets are overwritten when the vault closes", async () => {
  const secrets = (await using(first)) as EpochSecrets
  expect(secrets.decryption.every((byte) => byte === 0)).toBe(true)
  expect(secrets.attestation.every((byte) => byte === 0)).toBe(true)
})

test("nobody but the owner may read a node's files, and they say where they come from", () => {
  const written = nodeDirectory(dealt.directory, 1)
  for (const path of [written, ...readdirSync(written).map((name) => join(written, name))])
    expect(statSync(path).mode & 0o077).toBe(0)
  expect(readFileSync(join(work, "DEVELOPMENT-ONLY.txt"), "utf8")).toContain("Never use them")
  for (const name of [IDENTITY_FILE, shareFileName(1)]) {
    expect(JSON.parse(readFileSync(join(directory, name), "utf8"))).toMatchObject({ origin: "development-dealer" })
  }
})

test("the dealer overwrites nothing", async () => {
  const again = dealFiles({
    engine: dealt.engine,
    directory: work,
    epoch: 1,
    threshold: 2,
    nodes: 3,
    scheme: "bls",
    endpoint: () => "x:1",
    keyLayer: (path) => localKeyEncryptionKeyLayer({ path })
  })
  expect(await Effect.runPromise(Effect.flip(again))).toMatchObject({ _tag: "DealFailed", reason: "EEXIST" })
})

describe("a vault does not open", () => {
  const shareFile = (path = directory) => join(path, shareFileName(1))
  const rewrite = (path: string, change: (json: Record<string, unknown>) => Record<string, unknown>) =>
    writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>)))

  test("under the key of another node, and says which key it wants", async () => {
    const error = await failing(first, vaultAt(directory, join(nodeDirectory(work, 2), KEY_FILE)))
    expect(error).toMatchObject({ _tag: "VaultRejected", file: join(directory, IDENTITY_FILE) })
    expect(error.message).toMatch(/sealed under key local:[0-9a-f]{16}, this is local:[0-9a-f]{16}$/)
  })

  test("with the share of another node in its place, whatever it says of itself", async () => {
    cpSync(shareFile(nodeDirectory(work, 2)), shareFile())
    expect(await failing(first)).toMatchObject({ _tag: "VaultRejected", reason: "it is of another node or epoch" })
    rewrite(shareFile(), (json) => ({ ...json, nodeId: 1 }))
    expect((await failing(first)).message).toMatch(/sealed under key/)
  })

  test("with a share of another epoch under this one's name", async () => {
    renameSync(shareFile(), join(directory, shareFileName(2)))
    expect(await failing((vault) => vault.secrets(2))).toMatchObject({
      _tag: "VaultRejected",
      reason: "it is of another node or epoch"
    })
    rewrite(join(directory, shareFileName(2)), (json) => ({ ...json, epoch: 2 }))
    expect(await failing((vault) => vault.secrets(2))).toMatchObject({
      _tag: "VaultRejected",
      reason: "it has been altered, or belongs to another node or epoch"
    })
  })

  test.each<readonly [string, (json: Record<string, unknown>) => Record<string, unknown>]>([
    ["another version", (json) => ({ ...json, version: 2 })],
    ["another suite", (json) => ({ ...json, suite: "portcullis/native/bls12-381/v2" })],
    ["another kind", (json) => ({ ...json, kind: "portcullis-identity" })],
    ["no ciphertext", (json) => Object.fromEntries(Object.entries(json).filter(([name]) => name !== "ciphertext"))],
    ["a number for text", (json) => ({ ...json, nonce: 1 })],
    ["text that is no hex", (json) => ({ ...json, nonce: "0xzz" })]
  ])("when its share file has %s", async (_, change) => {
    rewrite(shareFile(), change)
    expect(await failing(first)).toMatchObject({ _tag: "VaultRejected", reason: "it is not a sealed file of this version" })
  })

  test("when a file is missing, no JSON, or enormous", async () => {
    const reason = "it cannot be read as JSON"
    writeFileSync(shareFile(), "{")
    expect(await failing(first)).toMatchObject({ _tag: "VaultRejected", reason })
    writeFileSync(shareFile(), " ".repeat(20_000))
    expect(await failing(first)).toMatchObject({ _tag: "VaultRejected", reason })
    rmSync(join(directory, IDENTITY_FILE))
    expect(await failing(first)).toMatchObject({ _tag: "VaultRejected", file: join(directory, IDENTITY_FILE), reason })
  })

  test("when others may read its key", async () => {
    chmodSync(join(directory, KEY_FILE), 0o644)
    expect(await failing(first)).toMatchObject({ _tag: "KeyFileRejected", reason: "open to others than its owner" })
  })

  test("after one altered digit of anything that is sealed, and it shows none of it", async () => {
    const original = readFileSync(shareFile(), "utf8")
    const secrets = await using((vault) =>
      Effect.map(vault.secrets(1), (opened) => Buffer.from(opened!.decryption).toString("hex"))
    )
    const digits = [...original.matchAll(/"(?:wrappedKey|nonce|ciphertext)": "0x([0-9a-f]+)"/g)].flatMap((match) =>
      Array.from({ length: match[1]!.length }, (_, at) => match.index + match[0].indexOf("0x") + 2 + at)
    )
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...digits), fc.constantFrom(..."0123456789abcdef"), async (at, digit) => {
        fc.pre(original[at] !== digit)
        writeFileSync(shareFile(), `${original.slice(0, at)}${digit}${original.slice(at + 1)}`)
        const error = await failing(first)
        expect(error).toMatchObject({ _tag: "VaultRejected", reason: expect.stringMatching(/^it has been altered/) })
        for (const text of [JSON.stringify(error), error.message, String((error as unknown as Error).stack)]) {
          expect(text).not.toContain(secrets)
        }
      }),
      { numRuns: 40 }
    )
  })
})

test("a sealed file that opens to something else is no share", async () => {
  const file = Schema.decodeUnknownSync(ShareFile)(JSON.parse(readFileSync(join(directory, shareFileName(1)), "utf8")))
  const zeros = Layer.succeed(KeyEncryptionKey, {
    keyId: "test",
    generateDataKey: () => Effect.die("not asked"),
    unwrap: () => Effect.succeed(new Uint8Array(32))
  })
  const error = await Effect.runPromise(openShare("file", file).pipe(Effect.provide(zeros), Effect.flip))
  expect(error).toMatchObject({ _tag: "VaultRejected", reason: "it has been altered" })
})
