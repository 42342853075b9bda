import { expect, test } from "vitest"
import { staleModules } from "../../tools/generate-abi.ts"

test("the generated ABI and bytecode are what the contracts compile to", () => {
  expect(staleModules(), "run `npm run generate`").toEqual([])
})
