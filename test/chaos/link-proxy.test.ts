import { once } from "node:events"
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { LinkProxy } from "../../chaos/process/link-proxy.ts"
import { eventually } from "../support/eventually.ts"

describe("a link that can be hurt", () => {
  let echo: Server
  let proxy: LinkProxy
  let sockets: Array<Socket> = []
  beforeEach(async () => {
    echo = createServer((socket) => socket.on("data", (chunk) => socket.write(chunk)).on("error", () => {})).listen(0, "127.0.0.1")
    await once(echo, "listening")
    proxy = await LinkProxy.open({ upstream: { host: "127.0.0.1", port: (echo.address() as AddressInfo).port } })
  })
  afterEach(async () => {
    for (const socket of sockets) socket.destroy()
    sockets = []
    await proxy.close()
    echo.close()
  })

  const dial = () => {
    const socket = connect(proxy.port, "127.0.0.1")
    sockets.push(socket)
    let heard = ""
    let isClosed = false
    socket.on("data", (chunk: Buffer) => (heard += chunk.toString()))
    socket.on("error", () => {})
    socket.on("close", () => (isClosed = true))
    return { say: (text: string) => socket.write(text), heard: () => heard, isClosed: () => isClosed, end: () => socket.end() }
  }
  const hears = (caller: ReturnType<typeof dial>, text: string) => eventually(`hears ${text}`, () => caller.heard() === text)

  test("carries bytes both ways, and the end of a connection too", async () => {
    const caller = dial()
    caller.say("hello")
    await hears(caller, "hello")
    caller.end()
    await eventually("it is closed", caller.isClosed)
  })

  test.each(["both", "in", "out"] as const)("that is cut (%s) holds bytes back without an error, and carries them late", async (direction) => {
    const [before, other] = [dial(), dial()]
    before.say("a")
    other.say("x")
    await Promise.all([hears(before, "a"), hears(other, "x")])
    const heal = proxy.hurt({ type: "cut", direction })
    before.say("b")
    const during = dial()
    during.say("c")
    expect([before.heard(), before.isClosed(), during.heard(), during.isClosed()]).toEqual(["a", false, "", false])
    heal()
    await Promise.all([hears(before, "ab"), hears(during, "c")])
  })

  test("that is half open takes everything, answers nothing, and ends those connections when it is over", async () => {
    const caller = dial()
    caller.say("a")
    await hears(caller, "a")
    const heal = proxy.hurt({ type: "half-open" })
    caller.say("b")
    const later = dial()
    later.say("c")
    await eventually("it was let in", () => proxy.openConnections === 2)
    expect([caller.isClosed(), later.isClosed()]).toEqual([false, false])
    heal()
    await eventually("both are closed", () => caller.isClosed() && later.isClosed())
    expect([caller.heard(), later.heard()]).toEqual(["a", ""])
    const after = dial()
    after.say("d")
    await hears(after, "d")
  })

  test("that is slow delays every byte, or lets a few through at a time", async () => {
    const caller = dial()
    const healDelay = proxy.hurt({ type: "delay", ms: 60 })
    const from = performance.now()
    caller.say("late")
    await hears(caller, "late")
    expect(performance.now() - from).toBeGreaterThanOrEqual(115)
    healDelay()
    const healDrip = proxy.hurt({ type: "slow-drip", bytesPerSecond: 20 })
    caller.say("0123456789")
    await eventually("a part has arrived", () => caller.heard().length > "late".length)
    expect(caller.heard().length).toBeLessThan("late0123456789".length)
    healDrip()
    await hears(caller, "late0123456789")
  })
})
