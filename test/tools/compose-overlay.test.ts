/** The rig of real processes runs the compose file: its overlay changes only what the file has, and nothing else is changed. */
import { describe, expect, test } from "vitest"
import { SETTINGS } from "../../bin/settings.ts"
import { overlayOf } from "../../chaos/process/compose-overlay.ts"
import { composedLines, servicesFor, targetOf } from "../../chaos/process/composed-services.ts"
import { USUAL_SHAPE } from "../../chaos/rig.ts"
import { SCENARIOS } from "../../chaos/standing-scenarios.ts"
import { readComposeFile, type Service } from "../../tools/cluster/compose-file.ts"
import { scaled } from "../../tools/cluster/copies.ts"
import { COMPOSE_FILE } from "../../tools/cluster/local-cluster.ts"
import { overlaid, OverlayRejected, overlayLines, type Change } from "../../tools/cluster/overlay.ts"
import { startInOrder } from "../../tools/cluster/start-order.ts"

const written = readComposeFile(COMPOSE_FILE)
const service = (name: string, services: ReadonlyMap<string, Service> = written): Service => services.get(name)!
const change = (over: Partial<Change>): Change => ({ services: ["gateway-1"], why: "a test", ...over })

describe("an overlay is refused that", () => {
  test.each([
    ["names a service that is not there", { services: ["gateway-9"] }, /gateway-9: there is no such service/],
    ["replaces a setting that the file does not give", { replaces: { PORTCULLIS_RPC_URLS: "x" } }, /PORTCULLIS_RPC_URLS is replaced, and is not set/],
    ["adds a setting that the file gives", { adds: { PORTCULLIS_RPC_URL: "x" } }, /PORTCULLIS_RPC_URL is added, and is set already/],
    ["replaces an argument that is not there", { services: ["chain"], replacesAfter: { "--slots": "8" } }, /what stands after --slots/]
  ])("%s", (_what, over, says) => {
    expect(() => overlaid(written, [change(over)])).toThrow(OverlayRejected)
    expect(() => overlaid(written, [change(over)])).toThrow(says)
  })
})

describe("the rig's overlay", () => {
  test.each(SCENARIOS.map(({ name, shape }) => [name, { ...USUAL_SHAPE, ...shape }] as const))("fits the file in the shape of %s", (_name, shape) => {
    const services = servicesFor(shape)
    const count = (family: string) => [...services.keys()].filter((name) => name.startsWith(`${family}-`)).length
    expect([count("gateway"), count("kms"), count("nats")]).toEqual([shape.gateways, shape.kmsNodes, shape.natsServers])
  })

  test("no longer fits when the file loses what it replaces", () => {
    const { PORTCULLIS_STORES: _, ...environment } = service("gateway-2").environment
    const drifted = scaled(new Map(written).set("gateway-2", { ...service("gateway-2"), environment }), "kms", USUAL_SHAPE.kmsNodes)
    expect(() => overlaid(drifted, overlayOf(USUAL_SHAPE))).toThrow(/gateway-2: PORTCULLIS_STORES is replaced, and is not set/)
  })

  test("names only settings that exist", () => {
    const named = overlayOf({ ...USUAL_SHAPE, hasSmallDisks: true }).flatMap(({ replaces, adds }) => Object.keys({ ...replaces, ...adds }))
    const unknown = named.filter((name) => name.startsWith("PORTCULLIS_") && !Object.hasOwn(SETTINGS, name))
    expect(named.length).toBeGreaterThan(5)
    expect(unknown).toEqual([])
  })

  test("leaves everything else as the file says", () => {
    const composed = servicesFor(USUAL_SHAPE)
    const differences = [...composed.values()].flatMap(({ name, environment, command, entrypoint, dependsOn, health }) => {
      const original = service(written.has(name) ? name : "kms-3")
      expect([name, entrypoint, dependsOn, health]).toEqual([name, original.entrypoint, original.dependsOn, original.health])
      const settings = Object.keys({ ...environment, ...original.environment }).filter((key) => environment[key] !== original.environment[key])
      const words = command.filter((word, index) => word !== original.command[index])
      return [...settings, ...words].map((what) => `${name} ${what}`)
    })
    const ofGateway = [
      ...["PORTCULLIS_RPC_URL", "PORTCULLIS_DATABASE_URL_FILE", "PORTCULLIS_STORES", "PORTCULLIS_RESULT_FINALITY", "PORTCULLIS_LANE_KEYS_FILE"],
      ...["PORTCULLIS_ENGINE_WORKERS", "NODE_OPTIONS", "CHAOS_CLOCK_FILE"]
    ]
    expect(differences.toSorted()).toEqual(
      [
        ...[1, 2, 3].flatMap((number) => ofGateway.map((name) => `gateway-${number} ${name}`)),
        ...[1, 2, 3, 4].flatMap((number) => [`kms-${number} NODE_OPTIONS`, `kms-${number} CHAOS_CLOCK_FILE`]),
        ...[1, 2, 3].flatMap((number) => ["--cluster_advertise", `nats-${number}:1`, "--no_advertise"].map((word) => `nats-${number} ${word}`)),
        ...["setup KMS_ENDPOINTS", "setup KMS_THRESHOLD", "chain 8"]
      ].toSorted()
    )
  })

  test("is said with each run, a line for each change and why", () => {
    expect(overlayLines([change({ replaces: { A: "1" }, adds: { B: "2" }, addsWords: ["--c"] })])).toEqual(["gateway-1: A: 1; + B: 2; + --c (a test)"])
    const lines = composedLines(USUAL_SHAPE)
    expect(lines).toContain("kms-4: copies of the last one of their kind")
    expect(lines).toContain("prometheus, grafana: not started")
    expect(lines).toContain("chain: --slots-in-an-epoch 8 (reorganisations never reach what is final)")
  })
})

