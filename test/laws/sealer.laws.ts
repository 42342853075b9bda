/** What every Sealer promises: what it sealed opens for whoever has the keys, in its own row only, unaltered or not at all. */
import { Effect } from "effect"
import fc from "fast-check"
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "vitest"
import type { Sealer } from "../../src/ledger/sealer.port.ts"

type Service = Sealer["Service"]

/** Two processes with the same keys. */
export type WithTwo = (use: (one: Service, other: Service) => Effect.Effect<void, unknown>) => Promise<void>

const ROW = { table: "share", request: "0x01", node: "1" }

export const sealerLaws = (withTwo: WithTwo): void => {
  const law = (promise: string, program: (one: Service, other: Service) => Effect.Effect<void, unknown>) =>
    test(promise, () => withTwo(program))

  law("opens what it sealed, and what another process sealed under the same keys", (one, other) =>
    Effect.gen(function*() {
      for (const plain of [new Uint8Array(0), new Uint8Array(randomBytes(1_000))]) {
        const sealed = yield* one.seal(ROW, plain)
        assert.deepEqual(yield* one.open(ROW, sealed), plain)
        assert.deepEqual(yield* other.open(ROW, sealed), plain)
      }
    }))

  law("never seals the same bytes to the same record, in any process, and shows nothing of them", (one, other) =>
    Effect.gen(function*() {
      const plain = new Uint8Array(randomBytes(64))
      const records = [yield* one.seal(ROW, plain), yield* one.seal(ROW, plain), yield* other.seal(ROW, plain)]
      assert.equal(new Set(records.map((record) => Buffer.from(record).toString("hex"))).size, records.length)
      for (const record of records) assert(!Buffer.from(record).includes(Buffer.from(plain.subarray(0, 8))))
    }))

  law("refuses another row, every altered bit, every cut, and bytes that were never sealed", (one) =>
    Effect.gen(function*() {
      const sealed = yield* one.seal(ROW, new Uint8Array(randomBytes(32)))
      const refused = (context: typeof ROW, bytes: Uint8Array) =>
        Effect.map(Effect.flip(one.open(context, bytes)), (error) => assert.equal(error._tag, "SealRejected"))
      yield* refused({ ...ROW, node: "2" }, sealed)
      for (let bit = 0; bit < sealed.length * 8; bit += 1) {
        yield* refused(ROW, sealed.map((byte, index) => (index === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)))
      }
      for (let length = 0; length < sealed.length; length += 1) yield* refused(ROW, sealed.subarray(0, length))
      for (const bytes of fc.sample(fc.uint8Array({ maxLength: 300 }), 200)) yield* refused(ROW, bytes)
    }))

  law("leaves the caller's bytes as they were", (one) =>
    Effect.gen(function*() {
      const plain = Uint8Array.of(1, 2, 3)
      const sealed = yield* one.seal(ROW, plain)
      const before = Uint8Array.from(sealed)
      yield* one.open(ROW, sealed)
      assert.deepEqual(plain, Uint8Array.of(1, 2, 3))
      assert.deepEqual(sealed, before)
    }))
}
