/** Whatever dies, the request finishes and the chain sees one effect. Gateways run as operators run them: processes with settings, on NATS. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { JOURNEY, type Milestone } from "../../src/domain/journey.ts"
import type { TransitionView } from "../../src/domain/outcome.ts"
import type { ClusterView } from "../../bin/cluster-view.ts"
import { jsonOf, portcullis } from "../support/cli.ts"
import { eventually } from "../support/eventually.ts"
import { JourneyWorld, type GatewayProcess } from "../support/journey.ts"
import { NatsServer } from "../support/nats-server.ts"

describe("a gateway on NATS and PostgreSQL", () => {
  let journey: JourneyWorld
  let nats: NatsServer
  let gateways: Array<GatewayProcess> = []
  beforeAll(async () => {
    nats = await NatsServer.start()
    journey = await JourneyWorld.start()
  })
  afterAll(async () => {
    await Promise.all(gateways.map((gateway) => gateway.kill()))
    await journey?.stop()
    await nats?.dispose()
  })
  beforeEach(async () => {
    await Promise.all(gateways.map((gateway) => gateway.kill()))
    gateways = []
  })

  const start = async (name = "gateway") => {
    const gateway = await journey.gatewayProcess({ PORTCULLIS_BUS: nats.url, PORTCULLIS_NODE_NAME: name })
    gateways.push(gateway)
    return gateway
  }
  const reached = (state: string, id?: string) => (line: Readonly<Record<string, unknown>>) =>
    line["msg"] === state && (id === undefined || line["request"] === id)

  /** I2: versions without gaps or forks, from `detected` to the end. */
  const isOneStory = (history: ReadonlyArray<TransitionView>): void => {
    expect(history.map(({ seq }) => seq)).toEqual(history.map((_, index) => index + 1))
    for (const [index, { from }] of history.entries()) expect(from).toBe(index === 0 ? null : history[index - 1]?.to)
  }

  test.each([...JOURNEY])("killed with SIGKILL right after %s and started again finishes the request with one effect", async (state: Milestone) => {
    const first = await start()
    const killed = first.seen(reached(state)).then(() => first.kill())
    const { id, value } = await journey.publicRequest()
    await killed
    await start()
    isOneStory(await journey.reaches(id, "finalized"))
    expect(await journey.fulfilments(id)).toHaveLength(1)
    expect(await journey.client.waitForResult(id)).toMatchObject({ items: [new Uint8Array(value)] })
  })

  test("that exists twice has one effect for each request", async () => {
    await Promise.all([start("one"), start("two")])
    const raised = await Promise.all(Array.from({ length: 6 }, () => journey.publicRequest()))
    for (const { id } of raised) {
      isOneStory(await journey.reaches(id, "finalized"))
      expect(await journey.fulfilments(id)).toHaveLength(1)
    }
  })

  test("taken over by another when it is frozen writes nothing more when it wakes up", async () => {
    const frozen = await start("frozen")
    const { id } = await journey.publicRequest()
    await frozen.seen(reached("acl-checked", id))
    process.kill(frozen.pid, "SIGSTOP")
    await start("successor")
    const history = await journey.reaches(id, "finalized")
    process.kill(frozen.pid, "SIGCONT")
    isOneStory(history)
    const second = await journey.publicRequest()
    isOneStory(await journey.reaches(second.id, "finalized"))
    expect(await journey.fulfilments(id)).toHaveLength(1)
    expect(await journey.history(id)).toEqual(history)
  })

  test("told to stop by SIGTERM drains and ends with 0", async () => {
    const gateway = await start()
    const { id } = await journey.publicRequest()
    await gateway.seen(reached("detected", id))
    expect(await gateway.stop()).toBe(0)
    await start()
    await journey.reaches(id, "finalized")
    expect(await journey.fulfilments(id)).toHaveLength(1)
  })

  test("holds requests in a step that an operator has paused, lets them end when it is resumed, and ends with 0 when it is ordered to drain", async () => {
    const gateway = await start("paused")
    const cli = (...words: ReadonlyArray<string>) => portcullis(["cluster", ...words], { settings: journey.world.environment })
    const well = async (...words: ReadonlyArray<string>) => expect(await cli(...words)).toMatchObject({ code: 0, errors: "" })
    await well("pause", "step:ciphertext-fetched", "--why", "the store is being moved")
    await gateway.seen((line) => line["msg"] === "paused by an operator")
    const { id } = await journey.publicRequest()
    await journey.reaches(id, "acl-checked")
    await journey.query("UPDATE wake SET due = now() - interval '1 second', claims = 20") // as after an hour of pause
    const beatsAt = () => journey.query<{ readonly at: string }>("SELECT beat_at::text AS at FROM gateway_node WHERE name = 'paused' AND state = 'working'")
    const before = (await beatsAt())[0]?.at
    await eventually("it has been heard again, and swept twice in between", async () => ((await beatsAt())[0]?.at ?? "") > String(before))
    expect((await journey.history(id)).at(-1)?.to).toBe("acl-checked")
    expect(await journey.query("SELECT claims FROM wake")).toEqual([{ claims: 20 }])
    await journey.query("UPDATE wake SET claims = 0")
    await well("resume", "step:ciphertext-fetched", "--why", "it has been moved")
    isOneStory(await journey.reaches(id, "finalized"))
    expect(await journey.fulfilments(id)).toHaveLength(1)

    const drained = cli("drain", "paused", "--why", "a new version")
    expect(await gateway.ended).toBe(0)
    expect(await drained).toMatchObject({ code: 0, errors: "" })
    const { nodes, actions } = jsonOf<ClusterView>(await cli("status", "--json"))
    expect(nodes.find(({ name }) => name === "paused")).toMatchObject({ state: "gone", farewell: "drained", holds: [] })
    expect(actions.map(({ action, why }) => [action, why])).toEqual([
      ["drain", "a new version"],
      ["resume", "it has been moved"],
      ["pause", "the store is being moved"]
    ])
  })
})
