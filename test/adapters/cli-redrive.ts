/** What `portcullis request redrive` does on a world that somebody else has started (cli-journey.test.ts: a world takes seconds). */
import assert from "node:assert/strict"
import { test } from "vitest"
import type { Hex } from "../../src/domain/hex.ts"
import { jsonOf, type Said } from "../support/cli.ts"
import type { JourneyWorld } from "../support/journey.ts"

interface RedriveGiven {
  readonly world: JourneyWorld
  readonly run: (words: ReadonlyArray<string>) => Promise<Said>
  readonly handleOf: (value: string, ...words: ReadonlyArray<string>) => Promise<Hex>
  /** Another process: nothing is remembered, and all is read from the ledger. */
  readonly startAgain: () => Promise<void>
}

export const redriveCommand = (given: () => RedriveGiven): void => {
  const well = async (words: ReadonlyArray<string>) => {
    const said = await given().run(words)
    assert.equal(said.code, 0, `portcullis ${words.join(" ")}: ${said.output}${said.errors}`)
    return said
  }

  test("that halted is redriven by an operator: it goes on from where it was, and nothing is sent a second time", async () => {
    await well(["cluster", "pause", "step:finalized", "--why", "a row is about to be damaged"])
    const { requestId } = jsonOf<{ readonly requestId: Hex }>(await well(["request", "public", await given().handleOf("damaged", "--allow-public"), "--json"]))
    const early = await given().run(["request", "redrive", requestId, "--why", "too early"])
    assert.deepEqual([early.code, early.output], [1, ""])
    assert.match(early.errors, /only one that halted can be redriven|the ledger has no such request/)
    await given().world.reaches(requestId, "submitted")
    await given().world.query(`UPDATE request SET snapshot = (snapshot::jsonb #- '{context,known,submission}')::json WHERE request_id = '\\x${requestId.slice(2)}'`)
    await given().startAgain()
    await well(["cluster", "resume", "step:finalized"])
    await given().world.reaches(requestId, "halted")
    const { output } = await well(["request", "redrive", requestId, "--why", "the row is mended"])
    assert.match(output, /^goes on {4}from (?:threshold-verified|submitted)$/m)
    await well(["request", "watch", requestId])
    const history = await given().world.reaches(requestId, "finalized")
    assert.match(JSON.stringify(history.map(({ event }) => event)), /"type":"redriven","by":"[^"]+","why":"the row is mended"/)
    assert.equal((await given().world.fulfilments(requestId)).length, 1)
  })
}
