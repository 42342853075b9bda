/**
 * What every Telemetry promises: facts become lines and numbers, secrets become neither, and nothing said to it ever hurts the
 * speaker.
 */
import { Effect, type Layer } from "effect"
import fc from "fast-check"
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { describe, test } from "vitest"
import { ENDS, JOURNEY } from "../../src/domain/journey.ts"
import type { RequestEvent } from "../../src/domain/outcome.ts"
import { MetricsPage } from "../../src/telemetry/metrics-page.port.ts"
import { COUNTER_METRICS, GAUGE_METRICS } from "../../src/telemetry/metrics.ts"
import type { CounterName, FactReached, GaugeName, LogData } from "../../src/telemetry/telemetry.port.ts"
import { Telemetry } from "../../src/telemetry/telemetry.port.ts"
import { type Family, readPrometheus, valueOf } from "./prometheus-text.ts"

type OnFact = (fact: FactReached) => void
type Say = (t: Telemetry["Service"]) => void
/** A Telemetry that has heard nothing yet, without the metrics of the process. */
type Fresh = (onFact?: OnFact) => Observed

/** Lines as they are written, and a layer that writes them there and tells `onFact`. */
export interface Observed {
  readonly layer: Layer.Layer<Telemetry | MetricsPage, unknown>
  readonly lines: ReadonlyArray<string>
}

const HASH = `0x${"ab".repeat(32)}` as const
const REQUEST = `0x${"01".repeat(32)}` as const
const BLOCK = { blockNumber: 7, blockHash: HASH }

/** A fact of each kind, in an order that could happen. */
const A_JOURNEY: ReadonlyArray<FactReached["event"]> = [
  { type: "detected", blockNumber: 5 },
  { type: "acl-checked", block: BLOCK },
  { type: "ciphertext-fetched", digests: [HASH] },
  { type: "shares-collected", nodes: [1, 3] },
  { type: "threshold-verified", root: HASH, resultHash: HASH, nodes: [1, 3], liars: [2] },
  { type: "submitted", txHash: HASH, block: BLOCK },
  { type: "finalized", txHash: HASH, block: BLOCK }
]
const THE_ENDS: ReadonlyArray<RequestEvent> = [
  { type: "refused", reason: "not-allowed", detail: "the access list said no at block 7" },
  { type: "expired", detail: "its deadline had passed" },
  { type: "halted", reason: "poisoned", detail: "given out 200 times" },
  { type: "orphaned", block: BLOCK },
  { type: "cancelled", by: "an operator", why: "asked by its owner" }
]

const factOf = (event: FactReached["event"], index: number, before: FactReached["event"] | undefined): FactReached => ({
  requestId: REQUEST,
  kind: "public",
  from: (before?.type ?? null) as FactReached["from"],
  to: event.type as FactReached["to"],
  event,
  version: index + 1,
  sinceDetectedMs: index * 100
})
const facts = (events: ReadonlyArray<FactReached["event"]>) =>
  events.map((event, index) => factOf(event, index, events[index - 1]))

interface Told {
  readonly records: ReadonlyArray<Readonly<Record<string, unknown>>>
  readonly raw: string
  readonly metrics: ReadonlyMap<string, Family>
  readonly page: string
}

/** Says something to a fresh Telemetry and gives what it wrote and counted. */
const told = async (fresh: Fresh, say: Say, onFact?: OnFact): Promise<Told> => {
  const { layer, lines } = fresh(onFact)
  const page = await Effect.runPromise(
    Effect.gen(function* () {
      say(yield* Telemetry)
      return yield* (yield* MetricsPage).text
    }).pipe(Effect.provide(layer))
  )
  const raw = lines.join("")
  const records = raw.split("\n").filter(Boolean).map((line) => JSON.parse(line) as Record<string, unknown>)
  return { records, raw, metrics: readPrometheus(page), page }
}

