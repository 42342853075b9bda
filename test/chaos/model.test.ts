/** The protocol's model, run: nothing that must hold falls, everything that must be able to happen happens, and without any one of the
 * mechanisms something falls. The seed is fixed, so these runs are always the same. */
import { spawn } from "node:child_process"
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"
import { describe, expect, test } from "vitest"

const QUINT = createRequire(import.meta.url).resolve("@informalsystems/quint/dist/src/cli.js")
const MODEL = fileURLToPath(new URL("../../chaos/model/protocol.qnt", import.meta.url))

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

const quint = (main: string, samples: number, ...more: ReadonlyArray<string>): Promise<string> =>
  new Promise((resolve, reject) => {
    const limits = ["--max-samples", String(samples), "--max-steps", "100", "--seed", "0x706f7274", "--backend", "typescript"]
    const words = [QUINT, "run", MODEL, "--main", main, ...limits, "--verbosity", "1", "--invariants", ...INVARIANTS, ...more]
    const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] })
    let said = ""
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk.toString()))
    child.once("error", reject)
    child.once("close", () => resolve(said))
  })

test("under every unkindness nothing that must hold falls, and everything that must be able to happen happens", async () => {
  const said = await quint("portcullis", 120, "--witnesses", ...WITNESSES)
  expect(said).toContain("[ok] No violation found")
  for (const witness of WITNESSES) expect(said, witness).toMatch(new RegExp(`^${witness} was witnessed in [1-9]\\d* trace`, "m"))
})

describe("without", () => {
  test.each([
    ["the fencing epoch, somebody who was replaced decides", "unfenced", "no_zombie"],
    ["the row version, one request is decided twice", "unversioned", "one_history|rows_as_decided"],
    ["the sweeper, a lost message leaves a request behind", "unswept", "nobody_stuck"],
    ["intent before effect, nobody can say what was asked or sent", "effect_first", "leak_bound|nonce_once"],
    ["reconciliation, a failover leaves two owners or reuses a nonce", "unreconciled", "one_owner|nonce_once|no_zombie"],
    ["the re-scan, a failover loses requests", "unscanned", "nothing_lost"],
    ["waiting for the access check, a failover makes the budget of a prefetch forget", "prefetching", "leak_bound"]
  ])("%s", async (_what, main, falls) => {
    expect(await quint(main, 1_000)).toMatch(new RegExp(`❌ (?:${falls})\\b`))
  })
})
