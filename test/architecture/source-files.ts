/** The project's TypeScript as data: each file's path, text and imports. Read once, so that the rules take milliseconds. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"

export const ROOT = join(import.meta.dirname, "../..")

export interface Import {
  /** A path from the project's root, or the name of a package. */
  readonly to: string
  readonly isOurs: boolean
  /** Nothing of it exists at run time. */
  readonly isType: boolean
  readonly isReExport: boolean
}

export interface SourceFile {
  readonly path: string
  readonly text: string
  readonly imports: ReadonlyArray<Import>
}

const FOLDERS = ["src", "machines", "actors", "bin", "test", "chaos", "bench", "tools"]

/** Static imports and re-exports with their clause; dynamic imports and worker URLs without. */
const STATIC = /^[ \t]*(import|export)\s+(?:([^"';]*?)\s+from\s+)?"([^"\n]+)"/gm
const DYNAMIC = /\bimport\(\s*"([^"\n]+)"\s*\)|new URL\(\s*"(\.[^"\n]+\.ts)"\s*,\s*import\.meta\.url\s*\)/g

export const sourceFile = (path: string, text: string): SourceFile => {
  // No import stands in a template, but fixtures of these tests do.
  const bare = withoutComments(text).replace(/`(?:\\.|[^`\\])*`/g, "``")
  const imports: Array<Import> = []
  for (const [, keyword, clause, to = ""] of bare.matchAll(STATIC)) {
    imports.push({ ...target(path, to), isType: isTypeClause(clause ?? ""), isReExport: keyword === "export" })
  }
  for (const [, imported, url] of bare.matchAll(DYNAMIC)) {
    imports.push({ ...target(path, imported ?? url ?? ""), isType: false, isReExport: false })
  }
  return { path, text, imports }
}

const target = (from: string, to: string): { to: string; isOurs: boolean } =>
  to.startsWith(".") ? { to: posix.join(posix.dirname(from), to), isOurs: true } : { to, isOurs: false }

/** `type X`, `type { X }` or `{ type X, type Y }`. */
const isTypeClause = (clause: string): boolean => {
  if (/^type\b/.test(clause)) return true
  const names = /^\{([^}]*)\}$/.exec(clause)?.[1]?.split(",").map((name) => name.trim()).filter(Boolean)
  return names !== undefined && names.length > 0 && names.every((name) => name.startsWith("type "))
}

/** Comments become spaces, line by line; strings stay. */
export const withoutComments = (text: string): string =>
  text.replace(/"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, (piece) =>
    piece.startsWith("/") ? piece.replace(/[^\n]/g, " ") : piece
  )

/** All that is written by hand or generated, except installed packages. A folder of the tree may not have its first file yet. */
export const readSources = (): ReadonlyArray<SourceFile> =>
  FOLDERS.filter((folder) => existsSync(join(ROOT, folder))).flatMap(filesIn).map((path) => sourceFile(path, readFileSync(join(ROOT, path), "utf8")))

const filesIn = (folder: string): ReadonlyArray<string> =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .map((name) => posix.join(folder, name.replaceAll("\\", "/")))
    .filter((path) => path.endsWith(".ts") && !path.includes("node_modules"))
    .toSorted()