export const telemetryLaws = (name: string, fresh: Fresh) => {
  const when = (say: Say, onFact?: OnFact) => told(fresh, say, onFact)

  describe(name, () => {
    test("writes one info line for each fact, with its public evidence", async () => {
      const { records } = await when((t) => facts(A_JOURNEY).forEach(t.reached))
      assert.deepEqual(records.map(({ msg }) => msg), [...JOURNEY, "finalized"])
      for (const record of records) {
        assert.equal(record["level"], "info")
        assert.equal(record["request"], REQUEST)
        assert.equal(record["kind"], "public")
      }
      const [, acl, , , verified, submitted] = records
      assert.deepEqual([acl?.["from"], acl?.["to"], acl?.["version"], acl?.["sinceMs"]], ["detected", "acl-checked", 2, 100])
      assert.deepEqual([acl?.["blockNumber"], acl?.["blockHash"]], [7, HASH])
      assert.deepEqual([verified?.["root"], verified?.["nodes"], verified?.["liars"]], [HASH, "1,3", "2"])
      assert.deepEqual([submitted?.["txHash"], submitted?.["blockNumber"]], [HASH, 7])
    })

    test("counts each fact once and each end with its duration", async () => {
      const { metrics } = await when((t) => facts(A_JOURNEY).forEach(t.reached))
      for (const state of [...JOURNEY, "finalized"]) {
        assert.equal(valueOf(metrics, "gateway_decryption_requests_total", { kind: "public", state }), 1, state)
      }
      assert.equal(valueOf(metrics, "gateway_decryption_duration_seconds_count", { kind: "public", outcome: "finalized" }), 1)
      assert.ok(Math.abs(valueOf(metrics, "gateway_decryption_duration_seconds_sum") - 0.6) < 1e-9)
      for (const state of JOURNEY) assert.equal(valueOf(metrics, "gateway_state_dwell_seconds_count", { state }), 1, state)
      assert.ok(Math.abs(valueOf(metrics, "gateway_state_dwell_seconds_sum") - 0.6) < 1e-9)
      assert.equal(valueOf(metrics, "gateway_acl_denials_total"), 0)
    })

    test.each(THE_ENDS.map((event) => [event.type, event] as const))("says and counts the end %s", async (end, event) => {
      const { records, metrics } = await when((t) => facts([{ type: "detected", blockNumber: 5 }, event]).forEach(t.reached))
      assert.equal(records.filter(({ msg, level }) => msg === end && level === "info").length, 1)
      assert.equal(valueOf(metrics, "gateway_decryption_duration_seconds_count", { outcome: end }), 1)
      assert.equal(valueOf(metrics, "gateway_acl_denials_total", { reason: "not-allowed" }), end === "refused" ? 1 : 0)
      // "halted" is our own mistake and pages somebody, with the runbook to begin at; no other end does.
      const pages = records.filter(({ level }) => level === "error")
      assert.deepEqual(pages.map(({ runbook }) => runbook), end === "halted" ? ["docs/runbooks/detected.md"] : [])
    })

    test("does not count a ciphertext that is malformed as a denial", async () => {
      const event = { type: "refused", reason: "ciphertext-malformed", detail: "does not open" } as const
      const { metrics } = await when((t) => facts([event]).forEach(t.reached))
      assert.equal(valueOf(metrics, "gateway_acl_denials_total"), 0)
    })

    test("does not count a request that moved as detected again", async () => {
      const moved = { type: "moved", anchor: { ...BLOCK, logIndex: 0 } } as const
      const { metrics, records } = await when((t) => {
        const [first, second] = facts([{ type: "detected", blockNumber: 5 }, moved])
        if (first !== undefined && second !== undefined) [first, { ...second, to: "detected" as const }].forEach(t.reached)
      })
      assert.equal(valueOf(metrics, "gateway_decryption_requests_total", { state: "detected" }), 1)
      assert.deepEqual(records.map(({ msg, event }) => [msg, event]), [["detected", undefined], ["detected", "moved"]])
    })

    test("tells a listener of each fact, and outlives one that throws", async () => {
      const heard: Array<string> = []
      const { records } = await when(
        (t) => facts(A_JOURNEY).forEach(t.reached),
        ({ to }) => {
          heard.push(to)
          throw new Error("the terminal is gone")
        }
      )
      assert.deepEqual(heard, [...JOURNEY, "finalized"])
      assert.equal(records.length, 7)
    })

    test("measures steps and share replies", async () => {
      const { metrics } = await when((t) => {
        t.step("detected", "acl-checked", 0.002)
        t.step("detected", "postponed", 0.5)
        t.step("detected", "postponed", 0.5)
        t.shareReply(3, "answered", 0.02)
        t.shareReply(3, "NodeUnavailable", 4)
      })
      assert.equal(valueOf(metrics, "gateway_step_attempts_total", { step: "detected", outcome: "postponed" }), 2)
      assert.equal(valueOf(metrics, "gateway_step_duration_seconds_sum", { step: "detected", outcome: "postponed" }), 1)
      assert.equal(valueOf(metrics, "gateway_share_reply_seconds_count", { node: "3" }), 2)
      assert.equal(valueOf(metrics, "gateway_share_reply_seconds_bucket", { node: "3", outcome: "NodeUnavailable", le: "4" }), 1)
    })

    test.each(Object.keys(COUNTER_METRICS) as ReadonlyArray<CounterName>)("counts %s", async (counter) => {
      const { metrics } = await when((t) => {
        t.count(counter)
        t.count(counter, 4)
        t.count(counter, 0)
      })
      assert.equal(valueOf(metrics, `gateway_${counter}_total`), 5)
    })

    test.each(Object.keys(GAUGE_METRICS) as ReadonlyArray<GaugeName>)("shows %s", async (gauge) => {
      const { metrics } = await when((t) => {
        t.gauge(gauge, 41)
        t.gauge(gauge, 3.5)
      })
      assert.equal(valueOf(metrics, `gateway_${gauge}`), 3.5)
    })

    test("writes info, warnings and errors with their data", async () => {
      const { records } = await when((t) => {
        t.info("ready", { port: 1 })
        t.warn("leases not renewed", { error: "LedgerUnavailable", isFirst: true, since: null })
        t.error("a KMS node gave a wrong share", { requestId: REQUEST, node: 2 })
      })
      assert.deepEqual(records.map(({ level, msg }) => [level, msg]), [
        ["info", "ready"],
        ["warn", "leases not renewed"],
        ["error", "a KMS node gave a wrong share"]
      ])
      assert.deepEqual([records[1]?.["error"], records[1]?.["isFirst"], records[1]?.["since"]], ["LedgerUnavailable", true, null])
      assert.equal(records[2]?.["requestId"], REQUEST)
    })

    test("keeps labels within their bounds, whatever it is told", async () => {
      const { metrics, page } = await when((t) => {
        for (let i = 0; i < 300; i++) {
          t.count("fee_bumps", 1, `0x${i.toString(16).padStart(40, "0")}`)
          t.count("wrong_shares", 1, String(i))
          t.count("stale_decisions", 1, `label ${i}`)
          t.shareReply(i, `outcome ${i}`, 1)
          t.step(`step ${i}` as never, `outcome ${i}`, 1)
        }
      })
      const seriesOf = (family: string) => metrics.get(family)?.samples.length ?? 0
      assert.equal(seriesOf("gateway_fee_bumps_total"), 65)
      assert.equal(seriesOf("gateway_wrong_shares_total"), 33)
      assert.equal(seriesOf("gateway_stale_decisions_total"), 1)
      assert.equal(seriesOf("gateway_step_attempts_total"), 1)
      assert.equal(valueOf(metrics, "gateway_fee_bumps_total"), 300)
      assert.ok(!page.includes("outcome 7"))
    })

    test("never throws, whatever it is given, and its page can still be read", async () => {
      const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withTypedArray: true })
      await fc.assert(
        fc.asyncProperty(anything, async (thing) => {
          const it = thing as never
          await when((t) => {
            t.reached(it)
            t.reached({ ...factOf(A_JOURNEY[1] ?? it, 1, undefined), event: it, requestId: it, sinceDetectedMs: it })
            t.step(it, it, it)
            t.count(it, it, it)
            t.count("reorgs", it, it)
            t.gauge(it, it, it)
            t.gauge("cursor_block", it, it)
            t.shareReply(it, it, it)
            t.info(it, it)
            t.warn("what", { it })
          })
        }),
        { numRuns: 100 }
      )
    })

    test("outlives data that cannot be read", async () => {
      const trap = new Proxy({}, { ownKeys: refuse, get: refuse })
      const { records } = await when((t) => {
        t.warn("a trap", trap as LogData)
        t.warn("a getter", Object.defineProperty({}, "key", { enumerable: true, get: refuse }) as LogData)
      })
      assert.deepEqual(records.map(({ msg, dropped }) => [msg, dropped]), [["a trap", undefined], ["a getter", 1]])
    })

    test("a planted secret never comes out, however it was put in", async () => {
      // From the 48 bytes of a share to the 96 of a public key, and as random as they are.
      const planted = fc
        .record({ seed: fc.nat(), bytes: fc.constantFrom(48, 49, 64, 80, 96) })
        .map(({ seed, bytes }) => new Uint8Array(createHash("shake256", { outputLength: bytes }).update(String(seed)).digest()))
      await fc.assert(
        fc.asyncProperty(planted, fc.constantFrom(...WAYS_IN.keys()), async (secret, way) => {
          const { raw, page } = await when((t) => WAYS_IN.get(way)?.(t, secret))
          for (const marker of markersOf(secret)) {
            assert.ok(!raw.includes(marker), `${way} wrote ${marker}`)
            assert.ok(!page.includes(marker), `${way} shows ${marker}`)
          }
        }),
        { numRuns: 600 }
      )
    })

    test("every end is among the states it knows", () => {
      assert.deepEqual(new Set(["finalized", ...THE_ENDS.map(({ type }) => type)]), new Set(ENDS))
    })
  })
}

