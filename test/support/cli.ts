/** The real `portcullis` command in a process of its own, with an environment that has nothing but what the test gives it. */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

const CLI = fileURLToPath(new URL("../../bin/portcullis.js", import.meta.url))

/** `npm test` lets processes share what Node has compiled (tools/run-tests.ts). It changes nothing that they say. */
export const COMPILED: Readonly<Record<string, string>> =
  process.env["NODE_COMPILE_CACHE"] === undefined ? {} : { NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] }

export interface Said {
  readonly code: number | null
  readonly output: string
  readonly errors: string
}

export interface CliOptions {
  readonly settings?: Readonly<Record<string, string>>
  readonly stdin?: string | Uint8Array
  readonly cwd?: string
}

export const portcullis = (words: ReadonlyArray<string>, { settings = {}, stdin, cwd }: CliOptions = {}): Promise<Said> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...words], {
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...COMPILED, ...settings },
      stdio: ["pipe", "pipe", "pipe"],
      ...(cwd === undefined ? {} : { cwd })
    })
    let [output, errors] = ["", ""]
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")))
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString("utf8")))
    child.stdin.on("error", () => {}) // It may have ended without reading.
    child.once("error", reject)
    child.once("close", (code) => resolve({ code, output, errors }))
    child.stdin.end(stdin ?? "")
  })

/** What a command with --json has answered: one line on stdout and nothing else. Fails with what it said when it is not so. */
export const jsonOf = <A>({ output, errors, code }: Said): A => {
  try {
    return JSON.parse(output) as A
  } catch {
    throw new TypeError(`not one JSON line (exit ${code}): ${output}${errors}`)
  }
}
