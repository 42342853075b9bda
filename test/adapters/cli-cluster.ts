/** What `portcullis cluster` does on a world that somebody else has started (cli-journey.test.ts: a world takes seconds). */
import assert from "node:assert/strict"
import { test } from "vitest"
import type { ClusterView } from "../../bin/cluster-view.ts"
import { jsonOf, type Said } from "../support/cli.ts"
import { eventually } from "../support/eventually.ts"
import type { JourneyWorld } from "../support/journey.ts"

interface ClusterGiven {
  readonly world: JourneyWorld
  /** Of a gateway with every role. */
  readonly httpUrl: string | undefined
  readonly run: (words: ReadonlyArray<string>) => Promise<Said>
}

export const clusterCommands = (given: () => ClusterGiven): void => {
  const run = (words: ReadonlyArray<string>) => given().run(words)
  const well = async (words: ReadonlyArray<string>) => {
    const said = await run(words)
    assert.equal(said.code, 0, `portcullis ${words.join(" ")}: ${said.output}${said.errors}`)
    return said
  }
  const status = async () => jsonOf<ClusterView>(await well(["cluster", "status", "--json"]))
  const read = async (url: string | undefined, path: string) => {
    const answer = await fetch(`${url}${path}`)
    return { status: answer.status, text: await answer.text() }
  }
  const nodesOf = async () => (await status()).nodes

  test("shows each node with its roles and what it holds, to a person, to a program, and over HTTP where a node has the role api", async () => {
    const second = await given().world.gateway({ worker: "second-0a0b0c", roles: new Set(["worker:acl-checked", "listener"] as const) })
    try {
      const { output } = await well(["cluster", "status"])
      assert.match(output, /^dev-[0-9a-f]{6} +working {3}\d+\.\d+\.\d+ {2}machine 1,2 {2}since .*, heard [\d.]+ s ago {2}listener,coordinator,worker,sender,api$/m)
      assert.match(output, /^ +holds partitions 0 1 2 3 4 5 6 7$/m)
      assert.match(output, /^ +holds lane\/31337\/0x[0-9a-f]{40}$/m)
      assert.match(output, /^second-0a0b0c {2}working .* worker:acl-checked,listener$/m)
      assert.match(output, /^paused {5}nothing$/m)
      const served = JSON.parse((await read(given().httpUrl, "/cluster")).text) as ClusterView
      assert.deepEqual(served.nodes.map(({ worker }) => worker), (await nodesOf()).map(({ worker }) => worker))
      assert.equal((await read(second.httpUrl, "/cluster")).status, 404)
      assert.match((await read(second.httpUrl, "/health/ready")).text, /"takesWork":true/)
      await eventually("both have heard of each other", async () =>
        /gateway_cluster_nodes\{role="worker:acl-checked"\} 2/.test((await read(second.httpUrl, "/metrics")).text))
    } finally {
      await second.stop()
    }
    const gone = (await nodesOf()).find(({ name }) => name === "second")
    assert.deepEqual([gone?.state, gone?.farewell, gone?.holds], ["gone", "drained", []])
    assert.match((await run(["cluster", "drain", "second-0a0b0c"])).errors, /this life of the node has ended already/)
  })

  test("keeps who has paused what and why, refuses to resume what is not paused, and says what still holds it", async () => {
    const lane = `lane:31337/0x${"11".repeat(20)}`
    await well(["cluster", "pause", lane, "--why", "its key moves"])
    await well(["cluster", "pause", "chain:31337", "--why", "a fork"])
    assert.match((await well(["cluster", "resume", lane])).output, /^still held by chain:31337$/m)
    const again = await run(["cluster", "resume", lane])
    assert.deepEqual([again.code, again.output], [1, ""])
    assert.match(again.errors, /is not paused by itself, but held by chain:31337/)
    await well(["cluster", "resume", "chain:31337"])
    const { pauses, actions } = await status()
    assert.deepEqual(pauses, [])
    assert.deepEqual(actions.slice(0, 4).map(({ action }) => action), ["resume", "resume", "pause", "pause"])
  })

  test("compares the database with the chain again when an operator says that commits may be lost, and writes that down", async () => {
    const { timeline: before } = await status()
    const preview = await well(["cluster", "reconcile", "--why", "a try", "--dry-run"])
    assert.match(preview.output, /^would {6}begin a new history after \d+\/1: .*\n(?:.*\n)*lane {7}31337\/0x.*from nonce \d+.*\n(?:.*\n)*done by {4}dev-.*\nnothing was changed$/m)
    assert.equal((await status()).timeline.here, before.here)
    assert.match((await well(["cluster", "reconcile", "--why", "a backup was restored"])).output, /^began {6}\d+\/1\.1 after \d+\/1: /m)
    await eventually("the gateway has compared it", async () => (await status()).timeline.reconciled === `${before.here}.1`)
    const { action, target, why } = (await status()).actions[0]!
    assert.deepEqual({ action, target, why }, { action: "reconcile", target: `${before.here}.1`, why: "a backup was restored" })
    const without = await run(["cluster", "reconcile"])
    assert.equal(without.code, 2)
  })

  test("drains no node that it does not know, and says whom it knows", async () => {
    const { code, errors } = await run(["cluster", "drain", "dve"])
    assert.equal(code, 2)
    assert.match(errors, /no such living node; did you mean dev\?/)
  })
}
