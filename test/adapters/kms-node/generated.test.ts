/** What stands in generated/ is what proto/ says. */
import { spawnSync } from "node:child_process"
import { expect, test } from "vitest"

test("the generated messages are fresh", () => {
  const run = spawnSync(process.execPath, ["tools/generate-proto.ts", "--check"], { encoding: "utf8" })
  expect(run.stderr).toBe("")
  expect(run.status).toBe(0)
})
