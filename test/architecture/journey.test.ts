/** One stem, every place: whoever knows the word of a milestone finds its state, step, actor and runbook under it. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { decryptionRequestMachine } from "../../machines/decryption-request.machine.ts"
import { ENDS, JOURNEY } from "../../src/domain/journey.ts"
import { ROOT } from "./source-files.ts"

const STEPS = JOURNEY.map((milestone, index) => ({ milestone, name: `${index + 1}-${milestone}` }))

/** style.md, section 5: what someone who was woken up needs, in this order. */
const RUNBOOK_HEADINGS = [
  "What you see",
  "What it means",
  "Is anyone hurt?",
  "Do",
  "Verify",
  "If that did not help",
  "What not to do"
]

describe.each(STEPS)("$name", ({ milestone, name }) => {
  test("has a folder with its step", () => {
    const files = readdirSync(join(ROOT, "src/journey", name))
    expect(files.some((file) => file.endsWith(".ts") && !file.endsWith(".port.ts"))).toBe(true)
  })

  test("has an actor", () => {
    expect(existsSync(join(ROOT, `actors/${name}.actor.ts`))).toBe(true)
  })

  test("has a state", () => {
    expect(Object.keys(decryptionRequestMachine.states)).toContain(milestone)
  })

  test("has a runbook that answers every question in order", () => {
    const runbook = readFileSync(join(ROOT, `docs/runbooks/${milestone}.md`), "utf8")
    expect([...runbook.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading)).toEqual(RUNBOOK_HEADINGS)
    for (const section of runbook.split(/^## .*$/m).slice(1)) expect(section.trim().length).toBeGreaterThan(60)
  })
})

const numbered = (folder: string): ReadonlyArray<string> =>
  readdirSync(join(ROOT, folder))
    .filter((name) => /^\d/.test(name))
    .map((name) => name.replace(".actor.ts", ""))

test("the numbers stand on folders and actors, in the journey's order, and there are no others", () => {
  expect(numbered("src/journey")).toEqual(STEPS.map(({ name }) => name))
  expect(numbered("actors")).toEqual(STEPS.map(({ name }) => name))
})

test("each end of the domain is a state of the machine", () => {
  expect(Object.keys(decryptionRequestMachine.states)).toEqual(expect.arrayContaining([...ENDS]))
})
