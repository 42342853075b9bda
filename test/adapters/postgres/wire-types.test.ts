/** What is written as an array is what PostgreSQL reads. */
import { Effect, Exit, Scope } from "effect"
import fc from "fast-check"
import pg from "pg"
import { afterAll, beforeAll, expect, test } from "vitest"
import { byteaOfHex, hexOfBytea, plainArray } from "../../../src/adapters/postgres/wire-types.ts"
import { toHex } from "../../../src/domain/hex.ts"
import { testPostgres } from "../../support/postgres.ts"

const scope = Effect.runSync(Scope.make())
let client: pg.Client
beforeAll(async () => {
  const { address } = await Effect.runPromise(Scope.provide(testPostgres(), scope))
  client = new pg.Client(address)
  await client.connect()
})
afterAll(async () => {
  await client.end()
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

const rows = fc.array(
  fc.record({
    bytes: fc.option(fc.uint8Array({ maxLength: 40 }).map(toHex)),
    json: fc.jsonValue(),
    text: fc.constantFrom("detected", "", "NULL", "null", "{}", "a,b", '"', "\\"),
    big: fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
    small: fc.integer({ min: -32_768, max: 32_767 })
  }),
  { maxLength: 20 }
)

test("any hex, number, name and JSON text comes back from an array as it was", async () => {
  await fc.assert(
    fc.asyncProperty(rows, async (given) => {
      const column = (read: (row: (typeof given)[number]) => string | number | bigint | null) => plainArray(given.map(read))
      const { rows: read } = await client.query(
        "SELECT b, j, t, n::text, s FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bigint[], $5::smallint[]) AS u(b, j, t, n, s)",
        [
          column(({ bytes }) => (bytes === null ? null : byteaOfHex(bytes))),
          column(({ json }) => JSON.stringify(json)),
          column(({ text }) => text),
          column(({ big }) => big),
          column(({ small }) => small)
        ]
      )
      expect(read).toEqual(
        given.map(({ bytes, json, text, big, small }) => ({
          b: bytes === null ? null : Buffer.from(bytes.slice(2), "hex"),
          j: JSON.stringify(json),
          t: text,
          n: big === null ? null : String(big),
          s: small
        }))
      )
    }),
    { numRuns: 200 }
  )
})

test("bytes as text are hex and back", () => {
  expect(hexOfBytea(byteaOfHex("0x00ff"))).toBe("0x00ff")
})
