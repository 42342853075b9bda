import { expect, test } from "vitest"
import { identityBytes } from "../../src/threshold/identity.ts"

test("an identity is tag, chain id, registry and handle, 112 bytes", () => {
  const [registry, handle] = [new Uint8Array(20).fill(0xaa), new Uint8Array(32).fill(0xbb)]
  const identity = identityBytes({ chainId: 0x1234n, registry, handle })
  const tag = Buffer.from("portcullis/native/v1/decrypt").toString("hex")
  expect(Buffer.from(identity).toString("hex")).toBe(
    `${tag}${"1234".padStart(64, "0")}${"aa".repeat(20)}${"bb".repeat(32)}`
  )
  expect(identity).toHaveLength(112)
})

test("parts of another length are our mistakes", () => {
  const good = { chainId: 1n, registry: new Uint8Array(20), handle: new Uint8Array(32) }
  expect(() => identityBytes({ ...good, registry: new Uint8Array(21) })).toThrow("20 bytes")
  expect(() => identityBytes({ ...good, handle: new Uint8Array(31) })).toThrow("32 bytes")
  expect(() => identityBytes({ ...good, chainId: -1n })).toThrow("uint256")
  expect(() => identityBytes({ ...good, chainId: 1n << 256n })).toThrow("uint256")
})
