/** The guard that an old Node meets first: hand over to the newer one, or say what to do. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, test } from "vitest"
import { eventually } from "../support/eventually.ts"

/** Stands for the real program: says how it was started, then does as it is told. */
const PROGRAM = `
import { runOnNewerNode } from "./bin/run-on-newer-node.js"
if (process.env.AS_IF_OLD_AND_RESTARTED === undefined && process.env.PORTCULLIS_RESTARTED_ON_NEWER_NODE !== undefined) {
  const [what] = process.argv.slice(2)
  // Ready for a signal before anybody can know that it runs.
  if (what === "wait") process.on("SIGTERM", () => { console.log("drained"); process.exit(3) })
  console.log(JSON.stringify(process.argv.slice(2)))
  if (what === "wait") setInterval(() => {}, 1_000)
  else process.exit(Number(what))
} else {
  if (process.env.HAS_EXECVE === undefined) process.execve = undefined
  runOnNewerNode(99)
}
`

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
  readonly errors: string
}

describe("the start-up guard on a Node that is too old", () => {
  let top: string
  let folder: string
  beforeEach(async () => {
    top = await mkdtemp(join(tmpdir(), "portcullis-guard-"))
    folder = join(top, "node_modules/portcullis")
    await cp("bin/run-on-newer-node.js", join(folder, "bin/run-on-newer-node.js"))
    await writeFile(join(folder, "package.json"), `{"type":"module"}`)
    await writeFile(join(folder, "program.js"), PROGRAM)
  })
  afterEach(() => rm(top, { recursive: true, force: true }))

  const installNewerNode = async (modules = join(folder, "node_modules")) => {
    await mkdir(join(modules, ".bin"), { recursive: true })
    await symlink(process.execPath, join(modules, ".bin/node"))
  }

  const start = (words: ReadonlyArray<string>, environment: Readonly<Record<string, string>> = {}) => {
    const child = spawn(process.execPath, [join(folder, "program.js"), ...words], {
      env: { PATH: process.env["PATH"], ...environment },
      stdio: ["ignore", "pipe", "pipe"]
    })
    const said = { output: "", errors: "" }
    child.stdout.on("data", (chunk: Buffer) => (said.output += chunk.toString("utf8")))
    child.stderr.on("data", (chunk: Buffer) => (said.errors += chunk.toString("utf8")))
    const ended = new Promise<Ended>((resolve) => child.once("close", (code, signal) => resolve({ code, signal, ...said })))
    return { child, said, ended }
  }

  for (const [how, environment] of [["a child process", {}], ["execve", { HAS_EXECVE: "1" }]] as const) {
    test(`starts the same command on the Node from npm, by ${how}, and ends as it ends`, async () => {
      await installNewerNode()
      const { code, output } = await start(["7", "two words", "--flag=$HOME"], environment).ended
      assert.equal(output.trim(), JSON.stringify(["7", "two words", "--flag=$HOME"]))
      assert.equal(code, 7)
      assert.equal((await start(["0"], environment).ended).code, 0)
    })

    test(`passes signals on, by ${how}, so that a drain is a drain`, async () => {
      await installNewerNode()
      const { child, said, ended } = start(["wait"], environment)
      await eventually("it runs", () => said.output.includes("wait"))
      child.kill("SIGTERM")
      const { code, output } = await ended
      assert.match(output, /drained/)
      assert.equal(code, 3)
    })
  }

  test("says in one sentence what to do where npm has installed nothing", async () => {
    const { code, output, errors } = await start(["0"]).ended
    assert.equal(code, 1)
    assert.equal(output, "")
    assert.match(errors, /^Portcullis needs Node 99 or later and this is [\d.]+: run `npm ci` [^\n]*\n$/)
  })

  test("finds the Node of the package that installed it", async () => {
    await installNewerNode(join(top, "node_modules"))
    assert.equal((await start(["0"]).ended).code, 0)
  })

  test("runs no program from folders above that are none of its business", async () => {
    const elsewhere = join(top, "checkout")
    await cp(folder, elsewhere, { recursive: true })
    folder = elsewhere
    await installNewerNode(join(top, "node_modules"))
    assert.equal((await start(["0"]).ended).code, 1)
  })

  test("does not start itself again and again when the Node from npm is too old as well", async () => {
    await installNewerNode()
    const { code, errors } = await start(["0"], { AS_IF_OLD_AND_RESTARTED: "1" }).ended
    assert.equal(code, 1)
    assert.match(errors, /needs Node 99 or later/)
  })

  test("is written so that an old Node can read its first file", async () => {
    const source = await readFile("bin/portcullis.js", "utf8")
    assert.doesNotMatch(source, /=>|\bconst\b|\blet\b|\bawait\b|`|\?\.|\?\?/)
    assert.doesNotMatch(source, /^import /m)
  })
})
