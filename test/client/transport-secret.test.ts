/** A transport secret does not get out by accident, and results are read strictly. */
import { inspect } from "node:util"
import { AbiCoder, getBytes } from "ethers"
import fc from "fast-check"
import { expect, test } from "vitest"
import { decodePublicResult, TransportSecret } from "../../src/client/portcullis-client.ts"

test("it does not print, serialise, spread or clone", () => {
  const secret = TransportSecret.generate()
  const hex = Buffer.from(secret.reveal()).toString("hex")
  const shown = [
    String(secret),
    `${secret}`,
    JSON.stringify({ secret }),
    inspect(secret),
    inspect({ deep: { secret } }, { showHidden: true })
  ]
  for (const text of shown) {
    expect(text).toContain("[transport secret]")
    expect(text).not.toContain(hex)
  }
  expect(Object.keys({ ...secret })).toEqual(["publicKey"])
  expect(JSON.stringify(structuredClone(secret))).not.toContain(hex)
})

test("what was revealed makes the same secret again; a copy that is changed changes nothing", () => {
  const secret = TransportSecret.generate()
  const kept = secret.reveal()
  expect(TransportSecret.fromBytes(kept).publicKey).toBe(secret.publicKey)
  const original = Uint8Array.from(kept)
  kept.fill(0)
  expect(secret.reveal()).toEqual(original)
})

test.each([
  ["too short", new Uint8Array(31).fill(1)],
  ["zero", new Uint8Array(32)],
  ["not below the group order", new Uint8Array(32).fill(0xff)]
])("bytes that are %s are refused without being shown", (reason, bytes) => {
  expect(() => TransportSecret.fromBytes(bytes)).toThrowError(
    expect.objectContaining({ _tag: "InputRejected", argument: "bytes" }) as Error
  )
  try {
    TransportSecret.fromBytes(bytes)
  } catch (error) {
    expect(String(error)).not.toContain(Buffer.from(bytes).toString("hex"))
    expect(String(error)).toContain(reason === "too short" ? "wrong length" : reason)
  }
})

test("destroyed, it gives nothing away any more; `using` destroys it", () => {
  const secret = TransportSecret.generate()
  secret.destroy()
  expect(() => secret.reveal()).toThrowError(expect.objectContaining({ _tag: "SecretDestroyed" }) as Error)
  let outer: TransportSecret
  {
    using inner = TransportSecret.generate()
    outer = inner
    expect(inner.reveal()).toHaveLength(32)
  }
  expect(() => outer.reveal()).toThrow("destroyed")
})

const items = fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 32 })

test("what a contract encodes is what is decoded", () => {
  fc.assert(
    fc.property(items, (given) => {
      const encoded = getBytes(AbiCoder.defaultAbiCoder().encode(["bytes[]"], [given]))
      expect(decodePublicResult(encoded)).toEqual(given.map((bytes) => Uint8Array.from(bytes)))
    })
  )
})

test("one list has one encoding: a changed byte is another list or none, and any bytes at all are refused politely", () => {
  fc.assert(
    fc.property(items, fc.nat(), fc.integer({ min: 1, max: 255 }), (given, position, change) => {
      const encoded = getBytes(AbiCoder.defaultAbiCoder().encode(["bytes[]"], [given]))
      const at = position % encoded.length
      const changed = encoded.with(at, encoded[at]! ^ change)
      try {
        expect(decodePublicResult(changed)).not.toEqual(given.map((bytes) => Uint8Array.from(bytes)))
      } catch (error) {
        expect(error).toMatchObject({ _tag: "InputRejected" })
      }
    })
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      expect(() => decodePublicResult(bytes)).toThrowError(expect.objectContaining({ _tag: "InputRejected" }) as Error)
    })
  )
})