const refuse = () => assert.fail("nobody may look")

/** The forms in which bytes are usually seen. */
const markersOf = (secret: Uint8Array): ReadonlyArray<string> => {
  const buffer = Buffer.from(secret)
  return [
    buffer.toString("hex"),
    buffer.toString("base64").slice(0, 40),
    buffer.toString("base64url").slice(0, 40),
    secret.join(","),
    secret.join('","')
  ]
}

const hex = (secret: Uint8Array) => Buffer.from(secret).toString("hex")

const aFact = (event: FactReached["event"]): FactReached => factOf(event, 1, undefined)

/** Mistakes that a hurried programmer could make, most of them only with a cast. */
type WayIn = (t: Telemetry["Service"], secret: Uint8Array) => void
const WAYS_IN: ReadonlyMap<string, WayIn> = new Map<string, WayIn>([
  ["bytes as data", (t, secret) => t.warn("oh", secret as never)],
  ["bytes as a value", (t, secret) => t.warn("oh", { key: secret as never })],
  ["a buffer as a value", (t, secret) => t.error("oh", { key: Buffer.from(secret) as never })],
  ["numbers as a value", (t, secret) => t.info("oh", { key: [...secret] as never })],
  ["an object as a value", (t, secret) => t.info("oh", { key: { inner: { secret: hex(secret) } } as never })],
  ["an error as data", (t, secret) => t.warn("oh", new Error(hex(secret)) as never)],
  ["an error as a value", (t, secret) => t.warn("oh", { err: new Error(hex(secret)) as never })],
  ["something with toJSON", (t, secret) => t.warn("oh", { key: { toJSON: () => hex(secret) } as never })],
  ["hex as a value", (t, secret) => t.warn("oh", { key: hex(secret) })],
  ["0x hex in a sentence", (t, secret) => t.warn("oh", { key: `the share 0x${hex(secret)} is wrong` })],
  ["base64url as a value", (t, secret) => t.warn("oh", { key: `key=${Buffer.from(secret).toString("base64url")}` })],
  ["32 bytes in base64", (t, secret) => t.warn("oh", { key: Buffer.from(secret.subarray(0, 32)).toString("base64") })],
  ["base64 as a value", (t, secret) => t.warn("oh", { key: Buffer.from(secret).toString("base64") })],
  ["a secret by name", (t, secret) => t.warn("oh", { transportSecret: hex(secret).slice(0, 60) })],
  ["hex as the sentence", (t, secret) => t.error(`got ${hex(secret)}`, {})],
  ["bytes as the sentence", (t, secret) => t.error(secret as never, {})],
  ["hex as a key", (t, secret) => t.info("oh", { [`k${hex(secret)}`]: 1 })],
  ["a label", (t, secret) => t.count("fee_bumps", 1, hex(secret))],
  ["a label of a gauge", (t, secret) => t.gauge("lane_open_slots", 1, `0x${hex(secret)}`)],
  ["an outcome", (t, secret) => t.step("detected", hex(secret), 1)],
  ["a step", (t, secret) => t.step(hex(secret) as never, "acl-checked", 1)],
  ["a node", (t, secret) => t.shareReply(hex(secret) as never, hex(secret), 1)],
  ["a counter", (t, secret) => t.count(hex(secret) as never)],
  ["the detail of a refusal", (t, secret) => t.reached(aFact({ type: "refused", reason: "not-public", detail: hex(secret) }))],
  ["the reason of a halt", (t, secret) => t.reached(aFact({ type: "halted", reason: hex(secret), detail: hex(secret) }))],
  ["a field nobody declared", (t, secret) => t.reached(aFact({ type: "expired", detail: "", share: hex(secret) } as never))],
  ["shares for nodes", (t, secret) => t.reached(aFact({ type: "shares-collected", nodes: [hex(secret)] as never }))],
  ["an event that is bytes", (t, secret) => t.reached(aFact(secret as never))],
  ["a kind", (t, secret) => t.reached({ ...aFact({ type: "detected", blockNumber: 1 }), kind: hex(secret) as never })],
  ["a block number", (t, secret) => t.reached(aFact({ type: "detected", blockNumber: secret as never }))]
])
