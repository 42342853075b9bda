/** What is sealed opens under the same key and context, and under nothing else. */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto"
import { Effect, Layer } from "effect"
import fc from "fast-check"
import { expect, test } from "vitest"
import { encodeContext } from "../../src/keys/encryption-context.ts"
import { open, type Sealed, seal } from "../../src/keys/envelope.ts"
import { type EncryptionContext, KeyEncryptionKey, UnwrapRefused } from "../../src/keys/key-encryption-key.port.ts"

/** A key in memory, honest about contexts; it keeps every plain data key that it gave out. */
const keyInMemory = (given: Array<Uint8Array> = []) => {
  const kek = randomBytes(32)
  return Layer.succeed(KeyEncryptionKey, {
    keyId: "memory",
    generateDataKey: (context) =>
      Effect.sync(() => {
        const [plain, nonce] = [new Uint8Array(randomBytes(32)), randomBytes(12)]
        given.push(plain)
        const cipher = createCipheriv("aes-256-gcm", kek, nonce).setAAD(encodeContext(context))
        return {
          plain,
          wrapped: new Uint8Array(Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]))
        }
      }),
    unwrap: (wrapped, context) =>
      Effect.try({
        try: () => {
          const decipher = createDecipheriv("aes-256-gcm", kek, wrapped.subarray(0, 12)).setAAD(encodeContext(context))
          decipher.setAuthTag(wrapped.subarray(44))
          const plain = new Uint8Array(Buffer.concat([decipher.update(wrapped.subarray(12, 44)), decipher.final()]))
          given.push(plain)
          return plain
        },
        catch: () => new UnwrapRefused({ keyId: "memory" })
      })
  })
}

const contexts = fc.dictionary(fc.string({ minLength: 1, maxLength: 20 }), fc.string({ maxLength: 20 }), {
  minKeys: 1,
  maxKeys: 4
})
const key = keyInMemory()
const run = <A>(work: Effect.Effect<A, unknown, KeyEncryptionKey>) => Effect.runPromise(work.pipe(Effect.provide(key)))
const fails = (sealed: Sealed, context: EncryptionContext) =>
  run(Effect.flip(open(sealed, context))) as Promise<{ readonly _tag: string }>

test("what is sealed opens to itself", () =>
  fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 500 }), contexts, async (bytes, context) => {
      const sealed = await run(seal(bytes, context))
      expect(await run(open(sealed, context))).toEqual(bytes)
    })
  ))

test("the same bytes are never sealed twice into the same bytes", async () => {
  const [first, second] = await run(Effect.all([seal(new Uint8Array(32), { a: "b" }), seal(new Uint8Array(32), { a: "b" })]))
  expect(first.ciphertext).not.toEqual(second.ciphertext)
  expect(first.wrappedKey).not.toEqual(second.wrappedKey)
})

test("two contexts have one encoding only when they are the same pairs", () =>
  fc.assert(
    fc.property(contexts, contexts, (left, right) => {
      const same = JSON.stringify(Object.entries(left).toSorted()) === JSON.stringify(Object.entries(right).toSorted())
      expect(Buffer.compare(encodeContext(left), encodeContext(right)) === 0).toBe(same)
    })
  ))

test("another context does not open it", () =>
  fc.assert(
    fc.asyncProperty(contexts, contexts, async (context, other) => {
      fc.pre(Buffer.compare(encodeContext(context), encodeContext(other)) !== 0)
      expect(await fails(await run(seal(randomBytes(16), context)), other)).toMatchObject({ _tag: "UnwrapRefused" })
    })
  ))

test("a wrapped key of one envelope does not open another of the same context", async () => {
  const context = { a: "b" }
  const [first, second] = await run(Effect.all([seal(new Uint8Array(8), context), seal(new Uint8Array(8), context)]))
  expect(await fails({ ...first, wrappedKey: second.wrappedKey }, context)).toMatchObject({ _tag: "SealBroken", keyId: "memory" })
})

test("one altered bit of nonce or ciphertext, or a cut, breaks the seal", () =>
  fc.assert(
    fc.asyncProperty(
      fc.constantFrom("nonce" as const, "ciphertext" as const),
      fc.nat(10_000),
      fc.boolean(),
      async (part, at, isCut) => {
        const sealed = await run(seal(randomBytes(20), { a: "b" }))
        const bytes = Uint8Array.from(sealed[part])
        bytes[at % bytes.length]! ^= 1 << (at % 8)
        const altered = isCut ? sealed[part].subarray(0, at % sealed[part].length) : bytes
        expect(await fails({ ...sealed, [part]: altered }, { a: "b" })).toMatchObject({ _tag: "SealBroken" })
      }
    )
  ))

test("data keys are overwritten after use, on both ways", async () => {
  const given: Array<Uint8Array> = []
  await Effect.runPromise(
    Effect.flatMap(seal(randomBytes(10), { a: "b" }), (sealed) => open(sealed, { a: "b" })).pipe(
      Effect.provide(keyInMemory(given))
    )
  )
  expect(given.length).toBe(2)
  for (const dataKey of given) expect(dataKey.every((byte) => byte === 0)).toBe(true)
})