describe("a copy of a service", () => {
  test("has its own number wherever the last one has, and everybody else's stays", () => {
    const copies = scaled(scaled(written, "kms", 5), "gateway", 4)
    expect(service("kms-5", copies).mounts.map(({ subpath }) => subpath)).toContain("committee/node-5")
    expect(service("gateway-4", copies).environment).toMatchObject({
      PORTCULLIS_NODE_NAME: "gateway-4",
      PORTCULLIS_LANE_KEYS_FILE: "/gateway/lane-key-4",
      PORTCULLIS_BUS: service("gateway-3").environment["PORTCULLIS_BUS"]
    })
  })

  test("is not made where fewer are wanted", () => {
    expect([...scaled(written, "gateway", 1).keys()].filter((name) => name.startsWith("gateway-"))).toEqual(["gateway-1"])
  })
})

test("a service starts when those it depends on are there, and keeps no other from starting", async () => {
  const there: Array<string> = []
  const nodes = ["kms-1", "kms-2", "kms-3"].map((name) => ({ name, isThere: Promise.withResolvers<void>() }))
  await startInOrder(written, async (name) => {
    for (const { service: on } of service(name).dependsOn) expect(there, name).toContain(on)
    // Well only when the nodes answer, on which it does not depend for starting.
    if (name.startsWith("gateway")) await Promise.all(nodes.map(({ isThere }) => isThere.promise))
    nodes.find((node) => node.name === name)?.isThere.resolve()
    there.push(name)
  })
  expect(there.toSorted()).toEqual([...written.keys()].toSorted())
  expect(there.indexOf("gateway-1")).toBeGreaterThan(there.indexOf("setup"))
})

test("when a service does not start, no other is begun, and those under way are waited for", async () => {
  const begun: Array<string> = []
  const done: Array<string> = []
  const starting = startInOrder(written, async (name) => {
    begun.push(name)
    await Promise.resolve()
    if (name === "chain") throw new TypeError("no chain")
    await new Promise((resolve) => setImmediate(resolve))
    done.push(name)
  })
  await expect(starting).rejects.toThrow("no chain")
  expect(begun.filter((name) => /setup|kms|gateway/.test(name))).toEqual([])
  expect(done.toSorted()).toEqual(begun.filter((name) => name !== "chain").toSorted())
})

test("targets of scenarios have the numbers of services", () => {
  expect(["gateway-2", "kms-10", "nats-3", "rpc-1", "postgres", "store", "chain"].map(targetOf)).toEqual(["g2", "k10", "n3", "r1", "postgres", "store", "chain"])
})
