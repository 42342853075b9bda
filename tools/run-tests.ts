/**
 * `npm test`: looks for the servers that tests start, checks types and style, then runs vitest's projects one after the other, so
 * that two cores are enough. Arguments go to vitest (`npm test -- test/messaging`). The last line is `N passed, N failed`.
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { findBinaries, findRunAs } from "../src/adapters/embedded/postgres-binaries.ts"
import { findNatsServer, installNatsServer, mayInstall, NATS_SERVER_MISSING } from "./server-programs.ts"
import { NOTHING, tallyOf, together, type Tally, type VitestReport } from "./test-report.ts"

/** One stage after the other: what needs no server is quick and says most; `system` has the machine for itself. */
const STAGES: ReadonlyArray<ReadonlyArray<string>> = [["architecture", "unit"], ["servers"], ["system"]]

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bin = (name: string) => join(root, "node_modules", ".bin", name)
const words = process.argv.slice(2)
/** Somebody who names files wants those only, whatever project they are in. */
const stages = words.some((word) => !word.startsWith("-")) ? [STAGES.flat()] : STAGES
/** With a name pattern vitest leaves out the others; otherwise nothing may be left out. */
const mayLeaveOut = words.some((word) => /^(-t|--testNamePattern|--test-name-pattern)\b/.test(word))

const stop = (sentence: string): never => {
  console.error(sentence)
  process.exit(1)
}

const requireNatsServer = (): string => {
  const found = findNatsServer(process.env)
  if (found !== undefined) return found
  if (!mayInstall(process.env)) return stop(NATS_SERVER_MISSING)
  console.log("nats-server is missing: installing it with apt-get, since this is root on Debian.")
  const problem = installNatsServer()
  if (problem !== undefined) return stop(`nats-server could not be installed. ${problem}`)
  return findNatsServer(process.env) ?? stop(NATS_SERVER_MISSING)
}

const requirePostgres = async (): Promise<void> => {
  const binaries = await Effect.runPromiseExit(Effect.tap(findBinaries(process.env["PG_BIN"]), findRunAs))
  if (binaries._tag === "Failure") {
    const reason = binaries.cause.reasons.find((one) => one._tag === "Fail")
    stop(reason === undefined ? String(binaries.cause) : `${reason.error.doing}. ${reason.error.advice}.`)
  }
}

let running: ReturnType<typeof spawn> | undefined
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    running?.kill(signal)
    process.exitCode = 1
    isStopping = true
  })
}
let isStopping = false

/** Runs a program with our screen; answers whether it ended well. */
const succeeds = (program: string, args: ReadonlyArray<string>, environment: NodeJS.ProcessEnv): Promise<boolean> =>
  new Promise((resolve) => {
    running = spawn(program, args, { cwd: root, env: environment, stdio: "inherit" })
    running.once("error", (error) => {
      console.error(`${program}: ${error.message}`)
      resolve(false)
    })
    running.once("exit", (code) => resolve(code === 0))
  })

const check = async (name: string, args: ReadonlyArray<string>, environment: NodeJS.ProcessEnv): Promise<Tally> => {
  const isWell = await succeeds(bin(name), args, environment)
  if (!isWell) console.error(`${name} found something (above).`)
  return { ...NOTHING, failed: isWell ? 0 : 1 }
}

const runStage = async (projects: ReadonlyArray<string>, folder: string, environment: NodeJS.ProcessEnv): Promise<Tally> => {
  const reportFile = join(folder, `${projects.join("-")}.json`)
  const isWell = await succeeds(bin("vitest"), [
    "run",
    ...projects.flatMap((project) => ["--project", project]),
    "--passWithNoTests",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${reportFile}`,
    ...words
  ], environment)
  const tally = readReport(reportFile)
  if (tally === undefined) return { ...NOTHING, failed: isWell ? 0 : 1 }
  // Something that belongs to no test, such as an unhandled rejection, fails the run as well.
  return isWell || tally.failed > 0 ? tally : { ...tally, failed: 1 }
}

const readReport = (file: string): Tally | undefined => {
  try {
    return tallyOf(JSON.parse(readFileSync(file, "utf8")) as VitestReport)
  } catch {
    return undefined
  }
}

const main = async (): Promise<void> => {
  const natsServer = requireNatsServer()
  await requirePostgres()

  const folder = mkdtempSync(join(tmpdir(), "portcullis-tests-"))
  const environment = {
    ...process.env,
    NATS_SERVER_BIN: natsServer,
    PATH: [dirname(bin("node")), process.env["PATH"] ?? ""].join(delimiter),
    // Tests start hundreds of processes from the same sources: compiled once, a process costs half as much to start.
    NODE_COMPILE_CACHE: join(folder, "compiled")
  }
  const tallies: Array<Tally> = []
  try {
    tallies.push(await check("tsc", ["-p", "."], environment))
    tallies.push(await check("oxlint", ["--quiet"], environment))
    for (const projects of stages) {
      if (!isStopping) tallies.push(await runStage(projects, folder, environment))
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }

  const { passed, failed, leftOut } = together(tallies)
  const leftOutFailures = mayLeaveOut ? 0 : leftOut.length
  if (leftOutFailures > 0) console.error(`Left out, which counts as failed:\n${leftOut.map((name) => `  ${name}`).join("\n")}`)
  if (passed + failed === 0) console.error("No test was found.")
  process.exitCode = passed > 0 && failed + leftOutFailures === 0 && !isStopping ? 0 : 1
  console.log(`${passed} passed, ${failed + leftOutFailures} failed`)
}

await main()
