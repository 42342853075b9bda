/** What the documents say exists, exists: links, files, tests, commands. A page that no longer fits fails here and not at its reader. */
import { Command } from "commander"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { addClientCommands } from "../../bin/arguments/client-commands.ts"
import { addOperatorCommands } from "../../bin/arguments/operator-commands.ts"
import { addServerCommands } from "../../bin/arguments/server-commands.ts"
import { anchorsOf, citedTestsOf, codeOf, linksOf, readPages, type Page } from "./documents.ts"
import { readSources, ROOT } from "./source-files.ts"

const PAGES = readPages()
const exists = (path: string): boolean => existsSync(join(ROOT, path))
const everywhere = (faults: (page: Page) => ReadonlyArray<string>): ReadonlyArray<string> =>
  PAGES.flatMap((page) => faults(page).map((fault) => `${page.path}: ${fault}`))

const brokenLinks = (page: Page): ReadonlyArray<string> =>
  linksOf(page).flatMap(({ to, anchor }) => {
    if (!exists(to)) return [`${to} does not exist`]
    if (anchor === undefined || !to.endsWith(".md")) return []
    const target = PAGES.find(({ path }) => path === to)
    return target === undefined || anchorsOf(target).has(anchor) ? [] : [`${to} has no heading for #${anchor}`]
  })

/** Paths in backticks, without the patterns and the placeholders among them. */
const OUR_PATH = /^(?:src|test|actors|machines|bin|contracts|tools|bench|docs|proto)\/[\w./-]*[\w/]$/
const missingPaths = (page: Page): ReadonlyArray<string> =>
  codeOf(page)
    .filter((code) => OUR_PATH.test(code) && !exists(code))
    .map((code) => `\`${code}\` does not exist`)

const text = (path: string): string => readFileSync(join(ROOT, path), "utf8")
const missingTests = (page: Page): ReadonlyArray<string> =>
  citedTestsOf(page)
    .filter(({ file, title }) => !exists(file) || !text(file).includes(title))
    .map(({ file, title }) => `${file} has no test "${title}"`)

const scripts = Object.keys((JSON.parse(text("package.json")) as { readonly scripts: Readonly<Record<string, string>> }).scripts)
const unknownScripts = (page: Page): ReadonlyArray<string> =>
  codeOf(page)
    .flatMap((code) => [...code.matchAll(/\bnpm (?:run ([\w:-]+)|(start|test)\b)/g)].map(([, run, short]) => run ?? short ?? ""))
    .filter((script) => !scripts.includes(script))
    .map((script) => `npm has no script ${script}`)

const program = new Command("portcullis")
addServerCommands(program)
addClientCommands(program)
addOperatorCommands(program)

/** What is wrong with words that follow `portcullis`: a command that does not exist, or an option that it does not take. */
const misspelt = (words: ReadonlyArray<string>): string | undefined => {
  let command: Command = program
  for (const word of words) {
    if (/^[a-z][a-z-]*$/.test(word) && command.commands.length > 0) {
      const found = command.commands.find((candidate) => candidate.name() === word)
      if (found === undefined) return `portcullis has no command "${words.join(" ")}"`
      command = found
    } else if (/^--[a-z-]+$/.test(word) && word !== "--help" && !command.options.some(({ long }) => long === word)) {
      return `portcullis ${command.name()} does not take ${word}`
    }
  }
  return undefined
}

const unknownCommands = (page: Page): ReadonlyArray<string> =>
  codeOf(page)
    .flatMap((code) => [...code.matchAll(/(?:^|node bin\/)portcullis(?:\.js)? ([a-z][^#|&;]*)/g)].map(([, words = ""]) => words.trim().split(/\s+/)))
    .flatMap((words) => misspelt(words) ?? [])

/** Folders of whoever wrote a page mean nothing to its reader. */
const foreignPlaces = (page: Page): ReadonlyArray<string> =>
  [...page.text.matchAll(/(?<![\w.])\/(?:home|root|work|Users)\/[\w-]*/g)].map(([place]) => `${place} is a place on somebody's machine`)

const ADR_HEADINGS = ["The question", "What we knew", "Options", "Decision", "What it costs", "How it is kept", "What would change it"]
const otherHeadings = (page: Page): ReadonlyArray<string> =>
  /^docs\/adr\/\d/.test(page.path) &&
  JSON.stringify([...page.text.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading)) !== JSON.stringify(ADR_HEADINGS)
    ? ["has not the headings of docs/adr/0000-template.md"]
    : []

const RULES = [
  ["a link leads to something", brokenLinks, "[a](gone.md) [b](#nowhere)"],
  ["a path in backticks exists", missingPaths, "`src/domain/gone.ts`"],
  ["a cited test exists", missingTests, '`test/threshold/merkle.test.ts`: "is not here"'],
  ["a script of npm exists", unknownScripts, "`npm run nonsense`"],
  ["a command of portcullis exists, with its options", unknownCommands, "`portcullis request dance`"],
  ["a command of portcullis exists, with its options", unknownCommands, "```\nportcullis doctor --loudly\n```"],
  ["no place on somebody's machine is named", foreignPlaces, `a ${"/home"}/somebody/file`],
  ["a decision has the template's headings", otherHeadings, "## Decision"]
] as const

describe.each(RULES)("%s", (_sentence, rule, offender) => {
  test("on every page", () => {
    expect(everywhere(rule)).toEqual([])
  })

  test("and the rule bites", () => {
    expect(rule({ path: "docs/adr/9999-offender.md", text: offender })).not.toEqual([])
  })
})

test("pages that the code names exist: runbooks in logs, decisions in comments", () => {
  const contracts = readdirSync(join(ROOT, "contracts/src")).map((name) => ({ path: `contracts/src/${name}`, text: text(`contracts/src/${name}`) }))
  const missing = [...readSources().filter(({ path }) => !path.startsWith("test/")), ...contracts].flatMap((source) =>
    [...source.text.matchAll(/\bdocs\/[\w/-]+\.md\b/g)].filter(([page]) => !exists(page)).map(([page]) => `${source.path} names ${page}`)
  )
  expect(missing).toEqual([])
})

test("whatever pages somebody stands in a runbook, in the words of the log", () => {
  const paged = readSources()
    .filter(({ path }) => /^(?:actors|src|bin)\//.test(path))
    .flatMap((source) => [...source.text.matchAll(/\btelemetry\.error\(\s*"([^"]+)"/g)].map(([, words = ""]) => words))
  const runbooks = PAGES.filter(({ path }) => path.startsWith("docs/runbooks/")).map((page) => page.text)
  expect(paged.filter((words) => !runbooks.some((runbook) => runbook.includes(`\`${words}\``)))).toEqual([])
  expect(paged.length).toBeGreaterThan(3)
})

test("the pages have been read", () => {
  expect(PAGES.length).toBeGreaterThan(20)
  expect(PAGES.flatMap(linksOf).length).toBeGreaterThan(50)
  expect(PAGES.flatMap(citedTestsOf).length).toBeGreaterThan(50)
})
