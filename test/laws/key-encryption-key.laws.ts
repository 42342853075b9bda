/** What every provider of a key-encryption key promises. `layer` must give the same key each time; `otherLayer` another one. */
import { Effect, type Layer } from "effect"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type EncryptionContext, KeyEncryptionKey } from "../../src/keys/key-encryption-key.port.ts"

type Key = KeyEncryptionKey["Service"]

export const keyEncryptionKeyLaws = (
  name: string,
  layer: () => Layer.Layer<KeyEncryptionKey, unknown>,
  otherLayer: () => Layer.Layer<KeyEncryptionKey, unknown>
) =>
  describe(name, () => {
    const using = <A>(ask: (key: Key) => Effect.Effect<A, unknown>, from = layer): Promise<A> =>
      Effect.runPromise(Effect.flatMap(KeyEncryptionKey, ask).pipe(Effect.provide(from())))
    const context: EncryptionContext = { kind: "test", node: "1" }
    const refused = (wrapped: Uint8Array, of: EncryptionContext, from = layer) =>
      using((key) => Effect.flip(key.unwrap(wrapped, of)), from).then((error) =>
        expect(error).toMatchObject({ _tag: "UnwrapRefused" })
      )

    test("a data key is 32 fresh bytes, and unwraps to itself under the same context", () =>
      using((key) =>
        Effect.gen(function* () {
          const [first, second] = [yield* key.generateDataKey(context), yield* key.generateDataKey(context)]
          expect(first.plain.length).toBe(32)
          expect(first.plain).not.toEqual(second.plain)
          expect(yield* key.unwrap(first.wrapped, context)).toEqual(first.plain)
          expect(yield* key.unwrap(second.wrapped, { node: "1", kind: "test" })).toEqual(second.plain)
        })
      ))

    test("what was wrapped before a restart unwraps after it", async () => {
      const made = await using((key) => key.generateDataKey(context))
      expect(await using((key) => key.unwrap(made.wrapped, context))).toEqual(made.plain)
    })

    test("the wrapped form does not contain the key", async () => {
      const { plain, wrapped } = await using((key) => key.generateDataKey(context))
      expect(Buffer.from(wrapped).includes(Buffer.from(plain))).toBe(false)
    })

    test("another context is refused, however its text is joined", async () => {
      const { wrapped } = await using((key) => key.generateDataKey({ a: "bc", d: "" }))
      for (const other of [{ a: "b", cd: "" }, { ab: "c", d: "" }, { a: "bc" }, { a: "bc", d: "", e: "" }, { A: "bc", d: "" }]) {
        await refused(wrapped, other as EncryptionContext)
      }
    })

    test("another key refuses", async () => {
      const { wrapped } = await using((key) => key.generateDataKey(context))
      await refused(wrapped, context, otherLayer)
    })

    test("two keys have two names, one key has one", async () => {
      const nameOf = (from: typeof layer) => using((key) => Effect.succeed(key.keyId), from)
      expect(await nameOf(layer)).toBe(await nameOf(layer))
      expect(await nameOf(layer)).not.toBe(await nameOf(otherLayer))
    })

    test("one altered bit, one byte less or more is refused", async () => {
      const { wrapped } = await using((key) => key.generateDataKey(context))
      await fc.assert(
        fc.asyncProperty(fc.nat(wrapped.length * 8 - 1), async (bit) => {
          const altered = Uint8Array.from(wrapped)
          altered[bit >> 3]! ^= 1 << (bit & 7)
          await refused(altered, context)
        }),
        { numRuns: 60 }
      )
      await refused(wrapped.subarray(1), context)
      await refused(wrapped.subarray(0, -1), context)
      await refused(Buffer.concat([wrapped, new Uint8Array(1)]), context)
      await refused(new Uint8Array(), context)
    })
  })
