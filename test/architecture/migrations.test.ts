/** A migration keeps the build before it working, or says in its name that it does not (src/adapters/postgres/builds-apart.ts). What can be seen in its
 * text is looked for here; whether the build before really works beside it, only a run with both shows (`npm run chaos -- --from-build`). */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { needsAStop } from "../../src/adapters/postgres/builds-apart.ts"
import { MIGRATIONS } from "../../src/adapters/postgres/migrate.ts"
import { ROOT, withoutComments } from "./source-files.ts"

const FOLDER = join(ROOT, "src/adapters/postgres/migrations")
/** There was no build before it. */
const FIRST = "0001-the-ledger"
/** What looks like it and is not, and how the build before goes on. */
const GOES_ON: ReadonlyMap<string, string> = new Map([["0015-numbers", "a trigger gives its rows their numbers"]])

/** What statements of the build before stumble over. */
const TAKES_AWAY: ReadonlyArray<readonly [what: string, pattern: RegExp]> = [
  ["drops what the build before reads", /\bDROP\s+(?:TABLE|COLUMN|VIEW|TYPE)\b/i],
  ["renames what the build before names", /\bRENAME\s+(?:COLUMN|TO|\w+\s+TO)\b/i],
  ["gives a column another type", /\bALTER\s+(?:COLUMN\s+)?\w+\s+(?:SET\s+DATA\s+)?TYPE\b/i],
  ["demands what the build before leaves empty", /\bSET\s+NOT\s+NULL\b/i],
  ["demands what the build before leaves empty", /\bADD\s+COLUMN\s+(?![^,;]*\b(?:DEFAULT|GENERATED)\b)[^,;]*\b(?:NOT\s+NULL|PRIMARY\s+KEY)\b/i],
  ["takes a key away that the build before names in ON CONFLICT", /\bDROP\s+CONSTRAINT\s+(?:IF\s+EXISTS\s+)?\w+_(?:pkey|key)\b/i],
  ["makes unique what the build before may write twice", /\bADD\s+(?:CONSTRAINT\s+\w+\s+)?(?:PRIMARY\s+KEY|UNIQUE)\b/i]
]

const takenAwayBy = (text: string): ReadonlyArray<string> =>
  TAKES_AWAY.filter(([, pattern]) => pattern.test(withoutComments(text))).map(([what]) => what)

describe("migrations", () => {
  test("are those in the folder, in the order of their numbers, and no number stands twice", () => {
    const names = readdirSync(FOLDER).map((file) => file.replace(/\.ts$/, ""))
    expect(Object.keys(MIGRATIONS)).toEqual(names.toSorted())
    expect(new Set(names.map((name) => name.slice(0, 4))).size).toBe(names.length)
  })

  test.each(Object.keys(MIGRATIONS).filter((name) => name !== FIRST && !needsAStop(name) && !GOES_ON.has(name)))(
    "%s takes nothing away from the build before",
    (name) => {
      expect(takenAwayBy(readFileSync(join(FOLDER, `${name}.ts`), "utf8"))).toEqual([])
    }
  )

  test.each([
    "ALTER TABLE request DROP COLUMN state",
    "DROP TABLE share_ask",
    "ALTER TABLE request RENAME COLUMN state TO place",
    "ALTER TABLE request RENAME state TO place",
    "ALTER TABLE request ALTER COLUMN epoch TYPE text",
    "ALTER TABLE request ALTER epoch SET NOT NULL",
    "ALTER TABLE request ADD COLUMN a integer DEFAULT 1, ADD COLUMN request_no bigint NOT NULL",
    "ALTER TABLE transition DROP CONSTRAINT transition_pkey",
    "ALTER TABLE transition ADD PRIMARY KEY (request_no, version)"
  ])("a migration that says %s is noticed", (text) => {
    expect(takenAwayBy(text)).not.toEqual([])
  })

  test.each([
    "ALTER TABLE request ADD COLUMN a integer NOT NULL DEFAULT 1, ADD COLUMN b integer",
    "ALTER TABLE request ADD COLUMN request_no bigint GENERATED ALWAYS AS IDENTITY",
    "CREATE TABLE other (id bytea PRIMARY KEY, n integer NOT NULL)",
    "CREATE INDEX other_n ON other (n)"
  ])("a migration that says %s is not", (text) => {
    expect(takenAwayBy(text)).toEqual([])
  })
})
