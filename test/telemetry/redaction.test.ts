import fc from "fast-check"
import assert from "node:assert/strict"
import { describe, test } from "vitest"
import { redact, redactText, TEXT_CHARACTERS_MAX } from "../../src/telemetry/redaction.ts"

const HASH = `0x${"5a".repeat(32)}`

describe("redaction lets through what operators need", () => {
  test.each([
    ["a sentence", "the access list said no at block 7"],
    ["a hash in a sentence", `${HASH} left the chain`],
    ["an address", "0x00000000000000000000000000000000000000aA"],
    ["a URL without credentials", "http://127.0.0.1:8545/health?full=1"],
    ["a runbook", "docs/runbooks/threshold-verified.md"],
    ["a long path", "/var/lib/portcullis/gateway/ciphertexts/objects/cache"],
    ["an error's tag", "LedgerUnavailable"],
    ["nothing", ""]
  ])("%s", (_what, text) => assert.equal(redactText(text), text))

  test("numbers, booleans and null", () => {
    const data = { count: 1, isOpen: false, since: null }
    assert.deepEqual(redact(data), { data, dropped: 0 })
  })
})

describe("redaction takes out", () => {
  test.each([
    ["a share in hex", "a".repeat(96), "[96 characters]"],
    ["33 bytes of hex", `x 0x${"ab".repeat(33)} y`, "x [68 characters] y"],
    ["32 bytes in base64", Buffer.alloc(32, 0xa5).toString("base64").replace("p", "7"), "[44 characters]"],
    ["the password of a URL", "postgres://me:s3cret/@x@db:5432/portcullis is gone", "postgres://db:5432/portcullis is gone"]
  ])("%s", (_what, text, expected) => assert.equal(redactText(text), expected))

  test("texts that are named like a secret", () => {
    const { data, dropped } = redact({ apiKey: "k", password: "p", sealedSeed: "s", transportSecret: "t", tokens: 3 })
    const withheld = "[withheld]"
    assert.deepEqual(data, { apiKey: withheld, password: withheld, sealedSeed: withheld, transportSecret: withheld, tokens: 3 })
    assert.equal(dropped, 0)
  })

  test.each([
    ["bytes", new Uint8Array(3)],
    ["an array", [1, 2]],
    ["an object", { a: 1 }],
    ["a function", () => 1],
    ["a symbol", Symbol("a")],
    ["a bigint", 1n],
    ["nothing at all", undefined]
  ])("%s as a value, and counts it", (_what, value) => {
    assert.deepEqual(redact({ kept: 1, value: value as never }), { data: { kept: 1 }, dropped: 1 })
  })

  test("keys that every line has already", () => {
    assert.deepEqual(redact({ msg: "a", level: "b", time: "c", ok: "d" }), { data: { ok: "d" }, dropped: 3 })
  })

  test("whatever comes after the thirty-second entry", () => {
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`key${index}`, index]))
    const { data, dropped } = redact(many)
    assert.deepEqual([Object.keys(data).length, dropped], [32, 8])
  })
})

test("a text never grows beyond its bound, and redacting twice changes nothing", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 3_000 }), (text) => {
      const once = redactText(text)
      assert.ok(once.length <= TEXT_CHARACTERS_MAX + 1)
      assert.ok(once.isWellFormed() || !text.isWellFormed())
      if (once.length <= TEXT_CHARACTERS_MAX) assert.equal(redactText(once), once)
    })
  )
})

test("a text of a megabyte is not looked at", () => {
  assert.equal(redactText("a b ".repeat(250_000)), "[1000000 characters]")
})

test("the worst text within the bound is read in milliseconds", () => {
  for (const worst of ["a".repeat(39) + " ", "://", "A1a/".repeat(9) + "=", "x://"]) {
    const text = worst.repeat(Math.floor(4_096 / worst.length))
    const startedMs = performance.now()
    redactText(text)
    assert.ok(performance.now() - startedMs < 100, `${worst.slice(0, 8)}: ${performance.now() - startedMs} ms`)
  }
})
