/** The project's documents as data: each page's path, text, links and headings. */
import { readdirSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"
import { ROOT } from "./source-files.ts"

export interface Page {
  /** From the project's root. */
  readonly path: string
  readonly text: string
}

const FOLDERS = ["docs", "machines", "chaos", "bench", "contracts", "ops"]

/** Every page that is written or generated, except those of installed packages. */
export const readPages = (): ReadonlyArray<Page> => {
  const atRoot = readdirSync(ROOT).filter((name) => name.endsWith(".md"))
  return [...atRoot, ...FOLDERS.flatMap(pagesIn)].map((path) => ({ path, text: readFileSync(join(ROOT, path), "utf8") }))
}

const pagesIn = (folder: string): ReadonlyArray<string> => {
  try {
    return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .map((name) => posix.join(folder, name.replaceAll("\\", "/")))
      .filter((path) => path.endsWith(".md"))
      .toSorted()
  } catch {
    return [] // a folder that does not exist has no pages
  }
}

export interface Link {
  /** From the project's root; the page itself for a bare anchor. */
  readonly to: string
  readonly anchor: string | undefined
}

/** Links to our own files. Code blocks show text, not links. */
export const linksOf = ({ path, text }: Page): ReadonlyArray<Link> =>
  [...withoutBlocks(text).matchAll(/\]\(([^()\s]+)\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !/^[a-z]+:/i.test(target))
    .map((target) => {
      const [file = "", anchor] = target.split("#")
      return { to: file === "" ? path : posix.join(posix.dirname(path), file), anchor }
    })

/** Anchors as GitHub makes them: lower case, punctuation gone, spaces become hyphens. */
export const anchorsOf = ({ text }: Page): ReadonlySet<string> =>
  new Set(
    [...withoutBlocks(text).matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = ""]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-")
    )
  )

export const withoutBlocks = (text: string): string => text.replace(/^```[\s\S]*?^```$/gm, "")

/** Pieces in backticks and lines of code blocks: what a reader may type or open. */
export const codeOf = ({ text }: Page): ReadonlyArray<string> => [
  ...[...withoutBlocks(text).matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code),
  ...[...text.matchAll(/^```[a-z]*\n([\s\S]*?)^```$/gm)].flatMap(([, block = ""]) => block.split("\n"))
]

export interface CitedTest {
  readonly file: string
  readonly title: string
}

/** Tests that a page cites: a file in backticks, a colon, and titles in quotes. */
export const citedTestsOf = ({ text }: Page): ReadonlyArray<CitedTest> =>
  [...text.matchAll(/`(test\/[^`\s]+\.ts)`: ((?:"[^"\n]+"(?:,\s+(?="))?)+)/g)].flatMap(([, file = "", titles = ""]) =>
    [...titles.matchAll(/"([^"\n]+)"/g)].map(([, title = ""]) => ({ file, title }))
  )
