/** Generated pages say what the code says today. What takes a compiler (contracts, proto) is compared by the tests of those
 * parts. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { MACHINES_PAGE, machinesPage } from "../../tools/draw-machines.ts"
import { ROOT } from "./source-files.ts"

test("the pictures of the machines are those of the machines", () => {
  expect(readFileSync(join(ROOT, MACHINES_PAGE), "utf8"), "run `npm run draw`").toBe(machinesPage())
})

test("a machine that changed would be noticed", () => {
  expect(machinesPage()).toContain("acl_checked --> ciphertext_fetched: ciphertext-fetched")
  expect(machinesPage()).not.toMatch(/\| {2}\|/) // a state without a description
})
