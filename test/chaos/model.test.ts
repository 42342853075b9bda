/** The protocol's model, run: nothing that must hold falls, everything that must be able to happen happens, and without any one of the
 * mechanisms something falls. The seed is fixed, so these runs are always the same. */
import { describe, expect, test } from "vitest"
import { quint } from "../../chaos/model/quint.ts"

/** Each takes seconds of work, and shares its core with the others and with whatever else the machine does. */
const TIME = { timeout: 180_000 }

const SEED = "0x706f7274"
const INVARIANTS = [
  "one_owner",
  "no_zombie",
  "one_history",
  "rows_as_decided",
  "leak_bound",
  "nonce_once",
  "no_double",
  "nobody_stuck",
  "nothing_lost"
]
const WITNESSES = ["some_finalized", "stale_write_refused", "taken_over", "reconciled", "reorged", "rolled_back"]

const run = (main: string, samples: number, ...more: ReadonlyArray<string>): Promise<string> =>
  quint({ main, samples, seed: SEED }, ["--invariants", ...INVARIANTS, ...more])

test("under every unkindness nothing that must hold falls, and everything that must be able to happen happens", TIME, async () => {
  const said = await run("portcullis", 120, "--witnesses", ...WITNESSES)
  expect(said).toContain("[ok] No violation found")
  for (const witness of WITNESSES) expect(said, witness).toMatch(new RegExp(`^${witness} was witnessed in [1-9]\\d* trace`, "m"))
})

describe.concurrent("without", TIME, () => {
  test.each([
    ["the fencing epoch, somebody who was replaced decides", "unfenced", "no_zombie"],
    ["the row version, one request is decided twice", "unversioned", "one_history|rows_as_decided"],
    ["the sweeper, a lost message leaves a request behind", "unswept", "nobody_stuck"],
    ["intent before effect, nobody can say what was asked or sent", "effect_first", "leak_bound|nonce_once"],
    ["reconciliation, a failover leaves two owners or reuses a nonce", "unreconciled", "one_owner|nonce_once|no_zombie"],
    ["the re-scan, a failover loses requests", "unscanned", "nothing_lost"],
    ["waiting for the access check, a failover makes the budget of a prefetch forget", "prefetching", "leak_bound"]
  ])("%s", async (_what, main, falls) => {
    expect(await run(main, 1_000)).toMatch(new RegExp(`❌ (?:${falls})\\b`))
  })
})
