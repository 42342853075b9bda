/** The doctor and NATS: a server that is well, and one that is gone. */
import assert from "node:assert/strict"
import { afterAll, beforeAll, test } from "vitest"
import type { Finding } from "../../bin/doctor/finding.ts"
import { jsonOf, portcullis } from "../support/cli.ts"
import { NatsServer } from "../support/nats-server.ts"

let server: NatsServer
beforeAll(async () => {
  server = await NatsServer.start()
})
afterAll(() => server.dispose())

const nats = async (): Promise<Finding | undefined> => {
  const said = await portcullis(["doctor", "--json"], { settings: { PORTCULLIS_BUS: server.url } })
  assert.equal(said.errors, "") // What the client library has to say about it stays inside.
  return jsonOf<{ readonly findings: ReadonlyArray<Finding> }>(said).findings.find(({ part }) => part === "nats")
}

test("the doctor reads the version of a nats-server and sees that JetStream is there", async () => {
  const finding = await nats()
  assert.equal(finding?.status, "ok")
  assert.match(finding?.detail ?? "", /^nats-server \d+\.\d+\.\d+, JetStream with 0 streams$/)
})

test("the doctor says that a nats-server is gone, and what to see to", async () => {
  await server.kill()
  const finding = await nats()
  assert.equal(finding?.status, "FAIL")
  assert.match(finding?.detail ?? "", /NATS could not be asked/)
  assert.match(finding?.advice ?? "", /nats-server runs at PORTCULLIS_BUS/)
})
