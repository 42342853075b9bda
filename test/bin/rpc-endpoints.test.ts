/** Endpoints that an operator has mistyped are refused before anything believes in them, and no URL is repeated: there may be a key in it. */
import { describe, expect, test } from "vitest"
import { faultOfEndpoints } from "../../bin/rpc-endpoints.ts"
import type { Settings } from "../../bin/settings.ts"

const fault = (urls: string, agreement = "1") =>
  faultOfEndpoints({ PORTCULLIS_RPC_URL: urls, PORTCULLIS_RPC_AGREEMENT: agreement } as Settings)

describe("endpoints", () => {
  test("are fit for use when they are different, of one host or of two", () => {
    expect(fault("https://one.example/key-a")).toBeUndefined()
    expect(fault("https://one.example/key-a, https://one.example/key-b,https://two.example", "2")).toBeUndefined()
  })

  test("are no two witnesses when one is named twice, however it is written", () => {
    for (const again of ["https://one.example/hunter2", "https://ONE.example:443/hunter2/"]) {
      expect(fault(`https://one.example/hunter2,https://two.example,${again}`, "2")).toMatch(/^PORTCULLIS_RPC_URL names an endpoint twice: take out number 3/)
    }
    expect(fault("https://one.example/hunter2,https://one.example/hunter2")).not.toContain("hunter2")
  })

  test("have to be two where two must agree", () => {
    expect(fault("https://one.example", "2")).toMatch(/needs at least two/)
  })
})
