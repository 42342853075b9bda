import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { connect, createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest"
import { startAgent, type Agent } from "../../chaos/agent/agent.ts"
import { readAgentFile, type AgentOptions } from "../../chaos/agent/agent-file.ts"
import { eventually } from "../support/eventually.ts"
import { freePort } from "../support/nats-server.ts"

const TOKEN = "a-token-of-the-test"
const folder = mkdtempSync(join(tmpdir(), "portcullis-agent-"))
const fileOf = (content: unknown): string => {
  const path = join(folder, "agent.json")
  writeFileSync(path, JSON.stringify(content))
  return path
}
const tokenFile = join(folder, "token")
writeFileSync(tokenFile, `${TOKEN}\n`)
const link = { name: "postgres", listenPort: 15_432, to: "db:5432" }

describe("the file of the fault API", () => {
  test.each([
    [{ tokenFile, links: [link] }, { PORTCULLIS_PRODUCTION: "yes" }, /PORTCULLIS_PRODUCTION is set here/],
    [{ links: [link] }, {}, /"tokenFile" names a file/],
    [{ tokenFile }, {}, /neither a link nor a process/],
    [{ tokenFile, links: [{ ...link, to: "db" }] }, {}, /a link is/],
    [{ tokenFile, processes: [{ name: "g1" }] }, {}, /a process is/],
    [{ tokenFile, links: [link], processes: [{ name: "postgres", pidFile: "x" }] }, {}, /two things are called postgres/]
  ])("%j with %j is refused", (content, environment, sentence) => {
    expect(readAgentFile(fileOf(content), environment)).toMatch(sentence)
  })

  test("stops the command before anything is opened where production is set", () => {
    const run = fileURLToPath(new URL("../../chaos/run.ts", import.meta.url))
    const environment = { ...process.env, PORTCULLIS_PRODUCTION: "yes" }
    const { status, stderr } = spawnSync(process.execPath, [run, "--agent", fileOf({ tokenFile, links: [link] })], { encoding: "utf8", env: environment })
    expect([status, stderr]).toEqual([2, "chaos: PORTCULLIS_PRODUCTION is set here: faults are for staging, and this does not start\n"])
  })
})

describe("the fault API", () => {
  const echo = createServer((socket) => socket.on("data", (chunk) => socket.write(chunk)).on("error", () => {}))
  const child = spawn("sleep", ["600"])
  let agent: Agent
  let linkPort: number
  beforeEach(async () => {
    if (!echo.listening) await once(echo.listen(0, "127.0.0.1"), "listening")
    linkPort = await freePort()
    const pidFile = join(folder, "g1.pid")
    writeFileSync(pidFile, `${child.pid}\n`)
    const content = { tokenFile, links: [{ ...link, listenPort: linkPort, to: `127.0.0.1:${(echo.address() as AddressInfo).port}` }], processes: [{ name: "g1", pidFile }] }
    agent = await startAgent({ ...(readAgentFile(fileOf(content), {}) as AgentOptions), port: 0 })
  })
  afterEach(() => agent.close())
  afterAll(() => {
    child.kill("SIGKILL")
    echo.close()
  })

  const call = async (method: string, path: string, body?: unknown, token = TOKEN) => {
    const init = { method, headers: { authorization: `Bearer ${token}` }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
    const response = await fetch(`http://127.0.0.1:${agent.port}${path}`, init)
    return [response.status, (await response.json()) as { readonly id?: number; readonly error?: string }] as const
  }
  const stateOf = () => /^State:\s+(\w)/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]

  test("hurts a link until it is told to stop, or until the fault's time is over", async () => {
    const socket = connect(linkPort, "127.0.0.1")
    let heard = ""
    socket.on("data", (chunk) => (heard += String(chunk)))
    const [status, { id }] = await call("POST", "/faults", { target: "postgres", fault: { type: "cut", direction: "both" }, forMs: 60_000 })
    expect(status).toBe(201)
    socket.write("a")
    expect((await call("GET", "/faults"))[1]).toMatchObject({ links: ["postgres"], processes: ["g1"], faults: [{ id, target: "postgres" }] })
    expect(heard).toBe("")
    expect((await call("DELETE", `/faults/${id}`))[0]).toBe(200)
    await eventually("what was held back arrives", () => heard === "a")
    await call("POST", "/faults", { target: "postgres", fault: { type: "cut", direction: "in" }, forMs: 50 })
    socket.write("b")
    await eventually("it ended by itself", () => heard === "ab")
    socket.destroy()
  })

  test("freezes a process, and thaws it when the agent ends", async () => {
    await call("POST", "/faults", { target: "g1", fault: { type: "freeze" }, forMs: 60_000 })
    await eventually("it is stopped", () => stateOf() === "T")
    await agent.close()
    await eventually("it goes on", () => stateOf() !== "T")
    agent = await startAgent({ host: "127.0.0.1", port: 0, token: TOKEN, links: [], processes: [] })
  })

  test.each([
    [{ target: "moon", fault: { type: "freeze" }, forMs: 10 }, 404, /there is no moon; there are postgres, g1/],
    [{ target: "g1", fault: { type: "explode" }, forMs: 10 }, 400, /freeze and kill/],
    [{ target: "postgres", fault: { type: "freeze" }, forMs: 10 }, 400, /cut, delay, half-open and slow-drip/],
    [{ target: "postgres", fault: { type: "half-open" } }, 400, /forMs is a number from 1 to 600000/],
    [{ target: "postgres", fault: { type: "delay", ms: -1 }, forMs: 10 }, 400, /ms is a number/]
  ])("answers %j with what is wrong", async (body, status, sentence) => {
    const [answered, { error }] = await call("POST", "/faults", body)
    expect([answered, error]).toEqual([status, expect.stringMatching(sentence)])
  })

  test("hears nobody without the token", async () => {
    expect((await call("GET", "/faults", undefined, "another-token-altogether"))[0]).toBe(401)
  })
})
