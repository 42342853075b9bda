/** The cluster of docker-compose.yml, as processes from the file's own commands and environment: it answers, loses a node, and answers. */
import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { anyNetwork } from "../../tools/cluster/as-processes.ts"
import { LocalCluster, plansAsWritten } from "../../tools/cluster/local-cluster.ts"
import { jsonOf, portcullis } from "../support/cli.ts"

let folder: string
let cluster: LocalCluster
let settings: Readonly<Record<string, string>>
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "portcullis-cluster-test-"))
  cluster = new LocalCluster({ directory: folder, plans: plansAsWritten(folder, anyNetwork()) })
  await cluster.up()
  settings = { ...cluster.plan("gateway-1").environment, PORTCULLIS_ACCOUNT_KEY_FILE: join(folder, "volumes", "world", "account-key") }
})
afterAll(async () => {
  await cluster?.down()
  await rm(folder, { recursive: true, force: true })
})

const run = (words: ReadonlyArray<string>, stdin?: string) => portcullis(words, { settings, ...(stdin === undefined ? {} : { stdin }) })

const answered = async (value: string): Promise<string> => {
  const { handle } = jsonOf<{ readonly handle: string }>(await run(["encrypt", "--register", "--allow-public", "--json"], value))
  const said = await run(["request", "public", handle, "--wait", "--timeout", "60"])
  assert.equal(said.code, 0, `${said.output}${said.errors}`)
  return said.output
}

test("it answers a request, and after a node was killed another one, and violates nothing", async () => {
  expect(await answered("before")).toContain('plaintext  "before"')
  assert.notEqual(await cluster.stop("gateway-1", "SIGKILL"), 0)
  await cluster.stop("nats-1", "SIGKILL")
  expect(await answered("after")).toContain('plaintext  "after"')
  const logs = [1, 2, 3].flatMap((node) => ["--kms-log", `${node}=${join(folder, "volumes/world/committee", `node-${node}`, "answers.jsonl")}`])
  const verified = await run(["verify", ...logs])
  assert.equal(verified.code, 0, `${verified.output}${verified.errors}`)
  expect(verified.output).toMatch(/^C1 {2}holds .*\(2 looked at\)$/m)
  expect(verified.output).toMatch(/^C4 {2}holds /m)
})

test("a node that is told to stop drains and ends with 0", async () => {
  assert.equal(await cluster.stop("gateway-2"), 0)
})
