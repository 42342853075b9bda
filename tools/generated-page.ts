/** Writes a generated page, or with `--check` compares it with the one on disk and fails when that is stale. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

const ROOT = join(import.meta.dirname, "..")

export const isFresh = (page: string, text: string): boolean => {
  const path = join(ROOT, page)
  return existsSync(path) && readFileSync(path, "utf8") === text
}

export const writeOrCheck = (page: string, text: string, what: string): void => {
  if (!process.argv.includes("--check")) {
    mkdirSync(dirname(join(ROOT, page)), { recursive: true })
    writeFileSync(join(ROOT, page), text)
    console.log(`${what} listed in ${page}`)
  } else if (!isFresh(page, text)) {
    console.error(`${page} is stale: run \`npm run generate\``)
    process.exitCode = 1
  }
}
