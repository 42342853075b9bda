/** The rules of the house hold for every file, and every rule bites: each is also shown a file that breaks it. */
import { describe, expect, test } from "vitest"
import * as rules from "./rules.ts"
import { readSources, sourceFile } from "./source-files.ts"

const SOURCES = readSources()

type Files = Readonly<Record<string, string>>

/** A sentence, the rule, and small files that it must reject: path and text. */
const HOUSE_RULES: ReadonlyArray<readonly [sentence: string, rule: rules.Rule, offenders: ReadonlyArray<Files>]> = [
  ["every file has a layer", rules.everyFileHasALayer, [{ "src/services/a.ts": "" }, { "scripts/a.ts": "" }]],
  [
    "layers import only what stands above them, types included",
    rules.layersLookUpward,
    [
      { "src/domain/a.ts": `import { b } from "../threshold/b.ts"` },
      { "src/domain/a.ts": `import type { B } from "../ledger/b.port.ts"` },
      { "machines/a.machine.ts": `import { type B } from "../src/journey/1-detected/b.ts"` },
      { "src/journey/1-detected/a.ts": `import { b } from "../../../machines/b.ts"` },
      { "src/journey/1-detected/a.ts": `const b = await import("../../adapters/nats/b.ts")` },
      { "actors/a.actor.ts": `import {\n  b\n} from "../src/adapters/nats/b.ts"` },
      { "src/adapters/nats/a.ts": `import { b } from "../../../actors/b.ts"` },
      { "src/client/a.ts": `import { b } from "../adapters/ethereum/rpc.ts"` },
      { "src/threshold/a.ts": `new Worker(new URL("../adapters/worker-threads/a.worker.ts", import.meta.url))` }
    ]
  ],
  [
    "nobody imports tests, doubles, benches or tools",
    rules.nobodyImportsObservers,
    [
      { "bin/a.ts": `import { b } from "../test/support/b.ts"` },
      { "bin/a.ts": `import { b } from "../src/adapters/memory/b.layer.ts"` },
      { "actors/a.actor.ts": `import type { B } from "../bench/b.ts"` }
    ]
  ],
  [
    "adapters take ports and types from the journey, never a step",
    rules.adaptersTakeOnlyPorts,
    [
      { "src/adapters/ethereum/a.ts": `import { checkAcl } from "../../journey/2-acl-checked/check-acl.ts"` },
      { "src/adapters/ethereum/a.ts": `import { type A, checkAcl } from "../../journey/2-acl-checked/check-acl.ts"` }
    ]
  ],
  [
    "a package is used where it belongs",
    rules.packagesStayHome,
    [
      { "actors/a.actor.ts": `import { transition } from "xstate"` },
      { "machines/a.machine.ts": `import { Effect } from "effect"` },
      { "machines/a.machine.ts": `import { readFileSync } from "node:fs"` },
      { "src/journey/1-detected/a.ts": `import { keccak256 } from "ethers"` },
      { "src/ledger/a.ts": `import type { Kysely } from "kysely"` },
      { "src/adapters/postgres/a.ts": `import { connect } from "@nats-io/transport-node"` }
    ]
  ],
  [
    "no imports go round in circles",
    rules.noCircles,
    [
      { "src/domain/a.ts": `import { b } from "./b.ts"`, "src/domain/b.ts": `import type { A } from "./a.ts"` },
      {
        "src/domain/a.ts": `import { b } from "./b.ts"`,
        "src/domain/b.ts": `import { c } from "./c.ts"`,
        "src/domain/c.ts": `import { b } from "./b.ts"`
      }
    ]
  ],
  [
    "there are no barrels",
    rules.noBarrels,
    [
      { "src/domain/index.ts": "" },
      { "src/domain/a.ts": `export * from "./b.ts"` },
      { "src/domain/a.ts": `export { b } from "./b.ts"` }
    ]
  ],
  [
    "nothing is named for nothing",
    rules.noDumpingGrounds,
    [{ "src/utils/a.ts": "" }, { "src/domain/helpers.ts": "" }, { "src/domain/core.port.ts": "" }, { "test/common/a.ts": "" }]
  ],
  ["no file is longer than can be read", rules.filesAreShort, [{ "src/domain/a.ts": "\n".repeat(401) }]],
  [
    "a suffix is a role in its place, and names are kebab-case",
    rules.suffixesAreRoles,
    [
      { "src/domain/a.machine.ts": "setup({}).createMachine({})" },
      { "machines/a.machine.ts": "export const a = 1" },
      { "src/adapters/nats/a.port.ts": "Context.Service<" },
      { "src/ledger/a.port.ts": "export interface A {}" },
      { "src/journey/1-detected/a.layer.ts": "export const a" },
      { "src/journey/1-detected/a.service.ts": "" },
      { "src/domain/aRequest.ts": "" },
      { "src/domain/Request.ts": "" }
    ]
  ],
  [
    "time, chance, settings and the screen are handed in",
    rules.theWorldIsHandedIn,
    [
      { "src/domain/a.ts": "const now = Date.now()" },
      { "src/domain/a.ts": "const now = new Date()" },
      { "src/threshold/a.ts": "Math.random()" },
      { "actors/a.actor.ts": "setTimeout(f, 1)" },
      { "actors/a.actor.ts": "setInterval(f, 1)" },
      { "src/adapters/nats/a.ts": `process.env["NATS"]` },
      { "machines/a.machine.ts": "console.log(1)" }
    ]
  ],
  [
    "nothing is postponed in a comment",
    rules.nothingIsPostponed,
    [{ "src/domain/a.ts": `// ${"TO"}DO later` }, { "test/a.ts": `/* FIX${"ME"} */` }]
  ],
  ["errors are typed", rules.errorsAreTyped, [{ "src/domain/a.ts": `throw new Error("oh")` }]],
  [
    "every file begins by saying what it is for",
    rules.filesSayWhatTheyAreFor,
    [{ "src/domain/a.ts": `import { b } from "./b.ts"` }]
  ],
  ["generated files name their generator", rules.generatedFilesSayFromWhat, [{ "src/adapters/x/generated/a.ts": "export {}" }]]
]

const titleOf = (files: Files): string => Object.entries(files).flat().join(": ").replace(/\s+/g, " ").trim().slice(0, 90)

describe.each(HOUSE_RULES)("%s", (_sentence, rule, offenders) => {
  test("everywhere", () => {
    expect(rule(SOURCES)).toEqual([])
  })

  test.each(offenders.map((files) => [titleOf(files), files] as const))("bites on %s", (_title, files) => {
    expect(rule(Object.entries(files).map(([path, text]) => sourceFile(path, text)))).not.toEqual([])
  })
})

test("a good file breaks no rule", () => {
  const good = [
    sourceFile("src/domain/a.ts", "/** A word. */\nexport const a = 1\n"),
    sourceFile("src/threshold/b.ts", `/** Never Date.now() here. */\nimport { a } from "../domain/a.ts"\nexport const b = a\n`),
    sourceFile("src/adapters/ethereum/c.ts", `/** C. */\nimport { type D } from "../../journey/1-detected/d.ts"\n`),
    sourceFile("src/journey/1-detected/d.ts", "/** D. */\nexport type D = 1\n")
  ]
  for (const [sentence, rule] of HOUSE_RULES) expect(rule(good), sentence).toEqual([])
})

test("the project has been read", () => {
  expect(SOURCES.length).toBeGreaterThan(100)
  expect(SOURCES.some(({ imports }) => imports.some(({ isType }) => isType))).toBe(true)
})
