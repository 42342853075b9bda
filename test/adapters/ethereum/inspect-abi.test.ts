/** What is encoded by hand is what ethers encodes, for every request and every answer; and what no contract says is refused. */
import fc from "fast-check"
import { Interface } from "ethers"
import { describe, expect, test } from "vitest"
import { abi } from "../../../src/adapters/ethereum/generated/DecryptionGateway.ts"
import { decodeInspection, encodeInspect } from "../../../src/adapters/ethereum/inspect-abi.ts"
import { toHex, type Hex } from "../../../src/domain/hex.ts"
import { KIND_NUMBER, type DecryptionRequest } from "../../../src/domain/request.ts"

const contract = new Interface(abi)
const hex = (bytes: number) => fc.uint8Array({ minLength: bytes, maxLength: bytes }).map(toHex)
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const seconds = fc.integer({ min: 0, max: 2 ** 36 })

const requests: fc.Arbitrary<DecryptionRequest> = fc.record({
  chainId: fc.constant(1n),
  gateway: hex(20),
  kind: fc.constantFrom("public" as const, "user" as const),
  requester: hex(20),
  account: hex(20),
  epoch: uint32,
  deadline: seconds,
  callbackGas: uint32,
  salt: hex(32),
  handles: fc.array(hex(32), { minLength: 1, maxLength: 32 }),
  transportKey: fc.oneof(fc.constant<Hex>("0x"), hex(48), fc.uint8Array({ maxLength: 100 }).map(toHex))
})

const answers = fc.record({
  requestId: hex(32),
  status: fc.integer({ min: 0, max: 255 }),
  blockTimestamp: seconds,
  allowed: fc.boolean(),
  denial: fc.integer({ min: 0, max: 255 }),
  digests: fc.array(hex(32), { maxLength: 32 }),
  sizes: fc.array(uint32, { maxLength: 32 })
})

const encoded = (answer: object): Hex => contract.encodeFunctionResult("inspect", [answer]).toLowerCase() as Hex

describe("inspect, encoded and decoded by hand", () => {
  test("asks with the bytes that ethers asks with", () => {
    fc.assert(
      fc.property(requests, (request) => {
        const struct = { ...request, kind: KIND_NUMBER[request.kind] }
        expect(encodeInspect(request)).toBe(contract.encodeFunctionData("inspect", [struct]).toLowerCase())
      })
    )
  })

  test("reads what ethers writes", () => {
    fc.assert(
      fc.property(answers, (answer) => {
        expect(decodeInspection(encoded(answer))).toEqual(answer)
      })
    )
  })

  test("refuses an answer that was cut off anywhere", () => {
    fc.assert(
      fc.property(answers, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (answer, share) => {
        const whole = encoded(answer)
        expect(() => decodeInspection(whole.slice(0, 2 + Math.floor((whole.length - 2) * share)) as Hex)).toThrow(TypeError)
      })
    )
  })

  test.each([
    ["nothing", "0x"],
    ["a revert that looks like an answer", `0x08c379a0${"00".repeat(32)}`],
    ["an offset beyond the end", `0x${"ff".repeat(32)}`],
    ["words of ones", `0x${"11".repeat(32 * 12)}`]
  ])("refuses %s", (_, answer) => {
    expect(() => decodeInspection(answer as Hex)).toThrow(TypeError)
  })
})
