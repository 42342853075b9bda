/** docker-compose.yml says what it means: every service is understood, every setting and metric in it exists, and what is not understood is
 * refused. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, test } from "vitest"
import { parse } from "yaml"
import { isRejected, readSettings, SETTINGS, type SettingName } from "../../bin/settings.ts"
import { METRICS } from "../../src/telemetry/metrics.ts"
import { addressesOf, dialledIn, planOf } from "../../tools/cluster/as-processes.ts"
import { readComposeFile, servicesIn } from "../../tools/cluster/compose-file.ts"

const ROOT = fileURLToPath(new URL("../..", import.meta.url))
const textOf = (path: string): string => readFileSync(join(ROOT, path), "utf8")
const services = readComposeFile(join(ROOT, "docker-compose.yml"))
const addresses = addressesOf(services, "127.70.1")
const place = { root: ROOT, volumes: "/volumes" }
const planFor = (name: string) => planOf(services.get(name)!, addresses, place)
const ours = [...services.values()].filter(({ image }) => image === "portcullis")
const gateways = ours.filter(({ command }) => command[0] === "gateway")

describe("the compose file", () => {
  test("has three NATS servers, PostgreSQL, three gateways, three KMS nodes, a chain, Prometheus and Grafana", () => {
    expect([...services.keys()].toSorted()).toEqual(
      [
        ...["nats-1", "nats-2", "nats-3", "postgres", "chain", "setup", "kms-1", "kms-2", "kms-3"],
        ...["gateway-1", "gateway-2", "gateway-3", "prometheus", "grafana"]
      ].toSorted()
    )
  })

  test.each(gateways.map((service) => [service.name, service] as const))("gives %s settings that a gateway accepts", (_name, { environment }) => {
    expect(isRejected(readSettings(environment, undefined, Object.keys(environment) as ReadonlyArray<SettingName>))).toBe(false)
  })

  test("gives its own programs no setting that does not exist", () => {
    const given = ours.flatMap(({ environment }) => Object.keys(environment)).filter((name) => name.startsWith("PORTCULLIS_"))
    expect(given.length).toBeGreaterThan(40)
    expect(given.filter((name) => !Object.hasOwn(SETTINGS, name))).toEqual([])
  })

  test("shows a gateway nothing of a KMS node, and a KMS node nothing of another or of the gateways", () => {
    const parts = ours.filter(({ name }) => name !== "setup").map(({ name, mounts }) => [name, mounts.map(({ subpath }) => subpath)] as const)
    for (const [name, subpaths] of parts) {
      for (const subpath of subpaths) {
        if (name.startsWith("gateway")) expect(["gateway", "store", ""]).toContain(subpath)
        else expect(subpath).toBe(`committee/node-${name.at(-1)}`)
      }
    }
  })

  test("declares every network and volume that a service names, and no other", () => {
    interface Written {
      readonly services: Readonly<Record<string, { readonly networks: ReadonlyArray<string> }>>
      readonly networks: object
      readonly volumes: object
    }
    const written = parse(textOf("docker-compose.yml"), { merge: true }) as Written
    const networks = new Set(Object.values(written.services).flatMap((service) => service.networks))
    const volumes = [...services.values()].flatMap(({ mounts }) => mounts.filter(({ isVolume, source }) => isVolume && !source.includes("-tmpfs")))
    expect([...networks].toSorted()).toEqual(Object.keys(written.networks).toSorted())
    expect([...new Set(volumes.map(({ source }) => source))].toSorted()).toEqual(Object.keys(written.volumes).toSorted())
  })

  test("mounts and runs only files that are there", () => {
    const beside = [...services.values()].flatMap(({ mounts }) => mounts.filter(({ isVolume }) => !isVolume).map(({ source }) => source))
    expect([...beside, "Dockerfile", "docker/setup.sh"].filter((path) => !existsSync(join(ROOT, path)))).toEqual([])
  })
})

describe("a service as a process", () => {
  test("has an address of its own, and finds the others under theirs", () => {
    const { address, environment, words } = planFor("gateway-2")
    expect(address).toBe(addresses.get("gateway-2"))
    expect(environment["PORTCULLIS_BUS"]).toBe(["nats-1", "nats-2", "nats-3"].map((name) => `nats://${addresses.get(name)}:4222`).join(","))
    expect(environment["PORTCULLIS_HTTP_LISTEN"]).toBe(`${address}:9464`)
    expect(environment["PORTCULLIS_NODE_NAME"]).toBe("gateway-2")
    expect(words).toEqual(["portcullis", "gateway"])
  })

  test("finds its files where its volumes are", () => {
    expect(planFor("gateway-1").environment["PORTCULLIS_KMS_TLS_DIR"]).toBe("/volumes/world/gateway/tls")
    expect(planFor("gateway-1").environment["PORTCULLIS_STORES"]).toBe("dev=/volumes/world/store")
    expect(planFor("kms-3").environment["PORTCULLIS_KMS_DIR"]).toBe("/volumes/world/committee/node-3")
    expect(planFor("nats-1").words).toContain("/volumes/nats-1")
    expect(planFor("setup").words).toEqual(["sh", join(ROOT, "docker/setup.sh")])
  })

  test("has its health check asked at its own address, and whoever waits for its health has one to wait for", () => {
    expect(planFor("kms-2").health?.join(" ")).toContain(`connect(7443, '${addresses.get("kms-2")}')`)
    expect(planFor("gateway-3").health?.join(" ")).toContain(`http://${addresses.get("gateway-3")}:9464/health/ready`)
    const waitedFor = [...services.values()].flatMap(({ dependsOn }) => dependsOn.filter(({ condition }) => condition === "service_healthy"))
    expect(waitedFor.length).toBeGreaterThan(0)
    expect(waitedFor.filter(({ service }) => services.get(service)?.health === undefined)).toEqual([])
  })

  test("finds hosts and ports that a text names, and nothing that only looks so", () => {
    const text = "nats://nats-1:4222,nats-10:6222 --server_name nats-1 my-nats-1:4222"
    expect(dialledIn(text, addresses.keys())).toEqual([{ name: "nats-1", port: 4222 }])
  })

  test("reads a copy of its configuration, in which hosts have addresses", () => {
    const { words, configuration } = planFor("prometheus")
    expect(words).toContain("--config.file=/volumes/prometheus-configuration/ops/prometheus/prometheus.yml")
    expect(configuration).toEqual([{ from: join(ROOT, "ops/prometheus"), to: "/volumes/prometheus-configuration/ops/prometheus" }])
    expect(planFor("setup").configuration).toEqual([])
  })

  test("keeps names that are not hosts", () => {
    expect(planFor("nats-2").words.slice(planFor("nats-2").words.indexOf("--server_name")).slice(0, 2)).toEqual(["--server_name", "nats-2"])
  })
})

describe("what is not understood is refused:", () => {
  test.each([
    ["a key that changes what runs", { services: { a: { image: "portcullis", env_file: "x" } } }, /a: what is to be done about env_file\?/],
    ["a service without an image", { services: { a: { command: [] } } }, /a: no image is named/],
    ["a command that is one string", { services: { a: { image: "x", command: "a b" } } }, /a\.command: is not a list/],
    ["a mount of another type", { services: { a: { image: "x", volumes: [{ type: "bind", source: "a", target: "b" }] } } }, /a volume is a string/],
    ["a health check for a shell", { services: { a: { image: "x", healthcheck: { test: ["CMD-SHELL", "true"], timeout: "1s" } } } }, /a: a health check is CMD/],
    ["a file without services", {}, /services: is not a mapping/]
  ])("%s", (_what, document, says) => {
    expect(() => servicesIn(document)).toThrow(says)
  })
})

test("alerts and dashboards name only metrics that exist", () => {
  const known = new Set<string>(METRICS.map(({ name }) => name))
  const expressions = [textOf("ops/prometheus/alerts.yml"), textOf("ops/grafana/dashboards/portcullis.json")].join("\n")
  const named = [...expressions.matchAll(/\bgateway_[a-z_]+/g)].map(([name]) => name.replace(/_(?:bucket|sum|count)$/, ""))
  expect(named.length).toBeGreaterThan(15)
  expect(named.filter((name) => !known.has(name))).toEqual([])
})

test("every alert names a page that says what to do", () => {
  interface Rule {
    readonly annotations: { readonly runbook: string }
  }
  const { groups } = parse(textOf("ops/prometheus/alerts.yml")) as { readonly groups: ReadonlyArray<{ readonly rules: ReadonlyArray<Rule> }> }
  const pages = groups.flatMap(({ rules }) => rules.map(({ annotations }) => annotations.runbook))
  expect(pages.length).toBeGreaterThan(4)
  expect(pages.filter((page) => !existsSync(join(ROOT, page)))).toEqual([])
})
