/** A key in a file of its owner keeps the laws of the port, and takes no file that others may read. */
import { randomBytes } from "node:crypto"
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { afterAll, describe, expect, test } from "vitest"
import { guardedKeyEncryptionKeyLayer } from "../../src/adapters/key-providers/guarded-key-encryption-key.layer.ts"
import { localKeyEncryptionKeyLayer } from "../../src/adapters/local-keys/key-encryption-key.layer.ts"
import { KeyEncryptionKey, UnwrapRefused } from "../../src/keys/key-encryption-key.port.ts"
import { CALL_POLICIES } from "../../src/resilience/call-policy.ts"
import { keyEncryptionKeyLaws } from "./key-encryption-key.laws.ts"

const directory = mkdtempSync(join(tmpdir(), "portcullis-keys-"))
afterAll(() => rmSync(directory, { recursive: true }))

const keyFile = (name: string, bytes: Uint8Array, mode = 0o600): string => {
  const path = join(directory, name)
  writeFileSync(path, bytes)
  chmodSync(path, mode)
  return path
}
const [one, other] = [keyFile("one", randomBytes(32)), keyFile("other", randomBytes(32))]

keyEncryptionKeyLaws(
  "a local key file",
  () => localKeyEncryptionKeyLayer({ path: one }),
  () => localKeyEncryptionKeyLayer({ path: other })
)

const guardedFile = (path: string) => guardedKeyEncryptionKeyLayer.pipe(Layer.provide(localKeyEncryptionKeyLayer({ path })))
keyEncryptionKeyLaws(
  "a guarded provider",
  () => guardedFile(one),
  () => guardedFile(other)
)

describe("a guarded provider", () => {
  const guarding = (provider: Pick<KeyEncryptionKey["Service"], "generateDataKey" | "unwrap">) =>
    guardedKeyEncryptionKeyLayer.pipe(Layer.provide(Layer.succeed(KeyEncryptionKey, { keyId: "test:1", ...provider })))
  const inVirtualTime = <E>(layer: Layer.Layer<KeyEncryptionKey>, use: (key: KeyEncryptionKey["Service"]) => Effect.Effect<void, E>) =>
    Effect.runPromise(KeyEncryptionKey.use(use).pipe(Effect.provide(layer), Effect.provide(TestClock.layer())))

  test("that hangs is unavailable in time, and then left alone", async () => {
    let asked = 0
    const hang = Effect.suspend(() => (asked++, Effect.never))
    await inVirtualTime(guarding({ generateDataKey: () => hang, unwrap: () => hang }), (key) =>
      Effect.gen(function* () {
        const { timeoutMs, volumeMin } = CALL_POLICIES["key-provider"]
        const asks = yield* Effect.forEach(Array.from({ length: volumeMin }), () => Effect.forkChild(Effect.flip(key.generateDataKey({}))))
        yield* TestClock.adjust(timeoutMs)
        for (const ask of asks) expect(yield* Fiber.join(ask)).toMatchObject({ _tag: "KeyProviderUnavailable", keyId: "test:1" })
        expect(yield* Effect.flip(key.generateDataKey({}))).toMatchObject({ cause: { _tag: "CallRefused" } })
        expect(asked).toBe(volumeMin)
      })
    )
  })

  test("that refuses wrapped keys is not doubted for it", () =>
    inVirtualTime(
      guarding({ generateDataKey: () => Effect.never, unwrap: () => Effect.fail(new UnwrapRefused({ keyId: "test:1" })) }),
      (key) =>
        Effect.gen(function* () {
          for (let count = 0; count < 50; count++) {
            expect(yield* Effect.flip(key.unwrap(new Uint8Array(), {}))).toBeInstanceOf(UnwrapRefused)
          }
        })
    ))
})

describe("a local key file is refused", () => {
  const refusal = (path: string) =>
    Effect.runPromise(KeyEncryptionKey.pipe(Effect.provide(localKeyEncryptionKeyLayer({ path })), Effect.flip))

  test.each([
    ["when its group may read it", () => keyFile("group", randomBytes(32), 0o640), "open to others than its owner"],
    ["when everybody may read it", () => keyFile("world", randomBytes(32), 0o604), "open to others than its owner"],
    ["when others may write it", () => keyFile("write", randomBytes(32), 0o620), "open to others than its owner"],
    ["when it is shorter", () => keyFile("short", randomBytes(31)), "not exactly 32 bytes"],
    ["when it is longer", () => keyFile("long", randomBytes(33)), "not exactly 32 bytes"],
    ["when it is not there", () => join(directory, "missing"), "unreadable"],
    [
      "when it is a directory",
      () => {
        mkdirSync(join(directory, "folder"), { mode: 0o700 })
        return join(directory, "folder")
      },
      "not a regular file"
    ]
  ])("%s", async (_, make, reason) => {
    const path = make()
    const error = await refusal(path)
    expect(error).toMatchObject({ _tag: "KeyFileRejected", path, reason })
    expect(error.message).toContain(path)
  })

  test("and what it says does not contain the key", async () => {
    const bytes = randomBytes(40)
    const error = await refusal(keyFile("secret", bytes))
    for (const text of [JSON.stringify(error), String(error), error.message, error.stack ?? ""]) {
      expect(text).not.toContain(bytes.toString("hex").slice(0, 16))
    }
  })
})

test("the key is overwritten when its layer closes, so nothing unwraps any more", async () => {
  const escaped = await Effect.runPromise(KeyEncryptionKey.pipe(Effect.provide(localKeyEncryptionKeyLayer({ path: one }))))
  const live = await Effect.runPromise(
    Effect.flatMap(KeyEncryptionKey, (key) => key.generateDataKey({ a: "b" })).pipe(
      Effect.provide(localKeyEncryptionKeyLayer({ path: one }))
    )
  )
  expect(Exit.isFailure(await Effect.runPromiseExit(escaped.unwrap(live.wrapped, { a: "b" })))).toBe(true)
})
