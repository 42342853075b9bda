/** Finding nats-server where users have it, and never something that is not a program. */
import assert from "node:assert/strict"
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, test } from "vitest"
import { findNatsServer, mayInstall } from "../../tools/server-programs.ts"

describe("looking for nats-server", () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "portcullis-programs-"))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  const program = async (name: string, mode = 0o755) => {
    const path = join(folder, name)
    await writeFile(path, "#!/bin/sh\n")
    await chmod(path, mode)
    return path
  }

  test("finds it on the PATH", async () => {
    const path = await program("nats-server")
    assert.equal(findNatsServer({ PATH: `/nowhere:${folder}` }), path)
  })

  test("prefers the one that the user names, and insists on it", async () => {
    await program("nats-server")
    const mine = await program("my-nats")
    assert.equal(findNatsServer({ PATH: folder, NATS_SERVER_BIN: mine }), mine)
    assert.equal(findNatsServer({ PATH: folder, NATS_SERVER_BIN: join(folder, "missing") }), undefined)
    assert.equal(mayInstall({ NATS_SERVER_BIN: join(folder, "missing") }), false)
  })

  test("ignores relative folders of the PATH", () => {
    assert.notEqual(findNatsServer({ PATH: "." }), "nats-server")
  })
})
