import { Effect } from "effect"
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, test } from "vitest"
import { localKeyEncryptionKeyLayer } from "../../../src/adapters/local-keys/key-encryption-key.layer.ts"
import { makeSealer } from "../../../src/adapters/postgres/sealer.ts"
import { KeyEncryptionKey, KeyProviderUnavailable } from "../../../src/keys/key-encryption-key.port.ts"
import { sealerLaws } from "../../laws/sealer.laws.ts"

const directory = mkdtempSync(join(tmpdir(), "portcullis-test-sealer-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

type Kek = KeyEncryptionKey["Service"]
let files = 0

/** Works inside one scope, because a key is overwritten when its layer closes. */
const withKeys = <A>(count: number, use: (keks: ReadonlyArray<Kek>) => Effect.Effect<A, unknown>): Promise<A> => {
  const open = (left: number, keks: ReadonlyArray<Kek>): Effect.Effect<A, unknown> => {
    if (left === 0) return use(keks)
    const path = join(directory, `kek-${(files += 1)}`)
    writeFileSync(path, randomBytes(32), { mode: 0o600 })
    return Effect.flatMap(KeyEncryptionKey, (kek) => open(left - 1, [...keks, kek])).pipe(
      Effect.provide(localKeyEncryptionKeyLayer({ path }))
    )
  }
  return Effect.runPromise(open(count, []))
}

const ROW = { table: "share", request: "0x01", node: "1" }

sealerLaws((use) => withKeys(1, ([kek]) => use(makeSealer(kek!), makeSealer(kek!))))

test("after a rotation, seals under the new key and still opens what the former one sealed", () =>
  withKeys(2, ([former, current]) =>
    Effect.gen(function*() {
      const old = yield* makeSealer(former!).seal(ROW, Uint8Array.of(1))
      const rotated = makeSealer(current!, [former!])
      assert.deepEqual(yield* rotated.open(ROW, old), Uint8Array.of(1))
      const fresh = yield* rotated.seal(ROW, Uint8Array.of(2))
      assert.deepEqual(yield* makeSealer(current!).open(ROW, fresh), Uint8Array.of(2))
      const refused = yield* Effect.flip(makeSealer(current!).open(ROW, old))
      assert(refused._tag === "SealRejected" && refused.reason.includes(former!.keyId))
    })))

test("asks the key provider once for many rows, and says that it is away when it is", () =>
  withKeys(1, ([kek]) =>
    Effect.gen(function*() {
      let calls = 0
      let isAway = true
      const away = () => Effect.fail(new KeyProviderUnavailable({ keyId: kek!.keyId, cause: "away" }))
      const sealer = makeSealer({
        keyId: kek!.keyId,
        generateDataKey: (context) => Effect.suspend(() => (isAway ? away() : ((calls += 1), kek!.generateDataKey(context)))),
        unwrap: (wrapped, context) => Effect.suspend(() => (isAway ? away() : ((calls += 1), kek!.unwrap(wrapped, context))))
      })
      assert.equal((yield* Effect.flip(sealer.seal(ROW, Uint8Array.of(1))))._tag, "SealerUnavailable")
      isAway = false
      const records = yield* Effect.forEach(Array.from({ length: 50 }), () => sealer.seal(ROW, Uint8Array.of(1)), {
        concurrency: "unbounded"
      })
      yield* Effect.forEach(records, (record) => sealer.open(ROW, record))
      assert.equal(calls, 2)
    })))
